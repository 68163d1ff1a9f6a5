"""Files of many rows leave HQ part by part: memory does not grow with them, none is left out."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
from sqlmodel import select

from cloud.access.models import AccessToken, Scope
from cloud.access.transfer import token_lines
from cloud.alarms.csv_file import csv_lines
from cloud.alarms.models import Alarm
from cloud.core.db import Sessions
from cloud.orders.export import order_lines
from cloud.orders.models import Order
from cloud.orders.rules import OrderState
from cloud.stations.models import Station
from cloud.stations.service import create_station
from shared.contracts.words import Severity, TokenKind
from tests.component.cloud.conftest import NOW

ROWS = 5_000
PEAK_BYTES = 6_000_000
"""Of a file of 5,000 rows; held at once they take three times that."""
_COPY = (
    "INSERT INTO {table} SELECT (jsonb_populate_record(a_row, jsonb_build_object('id',"
    " gen_random_uuid(), '{unique}', {value}))).*"
    " FROM {table} a_row, generate_series(1, $1) AS n"
)


async def copy(database: asyncpg.Connection, table: str, unique: str, value: str) -> None:
    """Make many rows of the one that is there."""
    await database.execute(_COPY.format(table=table, unique=unique, value=value), ROWS - 1)


async def read(lines: AsyncIterator[bytes]) -> tuple[int, set[str], int]:
    """Return how many rows a file has, their first cells, and the memory that it took at most."""
    count, first, began = 0, set(), False
    tracemalloc.start()
    async for part in lines:
        text = part.decode("utf-8-sig")
        if not began:
            began = True
            continue
        for row in csv.reader(io.StringIO(text)):
            count += 1
            first.add(":".join(row[:2]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return count, first, peak


async def test_orders(sessions: Sessions, station: Station, database: asyncpg.Connection) -> None:
    async with sessions() as session, session.begin():
        session.add(
            Order(
                id=UUID(int=1),
                operator_id=station.operator_id,
                station_id=station.id,
                charge_point_no="55031412782305",
                connector_no=1,
                state=OrderState.BILLED,
                created_at=NOW,
                updated_at=NOW,
            )
        )
    await copy(database, "orders_order", "transaction_no", "n")
    stations = {station.id: station}
    count, ids, peak = await read(order_lines(sessions, select(Order), stations))
    assert (count, len(ids)) == (ROWS, ROWS)
    assert peak < PEAK_BYTES


async def test_alarms(sessions: Sessions, station: Station, database: asyncpg.Connection) -> None:
    async with sessions() as session, session.begin():
        session.add(
            Alarm(
                id=UUID(int=1),
                operator_id=station.operator_id,
                station_id=station.id,
                alarm_id=UUID(int=1),
                code="door_open",
                object="station",
                severity=Severity.MINOR,
                raised_at=NOW,
                received_at=NOW,
                told_at=NOW,
                cleared_at=NOW,
                notify_from=NOW,
            )
        )
    await copy(database, "alarms_alarm", "alarm_id", "gen_random_uuid()")
    stations = {station.id: station}
    lines = csv_lines(sessions, select(Alarm), stations, {}, chinese=True)
    count, ids, peak = await read(lines)
    assert (count, len(ids)) == (ROWS, ROWS)
    assert peak < PEAK_BYTES


async def test_tokens(sessions: Sessions, station: Station, database: asyncpg.Connection) -> None:
    async with sessions() as session, session.begin():
        session.add(
            AccessToken(
                id=UUID(int=1),
                operator_id=station.operator_id,
                kind=TokenKind.ACCOUNT,
                value="fleet",
                created_at=NOW,
                updated_at=NOW,
            )
        )
    await copy(database, "access_token", "value", "'fleet-' || n")
    count, values, peak = await read(token_lines(sessions, station.operator_id))
    assert (count, len(values)) == (ROWS, ROWS)
    assert peak < PEAK_BYTES


async def test_a_station_that_is_added_while_somebody_reads_is_in_the_file(
    sessions: Sessions, station: Station, database: asyncpg.Connection
) -> None:
    token = AccessToken(
        id=UUID(int=1),
        operator_id=station.operator_id,
        kind=TokenKind.ACCOUNT,
        value="fleet",
        created_at=NOW,
        updated_at=NOW,
    )
    async with sessions() as session, session.begin():
        session.add(token)
    lines = token_lines(sessions, station.operator_id)
    await anext(lines)
    async with sessions() as session, session.begin():
        added, _ = await create_station(
            session,
            operator_id=station.operator_id,
            station_no="S-ADDED",
            name_zh="",
            name_en="",
            time_zone="Asia/Shanghai",
            now=NOW,
        )
        await session.flush()
        scope = Scope(token_id=token.id, station_id=added.id, operator_id=station.operator_id)
        session.add(scope)
    assert b"S-ADDED" in await anext(lines)
