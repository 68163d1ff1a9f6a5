"""Lists and what facts look up stay quick with years of orders: PostgreSQL reads no whole table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlmodel import select

from cloud.core.security import Role
from cloud.ingest.jobs import _PURGE
from cloud.ingest.journals import HEARD
from cloud.orders.groups import members_of
from cloud.orders.models import Order
from cloud.stations.models import Station
from tests.component.cloud.conftest import LogIn, make_station

ROWS = 30_000
_FILL = """
INSERT INTO orders_order (id, operator_id, station_id, transaction_id, transaction_no,
    charge_point_no, connector_no, state, means, token_kind, token_value, vin, parallel_no,
    limit_fen, created_at, updated_at, requested_by, ended_at, failure_reason, start_failure,
    energy_dwh, payable_fen, flags, disputes)
SELECT (lpad(to_hex(1700000000000 + n * 30000::bigint), 12, '0') || '70008'
        || lpad(to_hex(n), 15, '0'))::uuid,
    $1, $2, gen_random_uuid(), '5503141278230501' || lpad(n::text, 16, '0'),
    '550314127823' || lpad((n % 40)::text, 2, '0'), 1, 'billed', 'card', 'card',
    'CARD' || n % 5000, '', '', 0, at, at, '', at, '', false, 100, 100, '[]', 0
FROM (SELECT n, to_timestamp(1700000000 + n * 30) AS at FROM generate_series(1, $3) n) numbered
"""
DAY = "created_from=2023-11-15T00:00:00Z&created_to=2023-11-16T00:00:00Z"


@pytest.fixture
async def many(sessions: Any, station: Station, database: asyncpg.Connection) -> Station:
    """A station with many orders, and one without any."""
    await make_station(sessions, "QUIET")
    await database.execute(_FILL, station.operator_id, station.id, ROWS)
    await database.execute("ANALYZE orders_order")
    return station


@pytest.fixture
async def plans(api: FastAPI, database: asyncpg.Connection) -> AsyncIterator[Any]:
    """What gives the plans of all statements about orders since it was last asked."""
    engine = api.state.sessions.kw["bind"].sync_engine
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM orders_order" in statement and statement.startswith("SELECT"):
            seen.append((statement, parameters))

    async def taken() -> list[str]:
        told = []
        for statement, parameters in seen:
            rows = await database.fetch("EXPLAIN " + statement, *parameters)
            told.append("\n".join(row[0] for row in rows))
        seen.clear()
        return told

    event.listen(engine, "after_cursor_execute", note)
    yield taken
    event.remove(engine, "after_cursor_execute", note)


QUERIES = (
    "",
    "?state=in_review",
    "?station=QUIET",
    "?charge_point_no=99999999999999",
    "?token=CARD7",
    "?transaction_no=7",
    "?parallel_no=261122140322",
    f"?{DAY}",
    f"?station=QUIET&{DAY}",
    f"?charge_point_no=55031412782307&{DAY}",
    "/export.csv?state=in_review",
    f"/export.csv?{DAY}",
    "/reconciliation?day=2023-11-15",
)


async def test_neither_lists_nor_facts_read_all_orders(
    many: Station, api: FastAPI, client: httpx.AsyncClient, log_in: LogIn, plans: Any
) -> None:
    headers = await log_in(Role.VIEWER)
    for query in QUERIES:
        answer = await client.get(f"/api/v1/orders{query}", headers=headers)
        assert answer.status_code == 200, query
        told = await plans()
        assert told, query
        for plan in told:
            assert "Seq Scan on orders_order" not in plan, query
    async with api.state.sessions() as session:
        order = await session.scalar(select(Order).limit(1))
        assert order is not None
        await plans()
        with session.no_autoflush:
            order.parallel_no = "261122140322"
            assert await members_of(session, order) == [order]
        [plan] = await plans()
    assert "ix_orders_order_parallel" in plan


async def test_the_purge_does_not_read_all_batches(
    station: Station, database: asyncpg.Connection
) -> None:
    await database.execute(
        "INSERT INTO ingest_stream (operator_id, station_id, epoch, lane)"
        " VALUES ($1, $2, gen_random_uuid(), 'telemetry')",
        station.operator_id,
        station.id,
    )
    await database.execute(
        "INSERT INTO ingest_inbox SELECT (SELECT max(id) FROM ingest_stream), n, n, n"
        " FROM generate_series(1, 100000) n"
    )
    await database.execute("VACUUM ANALYZE ingest_inbox")
    rows = await database.fetch("EXPLAIN " + _PURGE, 1_000, 10_000)
    assert "Seq Scan on ingest_inbox" not in "\n".join(row[0] for row in rows)
    # Nor does the look for two agents with one number.
    rows = await database.fetch("EXPLAIN " + HEARD, 99_000, 5_000)
    assert "Seq Scan on ingest_inbox" not in "\n".join(row[0] for row in rows)
