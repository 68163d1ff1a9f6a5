"""Parallel charging: the orders of one vehicle on several connectors are settled together."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.access.service import exposure_of
from cloud.billing.service import current_bill
from cloud.orders import service
from cloud.orders.groups import HOLD_MAX
from cloud.orders.rules import OrderState
from shared.contracts.events import Event, TransactionStartFailed
from tests.component.cloud.slices.world import CARD, END, World

GROUP = "202611220640"


def of_connector(connector_no: int, parallel_no: str = GROUP) -> dict[str, Any]:
    return {
        "transaction_id": UUID(int=connector_no),
        "transaction_no": f"5503141278230{connector_no:019}",
        "connector_no": connector_no,
        "parallel_no": parallel_no,
    }


ONE, TWO = of_connector(1), of_connector(2)


async def states(world: World) -> list[OrderState]:
    return [o.state for o in sorted(await world.orders(), key=lambda o: o.connector_no)]


async def start(world: World, *connectors: dict[str, Any]) -> None:
    for connector in connectors:
        without = {k: v for k, v in connector.items() if k != "parallel_no"}
        await world.deliver(world.authorized(**connector), world.started(**without))


async def exposure(world: World) -> int:
    return await exposure_of(world.session, operator_id=world.station.operator_id, token=CARD)


@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (TWO, ONE)])
async def test_the_first_waits_for_the_last(
    world: World, first: dict[str, Any], second: dict[str, Any]
) -> None:
    await start(world, ONE, TWO)
    assert await exposure(world) == 40_000
    await world.deliver(world.ended(**first))
    assert sorted(await states(world)) == ["charging", "ended"]
    assert await exposure(world) == 40_000
    [waiting] = [o for o in await world.orders() if o.state is OrderState.ENDED]
    bill = await current_bill(world.session, waiting.id)
    assert bill is not None
    assert bill.payable_fen == waiting.payable_fen == 9137
    await world.deliver(world.ended(**second))
    assert await states(world) == [OrderState.BILLED] * 2
    assert await exposure(world) == 0
    await world.deliver(world.ended(**first), world.ended(**second))
    assert await states(world) == [OrderState.BILLED] * 2


async def test_one_that_is_estimated_makes_both_estimates_until_its_record(world: World) -> None:
    await start(world, ONE, TWO)
    await world.deliver(world.ended(**ONE), world.estimated(**TWO))
    assert await states(world) == [OrderState.ESTIMATED] * 2
    await world.deliver(world.ended(**TWO))
    assert await states(world) == [OrderState.BILLED] * 2


async def test_one_without_energy_holds_nobody(world: World) -> None:
    await start(world, ONE)
    await world.deliver(world.authorized(**TWO))
    await world.deliver(world.ended(**ONE))
    assert await states(world) == [OrderState.ENDED, OrderState.AUTHORISED]
    failed: Event = TransactionStartFailed(
        **{k: v for k, v in (world.names | TWO).items() if k != "parallel_no"},
        occurred_at=END,
        reason="refused",
    )
    await world.deliver(failed)
    assert await states(world) == [OrderState.BILLED, OrderState.FAILED]


async def test_one_that_is_never_heard_of_holds_the_other_for_a_day(world: World) -> None:
    await start(world, ONE, TWO)
    await world.deliver(world.ended(**ONE))
    late = END + HOLD_MAX
    assert await service.release_held(world.session, now=late) == 0
    assert await service.release_held(world.session, now=late + timedelta(seconds=1)) == 1
    assert await states(world) == [OrderState.ESTIMATED, OrderState.CHARGING]
    assert await exposure(world) == 9137 + 20_000
    await world.deliver(world.ended(**TWO))
    assert await states(world) == [OrderState.BILLED] * 2


async def test_other_groups_and_other_days_hold_nobody(world: World) -> None:
    await start(world, of_connector(2, "another"))
    await start(world, ONE)
    await world.deliver(world.ended(**ONE))
    assert await states(world) == [OrderState.BILLED, OrderState.CHARGING]
    world.now = END + timedelta(days=2)
    later = ONE | {"transaction_id": UUID(int=9), "transaction_no": "9" * 32, "connector_no": 3}
    await start(world, later)
    assert [o.state for o in await world.orders() if o.connector_no == 1] == [OrderState.BILLED]
