"""Facts that are taken together make what they make one by one, in a few statements."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import select

from cloud.access.models import Exposure
from cloud.billing.models import Bill
from cloud.billing.service import lines_of
from cloud.orders.handlers import on_facts
from cloud.orders.models import Fact, Review
from shared.contracts.events import TransactionEvent, TransactionResumed, TransactionUnreachable
from shared.contracts.words import EndKind
from tests.component.cloud.slices.world import END, START, World

_VOLATILE = {"id", "order_id", "bill_id", "created_at", "updated_at", "version"}


def of_one(world: World, number: int) -> list[TransactionEvent]:
    """Return facts of one transaction; what is odd about it depends on its number."""
    world.names |= {
        "transaction_id": UUID(int=number),
        "transaction_no": f"550314127823050126112206{number:08d}",
    }
    facts: list[TransactionEvent] = [
        world.authorized(),
        world.started(),
        TransactionUnreachable(occurred_at=START + timedelta(minutes=5), **world.names),
        TransactionResumed(occurred_at=START + timedelta(minutes=6), **world.names),
        world.ended(),
    ]
    if number % 4 == 1:
        facts += facts[-1:]
    if number % 4 == 2:
        disputed = world.record(amount_e4=1)
        facts.append(
            world.ended(record=disputed, ended_by=EndKind.DISPUTED, occurred_at=END + (END - START))
        )
    if number % 4 == 3:
        facts[-1] = world.estimated(tariff_version_id=None)
    return facts


async def outcome(world: World) -> Any:
    orders = await world.orders()
    numbers = {order.id: order.transaction_no for order in orders}

    async def rows(model: Any, *, without: frozenset[str] = frozenset()) -> list[Any]:
        found = (await world.session.scalars(select(model))).all()
        exclude = _VOLATILE | without
        return sorted(
            ((numbers[row.order_id], row.model_dump(exclude=exclude)) for row in found), key=repr
        )

    bills = (await world.session.scalars(select(Bill))).all()
    return {
        "orders": sorted(repr(o.model_dump(exclude=_VOLATILE)) for o in orders),
        "bills": await rows(Bill),
        "lines": sorted(
            [
                (numbers[bill.order_id], line.model_dump(exclude=_VOLATILE))
                for bill in bills
                for line in await lines_of(world.session, bill.id)
            ],
            key=repr,
        ),
        "reviews": await rows(Review),
        "facts": await rows(Fact),
        "exposures": sorted(repr(row) for row in await rows(Exposure)),
    }


async def play(world: World, groups: list[list[TransactionEvent]]) -> Any:
    async with world.session.begin_nested() as savepoint:
        for group in groups:
            await on_facts(world.session, [(world.context(), event) for event in group])
        result = await outcome(world)
        await savepoint.rollback()
    world.session.expunge_all()
    return result


async def test_facts_taken_together_make_what_they_make_one_by_one(world: World) -> None:
    facts = [fact for number in range(1, 9) for fact in of_one(world, number)]
    expected = await play(world, [[fact] for fact in facts])
    assert len(expected["orders"]) == 8
    assert await play(world, [facts]) == expected
    random = Random(20261122)
    for _ in range(6):
        # Not the disputes: which of two records stands is a matter of which came first.
        shuffled = [fact for fact in facts if getattr(fact, "ended_by", None) != "disputed"]
        disputes = [fact for fact in facts if getattr(fact, "ended_by", None) == "disputed"]
        random.shuffle(shuffled)
        cut = random.randrange(len(shuffled))
        assert await play(world, [shuffled[:cut], shuffled[cut:] + disputes]) == expected


async def test_many_facts_take_few_statements(world: World) -> None:
    connection = await world.session.connection()
    engine = connection.sync_connection
    assert engine is not None
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    sa.event.listen(engine, "after_cursor_execute", note)
    try:
        for start in (1, 101):
            count = 0
            facts = [f for number in range(start, start + 40) for f in of_one(world, number)]
            await on_facts(world.session, [(world.context(), fact) for fact in facts])
            assert count <= 20
    finally:
        sa.event.remove(engine, "after_cursor_execute", note)


async def test_a_link_that_flaps_for_days_makes_no_work_that_grows_with_its_square(
    world: World,
) -> None:
    # Looking at all facts again with each of them would take longer than any test may.
    facts: list[TransactionEvent] = [
        TransactionResumed(occurred_at=START + timedelta(seconds=n), **world.names)
        for n in range(20_000)
    ]
    await on_facts(world.session, [(world.context(), fact) for fact in facts])
    assert await world.session.scalar(sa.select(sa.func.count()).select_from(Fact)) == 20_000
    await world.deliver(world.ended())
    assert (await world.only_order()).payable_fen == 9137
