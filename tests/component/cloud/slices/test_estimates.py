"""An estimate whose record never comes is billed in the end; one that comes late corrects it."""

from __future__ import annotations

from datetime import timedelta

from cloud.access.service import exposure_of
from cloud.billing.service import bills_of
from cloud.orders.rules import OrderState
from cloud.orders.service import RECORD_WAIT, bill_estimates
from tests.component.cloud.slices.world import CARD, END, World


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
