"""Orders and bills on a real database: any order of facts, repeats, disputes, corrections."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from random import Random
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from cloud.access.service import exposure_of
from cloud.billing.models import BillKind
from cloud.billing.service import bills_of, current_bill, lines_of
from cloud.core.commands import settle_command
from cloud.orders import service
from cloud.orders.models import Decision, Order
from cloud.orders.rules import OrderState
from cloud.orders.service import StartWish
from cloud.orders.settling import find_open_review
from shared.contracts.commands import StartTransaction, StopTransaction
from shared.contracts.events import (
    CommandSettled,
    Event,
    TransactionResumed,
    TransactionStartFailed,
    TransactionUnreachable,
)
from shared.contracts.words import EndKind, Outcome, StartMeans
from shared.rating import Reading
from tests.component.cloud.slices.world import CARD, CHARGE_POINT_NO, END, START, World


async def outcome_of(world: World) -> dict[str, Any]:
    """Return everything of the only order and its bill that must not depend on arrival."""
    order = await world.only_order()
    bill = await current_bill(world.session, order.id)
    assert bill is not None
    volatile = {"id", "created_at", "updated_at", "order_id", "version"}
    lines = await lines_of(world.session, bill.id)
    return {
        "order": order.model_dump(exclude=volatile),
        "bill": bill.model_dump(exclude=volatile),
        "lines": [line.model_dump(exclude={"bill_id"}) for line in lines],
        "deltas": sum(b.delta_fen for b in await bills_of(world.session, order.id)),
    }


async def play(world: World, events: list[Event]) -> dict[str, Any]:
    """Deliver facts, look at the result, and undo everything."""
    async with world.session.begin_nested() as savepoint:
        await world.deliver(*events)
        result = await outcome_of(world)
        await savepoint.rollback()
    world.session.expunge_all()
    return result


def facts(world: World) -> list[Event]:
    names = world.names
    return [
        world.authorized(),
        world.started(),
        TransactionUnreachable(occurred_at=START + timedelta(minutes=5), **names),
        TransactionResumed(occurred_at=START + timedelta(minutes=6), **names),
        world.ended(),
    ]


async def test_any_order_of_facts_gives_the_same_order_and_bill(world: World) -> None:
    events = facts(world)
    expected = await play(world, events)
    assert expected["order"]["state"] == OrderState.BILLED
    assert expected["bill"]["payable_fen"] == 9137
    for shuffled in permutations(events):
        assert await play(world, list(shuffled)) == expected


async def test_repeats_anywhere_change_nothing(world: World) -> None:
    events = facts(world)
    expected = await play(world, events)
    random = Random(20261122)
    for _ in range(25):
        repeated = events + random.choices(events, k=4)
        random.shuffle(repeated)
        assert await play(world, repeated) == expected


async def test_a_failed_start_is_the_same_in_any_order(world: World) -> None:
    nothing = {"energies": (0, 0, 0, 0), "energy_dwh": 0, "amount_e4": 0}
    events: list[Event] = [
        world.authorized(),
        TransactionStartFailed(occurred_at=START, reason="not plugged in", **world.names),
        world.ended(
            record=world.record(**nothing, meter_end_dwh=10_000_000), readings=(), station_bill=None
        ),
    ]
    expected = await play(world, events)
    assert expected["order"]["state"] == OrderState.FAILED
    assert expected["order"]["start_failure"]
    assert expected["order"]["failure_reason"] == "not plugged in"
    assert (expected["bill"]["payable_fen"], expected["bill"]["kind"]) == (0, BillKind.ZERO)
    for shuffled in permutations(events):
        assert await play(world, list(shuffled)) == expected


async def test_a_normal_charge_is_billed_with_three_figures(world: World) -> None:
    await world.deliver(world.authorized(), world.started())
    order = await world.only_order()
    assert (order.state, order.limit_fen) == (OrderState.CHARGING, 20_000)
    operator_id = world.station.operator_id
    assert await exposure_of(world.session, operator_id=operator_id, token=CARD) == 20_000
    await world.deliver(world.ended())
    assert (order.state, order.payable_fen, order.energy_dwh) == (
        OrderState.BILLED,
        9137,
        900_000,
    )
    bill = await current_bill(world.session, order.id)
    assert bill is not None
    assert (bill.charge_point_e4, bill.station_fen, bill.hq_fen) == (913_683, 9137, 9137)
    assert bill.total_nano == 91_368_251_331
    lines = await lines_of(world.session, bill.id)
    assert sum(line.energy_fee_fen + line.service_fee_fen for line in lines) == 9137
    assert await exposure_of(world.session, operator_id=operator_id, token=CARD) == 0


async def test_an_end_stands_alone(world: World) -> None:
    await world.deliver(world.ended())
    order = await world.only_order()
    assert (order.state, order.means, order.started_at) == (
        OrderState.BILLED,
        StartMeans.CARD,
        START,
    )


async def test_a_record_twice_is_one_bill(world: World) -> None:
    await world.deliver(world.ended())
    await world.deliver(world.ended(occurred_at=END + timedelta(seconds=30)))
    order = await world.only_order()
    assert len(await bills_of(world.session, order.id)) == 1
    assert order.disputes == 0


@pytest.mark.parametrize("ended_by", [EndKind.RECORD, EndKind.DISPUTED])
async def test_another_record_is_a_dispute_and_the_first_stands(
    world: World, ended_by: EndKind
) -> None:
    other = world.ended(ended_by=ended_by, record=world.record(amount_e4=1_800_000))
    await world.deliver(world.ended(), other, other)
    order = await world.only_order()
    assert (order.state, order.payable_fen, order.disputes) == (OrderState.BILLED, 9137, 1)
    review = await find_open_review(world.session, order.id)
    assert review is not None
    assert review.causes == ["disputed"]


async def test_a_dispute_that_comes_first_bills_nothing(world: World) -> None:
    other = world.ended(ended_by=EndKind.DISPUTED, record=world.record(amount_e4=1_800_000))
    await world.deliver(other)
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.ENDED, 0)
    await world.deliver(world.ended())
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)


async def test_an_estimate_is_corrected_by_the_difference(world: World) -> None:
    await world.deliver(world.authorized(), world.started(), world.estimated())
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.ESTIMATED, 7663)
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    assert (order.state, order.payable_fen, order.ended_by) == (
        OrderState.BILLED,
        9137,
        EndKind.CORRECTED,
    )
    bills = await bills_of(world.session, order.id)
    assert [(b.version, b.kind, b.payable_fen, b.delta_fen) for b in bills] == [
        (1, BillKind.ESTIMATE, 7663, 7663),
        (2, BillKind.CORRECTION, 9137, 1474),
    ]


async def test_an_estimate_after_its_record_is_only_kept(world: World) -> None:
    await world.deliver(world.ended(), world.estimated())
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    assert len(await bills_of(world.session, order.id)) == 1


async def test_910_kwh_for_0_083_is_held_and_not_charged(world: World) -> None:
    placeholder = world.record(
        energies=(0, 0, 9_100_830, 0),
        energy_dwh=9_100_830,
        meter_start_dwh=0,
        meter_end_dwh=9_100_830,
        amount_e4=9_595_187,
    )
    await world.deliver(world.ended(record=placeholder, readings=(), station_bill=None))
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.IN_REVIEW, 0)
    bill = await current_bill(world.session, order.id)
    assert bill is not None
    assert (bill.kind, bill.payable_fen, bill.delta_fen) == (BillKind.HELD, 0, 0)
    assert bill.causes == ["implausible_energy"]


async def test_a_correction_that_is_held_leaves_the_estimate_charged(world: World) -> None:
    await world.deliver(world.estimated(), world.ended(record=world.record(amount_e4=1)))
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.IN_REVIEW, 7663)


async def test_no_tariff_waits_and_a_station_that_names_ours_wrongly_does_too(
    world: World,
) -> None:
    await world.deliver(world.ended(tariff_version_id=uuid4()))
    order = await world.only_order()
    review = await find_open_review(world.session, order.id)
    assert review is not None
    assert (order.state, review.causes) == (OrderState.IN_REVIEW, ["no_tariff"])
    assert (order.energy_dwh, order.payable_fen) == (900_000, 0)


@pytest.mark.parametrize(
    ("decision", "payable_fen"),
    [(Decision.HQ, 9137), (Decision.CHARGE_POINT, 18_000), (Decision.WAIVE, 0)],
)
async def test_somebody_decides(world: World, decision: Decision, payable_fen: int) -> None:
    await world.deliver(world.ended(record=world.record(amount_e4=1_800_000)))
    order = await world.only_order()
    assert order.state is OrderState.IN_REVIEW
    _order, bill = await service.decide(
        world.session,
        staff=world.staff,
        order_id=order.id,
        decision=decision,
        reason="checked with the driver",
        now=END,
    )
    assert (order.state, order.payable_fen) == (OrderState.BILLED, payable_fen)
    assert (bill.kind, bill.version, bill.delta_fen) == (BillKind.REVIEW, 2, payable_fen)
    assert (bill.reason, bill.created_by) == ("checked with the driver", "wang")
    with pytest.raises(service.NotInReviewError):
        await service.decide(
            world.session,
            staff=world.staff,
            order_id=order.id,
            decision=decision,
            reason="again",
            now=END,
        )


async def decided(world: World, decision: Decision) -> Order:
    order = await world.only_order()
    await service.decide(
        world.session,
        staff=world.staff,
        order_id=order.id,
        decision=decision,
        reason="asked the driver",
        now=END,
    )
    return order


async def test_a_record_that_comes_after_a_decision_is_decided_again(world: World) -> None:
    await world.deliver(world.estimated(rated_w=1))
    order = await decided(world, Decision.WAIVE)
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 0)
    review = await find_open_review(world.session, order.id)
    assert review is not None
    assert review.causes == ["decided"]
    await decided(world, Decision.HQ)
    assert order.payable_fen == 9137
    kinds = [(b.kind, b.delta_fen) for b in await bills_of(world.session, order.id)]
    assert kinds == [
        (BillKind.HELD, 0),
        (BillKind.REVIEW, 0),
        (BillKind.HELD, 0),
        (BillKind.REVIEW, 9137),
    ]


async def test_a_record_that_agrees_with_a_decision_closes_the_matter(world: World) -> None:
    await world.deliver(world.estimated(90, rated_w=1))
    order = await decided(world, Decision.HQ)
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    assert await find_open_review(world.session, order.id) is None


async def test_a_dispute_without_any_record_can_be_decided(world: World) -> None:
    other = world.ended(ended_by=EndKind.DISPUTED, record=world.record(amount_e4=913_684))
    await world.deliver(world.authorized(), other)
    order = await decided(world, Decision.CHARGE_POINT)
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    assert await find_open_review(world.session, order.id) is None


async def test_a_figure_that_is_not_there_cannot_be_chosen(world: World) -> None:
    await world.deliver(world.estimated(tariff_version_id=None))
    order = await world.only_order()
    for decision in (Decision.HQ, Decision.CHARGE_POINT):
        with pytest.raises(service.NoFigureError):
            await service.decide(
                world.session,
                staff=world.staff,
                order_id=order.id,
                decision=decision,
                reason="?",
                now=END,
            )


async def test_a_new_id_for_a_known_number_is_the_same_transaction(world: World) -> None:
    # A station that lost its disk makes new ids; the charge point sends its record again.
    await world.deliver(world.ended())
    await world.deliver(world.ended(transaction_id=UUID(int=2)))
    order = await world.only_order()
    assert len(await bills_of(world.session, order.id)) == 1


async def test_a_number_used_again_is_another_order(world: World) -> None:
    later = START + timedelta(days=1)
    record = world.record(started_at=later, meter_start_dwh=10_900_000, meter_end_dwh=11_800_000)
    await world.deliver(world.ended())
    world.now = later
    await world.deliver(world.ended(transaction_id=UUID(int=2), record=record, readings=()))
    first, second = await world.orders()
    assert first.flags == []
    assert "transaction_no_reused" in second.flags
    assert second.state is OrderState.BILLED


async def test_text_that_no_database_holds_is_cleaned(world: World) -> None:
    await world.deliver(world.ended(vin="LSV\x00\x00"))
    assert (await world.only_order()).vin == "LSV"


async def test_absurd_figures_are_held_and_never_stop_the_stream(world: World) -> None:
    absurd = world.record(energies=(2**32 - 1,) * 4, energy_dwh=4 * (2**32 - 1), amount_e4=2**63)
    await world.deliver(world.ended(record=absurd, readings=(Reading(1, 2),)))
    order = await world.only_order()
    assert (order.state, order.payable_fen) == (OrderState.IN_REVIEW, 0)


# --- remote starts -----------------------------------------------------------------------------

WISH = StartWish(charge_point_no=CHARGE_POINT_NO, connector_no=1, token=CARD)


async def start(world: World, wish: StartWish = WISH) -> Any:
    order = await service.request_start(
        world.session, staff=world.staff, station_no="1001", wish=wish, now=START
    )
    await world.session.flush()
    return order


async def test_a_remote_start_is_one_order_from_wish_to_bill(world: World) -> None:
    order = await start(world)
    [row] = await world.commands("StartTransaction")
    command = row.read_command()
    assert isinstance(command, StartTransaction)
    assert (command.order_id, command.limit_fen, command.token) == (order.id, 50_000, CARD)
    assert row.expires_at == START + timedelta(seconds=30)
    settled = CommandSettled(occurred_at=START, command_id=row.id, outcome=Outcome.ACCEPTED)
    await world.deliver(settled)
    assert order.state is OrderState.STARTING
    remote = {"order_id": order.id, "means": StartMeans.REMOTE}
    await world.deliver(world.authorized(**remote), world.started(order_id=order.id))
    assert order.state is OrderState.CHARGING
    await world.deliver(world.ended(**remote))
    assert (await world.only_order()).id == order.id
    assert (order.state, order.means) == (OrderState.BILLED, StartMeans.REMOTE)


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.FAILED, Outcome.EXPIRED])
async def test_a_remote_start_that_is_refused_fails_with_the_reason(
    world: World, outcome: Outcome
) -> None:
    order = await start(world)
    [row] = await world.commands("StartTransaction")
    settled = CommandSettled(
        occurred_at=START, command_id=row.id, outcome=outcome, reason="connector is blocked"
    )
    await world.deliver(settled, settled)
    assert (order.state, order.failure_reason) == (OrderState.FAILED, "connector is blocked")
    assert await exposure_of(world.session, operator_id=order.operator_id, token=CARD) == 0


async def test_energy_beats_a_refusal_that_comes_late(world: World) -> None:
    order = await start(world)
    [row] = await world.commands("StartTransaction")
    expired = CommandSettled(occurred_at=START, command_id=row.id, outcome=Outcome.EXPIRED)
    await world.deliver(expired, world.started(order_id=order.id))
    assert order.state is OrderState.CHARGING
    await world.deliver(world.ended(order_id=order.id))
    assert (order.state, order.payable_fen, order.start_failure) == (
        OrderState.BILLED,
        9137,
        False,
    )


async def test_a_start_that_nobody_answers_fails(world: World) -> None:
    order = await start(world)
    assert await service.fail_unanswered(world.session, now=END) == 0
    assert order.start_command_id is not None
    await settle_command(
        world.session,
        station_id=world.station.id,
        command_id=order.start_command_id,
        outcome=Outcome.EXPIRED,
        reason="no answer in time",
        answer=b"",
        now=END,
    )
    await world.session.flush()
    assert await service.fail_unanswered(world.session, now=END) == 1
    assert (order.state, order.failure_reason) == (OrderState.FAILED, "no answer in time")


async def test_a_token_that_may_not_charge_starts_nothing(world: World) -> None:
    await start(world)
    with pytest.raises(service.TokenRefusedError) as caught:
        await start(world)  # the first one may still spend the whole limit
    assert caught.value.context["reason"] == "limit_reached"
    unknown = msgspec.structs.replace(CARD, value="00")
    with pytest.raises(service.TokenRefusedError):
        await start(world, msgspec.structs.replace(WISH, token=unknown))
    assert len(await world.orders()) == 1


async def test_stopping_names_the_transaction_and_waits_for_the_fact(world: World) -> None:
    await world.deliver(world.started())
    order = await world.only_order()
    operator_id = order.operator_id
    await service.request_stop(world.session, operator_id=operator_id, order_id=order.id, now=END)
    [row] = await world.commands("StopTransaction")
    assert row.read_command() == StopTransaction(transaction_id=UUID(int=1))
    assert (row.expires_at, order.state) == (None, OrderState.CHARGING)
    await world.deliver(world.ended())
    with pytest.raises(service.OrderOverError):
        await service.request_stop(
            world.session, operator_id=operator_id, order_id=order.id, now=END
        )


async def test_a_cancelled_start_that_comes_true_is_stopped_and_billed(world: World) -> None:
    order = await start(world)
    await service.request_stop(
        world.session, operator_id=order.operator_id, order_id=order.id, now=START
    )
    assert order.state is OrderState.CANCELLED
    await world.deliver(world.started(order_id=order.id), world.started(order_id=order.id))
    assert len(await world.commands("StopTransaction")) == 1
    await world.deliver(world.ended(order_id=order.id))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)


async def test_orders_of_another_operator_are_not_there(world: World) -> None:
    await world.deliver(world.started())
    order = await world.only_order()
    stranger = replace(world.staff, operator_id=uuid4())
    with pytest.raises(service.OrderNotFoundError):
        await service.request_stop(
            world.session, operator_id=stranger.operator_id, order_id=order.id, now=END
        )


async def test_a_number_used_again_beside_an_estimate_is_another_order(world: World) -> None:
    later = START + timedelta(days=1)
    record = world.record(
        started_at=later,
        ended_at=later + (END - START),
        meter_start_dwh=10_900_000,
        meter_end_dwh=11_800_000,
    )
    of_another = world.ended(
        transaction_id=UUID(int=2),
        record=record,
        readings=(),
        started_at=later,
        ended_at=later + (END - START),
    )
    await world.deliver(world.estimated())
    world.now = later
    await world.deliver(of_another)
    first, second = await world.orders()
    assert first.state is OrderState.ESTIMATED
    assert "transaction_no_reused" in second.flags
    # The record that the estimate waits for is still its own, also under a new id.
    await world.deliver(world.ended(transaction_id=UUID(int=3)))
    assert [order.payable_fen for order in await world.orders()] == [9137, second.payable_fen]
    assert first.ended_by is EndKind.CORRECTED
