"""An estimate whose record never comes is billed in the end; one that comes late corrects it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud.access.service import exposure_of
from cloud.billing.models import Bill, BillKind
from cloud.billing.service import bills_of
from cloud.orders.models import Decision
from cloud.orders.rules import OrderState
from cloud.orders.service import (
    RECORD_WAIT,
    NoFigureError,
    NotInReviewError,
    bill_estimates,
    decide,
    review_lost,
)
from cloud.orders.settling import find_open_review
from shared.contracts.words import EndKind
from tests.component.cloud.slices.world import CARD, END, World


async def decided(world: World, decision: Decision) -> Bill:
    order = await world.only_order()
    _, bill = await decide(
        world.session,
        staff=world.staff,
        order_id=order.id,
        decision=decision,
        reason="the charge point burnt down",
        now=END,
    )
    return bill


async def test_somebody_bills_an_estimate_and_a_late_record_still_corrects_it(world: World) -> None:
    await world.deliver(world.authorized(), world.started(), world.estimated())
    order = await world.only_order()
    estimate_fen = order.payable_fen
    with pytest.raises(NoFigureError):
        await decided(world, Decision.CHARGE_POINT)
    bill = await decided(world, Decision.HQ)
    assert (order.state, order.payable_fen) == (OrderState.BILLED, estimate_fen)
    assert (bill.kind, bill.version, bill.delta_fen) == (BillKind.ESTIMATE, 2, 0)
    assert (bill.reason, bill.created_by) == ("the charge point burnt down", "wang")
    who = {"operator_id": world.station.operator_id, "token": CARD}
    assert await exposure_of(world.session, **who) == 0  # type: ignore[arg-type]
    with pytest.raises(NotInReviewError):
        await decided(world, Decision.HQ)
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    assert [(each.kind, each.delta_fen) for each in await bills_of(world.session, order.id)] == [
        (BillKind.ESTIMATE, estimate_fen),
        (BillKind.ESTIMATE, 0),
        (BillKind.CORRECTION, 9137 - estimate_fen),
    ]
    assert await find_open_review(world.session, order.id) is None


async def test_an_estimate_that_somebody_waived_is_decided_again_with_its_record(
    world: World,
) -> None:
    await world.deliver(world.authorized(), world.started(), world.estimated())
    order = await world.only_order()
    bill = await decided(world, Decision.WAIVE)
    assert (bill.kind, order.payable_fen) == (BillKind.REVIEW, 0)
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    review = await find_open_review(world.session, order.id)
    assert review is not None
    assert (order.payable_fen, review.causes) == (0, ["decided"])


async def test_an_estimate_is_billed_when_no_record_comes(world: World) -> None:
    await world.deliver(world.authorized(), world.started(), world.estimated())
    order = await world.only_order()
    assert order.state is OrderState.ESTIMATED
    who = {"operator_id": world.station.operator_id, "token": CARD}
    assert await exposure_of(world.session, **who) == order.payable_fen > 0  # type: ignore[arg-type]
    assert await bill_estimates(world.session, now=END + RECORD_WAIT - timedelta(hours=1)) == 0
    assert await bill_estimates(world.session, now=END + RECORD_WAIT) == 1
    assert order.state is OrderState.BILLED
    assert await exposure_of(world.session, **who) == 0  # type: ignore[arg-type]
    estimate_fen = order.payable_fen

    await world.deliver(world.ended())
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    bills = await bills_of(world.session, order.id)
    assert [bill.payable_fen for bill in bills] == [estimate_fen, 9137]


async def test_somebody_is_asked_about_a_charge_of_which_nothing_is_heard_any_more(
    world: World,
) -> None:
    # Its station was installed anew, and its charge point has lost the record.
    await world.deliver(world.authorized(), world.started())
    order = await world.only_order()
    who = {"operator_id": world.station.operator_id, "token": CARD}
    assert await exposure_of(world.session, **who) == 20_000  # type: ignore[arg-type]
    assert await review_lost(world.session, now=END + timedelta(days=8)) == 0
    assert await review_lost(world.session, now=END + timedelta(days=8, seconds=1)) == 1
    assert await review_lost(world.session, now=END + timedelta(days=30)) == 0
    assert (order.state, order.payable_fen) == (OrderState.IN_REVIEW, 0)
    assert await exposure_of(world.session, **who) == 0  # type: ignore[arg-type]
    with pytest.raises(NoFigureError):
        await decided(world, Decision.HQ)
    bill = await decided(world, Decision.WAIVE)
    assert (order.state, bill.payable_fen, bill.causes) == (OrderState.BILLED, 0, ["no_end"])


@pytest.mark.parametrize("parallel_no", ["", "261122140322"])
async def test_what_is_heard_of_a_lost_charge_after_all_bills_it(
    world: World, parallel_no: str
) -> None:
    await world.deliver(world.authorized(parallel_no=parallel_no), world.started())
    order = await world.only_order()
    assert await review_lost(world.session, now=END + timedelta(days=9)) == 1
    await world.deliver(world.ended(parallel_no=parallel_no))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)
    assert await find_open_review(world.session, order.id) is None
    assert [bill.delta_fen for bill in await bills_of(world.session, order.id)] == [0, 9137]


async def test_a_lost_charge_may_still_be_estimated_and_corrected(world: World) -> None:
    await world.deliver(world.authorized(), world.started())
    order = await world.only_order()
    assert await review_lost(world.session, now=END + timedelta(days=9)) == 1
    await world.deliver(world.estimated())
    assert order.state is OrderState.ESTIMATED
    assert order.payable_fen > 0
    await world.deliver(world.ended(ended_by=EndKind.CORRECTED))
    assert (order.state, order.payable_fen) == (OrderState.BILLED, 9137)


async def test_an_estimate_is_billed_in_time_whatever_its_stations_clock_says(world: World) -> None:
    years = timedelta(days=3650)
    await world.deliver(world.authorized(), world.started(), world.estimated(ended_at=END + years))
    order = await world.only_order()
    order.state = OrderState.ESTIMATED  # such times are held otherwise
    assert await bill_estimates(world.session, now=END + RECORD_WAIT) == 0
    assert await bill_estimates(world.session, now=END + RECORD_WAIT + timedelta(seconds=1)) == 1
