"""Jobs on orders beside the facts of their stations."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg

from cloud.core.commands import enqueue_command
from cloud.core.db import Sessions
from cloud.orders.facts import lock_orders
from cloud.orders.models import Order
from cloud.orders.rules import OrderState
from cloud.orders.service import fail_unanswered
from cloud.stations.models import Station
from shared.contracts.commands import ReportState
from tests.component.cloud.conftest import NOW, until


async def test_a_start_is_not_failed_while_its_first_fact_is_taken_in(
    sessions: Sessions, station: Station, database: asyncpg.Connection
) -> None:
    order_id = uuid4()
    async with sessions() as session, session.begin():
        command_id = await enqueue_command(
            session, station.id, ReportState(), expires_at=None, now=NOW
        )
        order = Order(
            id=order_id,
            operator_id=station.operator_id,
            station_id=station.id,
            charge_point_no="55031412782305",
            connector_no=1,
            state=OrderState.REQUESTED,
            start_command_id=command_id,
            created_at=NOW,
            updated_at=NOW,
        )
        session.add(order)
    await database.execute("UPDATE core_command SET settled_at = $1, outcome = 'expired'", NOW)

    async def job() -> int:
        async with sessions() as session, session.begin():
            return await fail_unanswered(session, now=NOW)

    async def job_waits() -> bool:
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return task.done() or bool(await database.fetchval(waits))

    async with sessions() as session, session.begin():
        await lock_orders(session, station.id)
        charging = await session.get_one(Order, order_id)
        task = asyncio.create_task(job())
        await until(job_waits)
        assert not task.done()
        charging.transaction_id, charging.state = uuid4(), OrderState.CHARGING
    assert await task == 0
    state = await database.fetchval("SELECT state FROM orders_order WHERE id = $1", order_id)
    assert state == "charging"
