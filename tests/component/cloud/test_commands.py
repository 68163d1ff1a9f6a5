"""Wishes to stations: sent when the row is committed, again until settled, never after expiry."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import httpx
from fastapi import FastAPI

from cloud.core.commands import enqueue_command
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.clock import SystemClock
from shared.contracts.commands import (
    AccessEntry,
    PublishAccessList,
    PublishRegistry,
    ReportState,
    StopTransaction,
    UpdateFirmware,
)
from shared.contracts.events import StationStateReported, Token
from shared.contracts.topics import Lane
from shared.contracts.words import TokenKind
from tests.component.cloud.conftest import NOW, LogIn, TestStation, until

NUMBER = "55031412782305"


async def test_adding_a_charge_point_tells_the_station_until_it_answers(
    worker: Worker,
    link: TestStation,
    client: httpx.AsyncClient,
    log_in: LogIn,
    database: asyncpg.Connection,
) -> None:
    admin = await log_in(Role.ADMIN)
    url = f"/api/v1/stations/{link.station_no}/charge-points"
    answer = await client.post(
        url, json={"charge_point_no": NUMBER, "connector_count": 2}, headers=admin
    )
    assert answer.status_code == 201, answer.text
    async with asyncio.timeout(20):
        command_id, command = await link.commands.get()
        again, _ = await link.commands.get()  # two seconds later
    assert again == command_id
    assert isinstance(command, PublishRegistry)
    assert [point.charge_point_no for point in command.charge_points] == [NUMBER]
    await link.committed(await link.settle(command_id))
    shown = await client.get(f"/api/v1/commands/{command_id}", headers=admin)
    assert shown.json()["outcome"] == "done"
    answer = await client.post(url, json={"charge_point_no": NUMBER}, headers=admin)
    assert answer.status_code == 409
    assert answer.json()["code"] == "charge_point_exists"


async def test_a_station_that_has_an_older_registry_is_sent_it(
    worker: Worker, link: TestStation
) -> None:
    report = StationStateReported(
        occurred_at=NOW,
        connectors=(),
        charge_points=(),
        open_transaction_ids=(),
        open_alarm_ids=(),
        access_version=0,
        registry_version=0,
    )
    await link.committed(await link.send(Lane.STATE, report))
    async with asyncio.timeout(20):
        while True:
            _, command = await link.commands.get()
            if isinstance(command, PublishRegistry):
                break
    assert command.version == 1


async def test_what_rolls_back_is_not_sent_and_what_expires_is_settled(
    worker: Worker,
    link: TestStation,
    station: Station,
    sessions: Sessions,
    database: asyncpg.Connection,
) -> None:
    now = SystemClock().now()
    async with sessions() as session, session.begin() as transaction:
        await enqueue_command(session, station.id, ReportState(), expires_at=None, now=now)
        await transaction.rollback()
    async with sessions() as session, session.begin():
        late = await enqueue_command(
            session, station.id, ReportState(), expires_at=now - timedelta(seconds=1), now=now
        )
        stop = await enqueue_command(
            session, station.id, StopTransaction(transaction_id=late), expires_at=None, now=now
        )
    async with asyncio.timeout(20):
        command_id, _ = await link.commands.get()
    assert command_id == stop

    async def expired() -> bool:
        outcome = await database.fetchval("SELECT outcome FROM core_command WHERE id = $1", late)
        return bool(outcome == "expired")

    await until(expired)
    assert await database.fetchval("SELECT count(*) FROM core_command") == 2


async def _told(database: asyncpg.Connection) -> bytes:
    rows = await database.fetch("SELECT command FROM core_command WHERE settled_at IS NOT NULL")
    return b"".join(row["command"] for row in rows)


def _firmware(password: str) -> UpdateFirmware:
    return UpdateFirmware(
        charge_point_no=NUMBER,
        is_dc=True,
        power_kw=120,
        host="10.0.0.9",
        port=21,
        user="ftp",
        password=password,
        path="fw.bin",
    )


async def test_a_password_is_kept_no_longer_than_it_is_to_be_sent(
    worker: Worker,
    link: TestStation,
    station: Station,
    sessions: Sessions,
    database: asyncpg.Connection,
) -> None:
    now = SystemClock().now()
    late = now - timedelta(seconds=1)
    async with sessions() as session, session.begin():
        await enqueue_command(session, station.id, _firmware("hush-late"), expires_at=late, now=now)
        await enqueue_command(session, station.id, _firmware("hush-told"), expires_at=None, now=now)
    async with asyncio.timeout(20):
        command_id, command = await link.commands.get()
    assert isinstance(command, UpdateFirmware)
    assert command.password == "hush-told"
    await link.committed(await link.settle(command_id))

    async def settled() -> bool:
        return await _told(database) != b"" and not await database.fetchval(
            "SELECT count(*) FROM core_command WHERE settled_at IS NULL"
        )

    await until(settled)
    told = await _told(database)
    assert told.count(NUMBER.encode()) == 2  # to whom and from where stays on record
    assert b"hush" not in told


async def test_a_list_that_a_newer_one_replaces_is_kept_without_its_passwords(
    station: Station, sessions: Sessions, database: asyncpg.Connection
) -> None:
    entry = AccessEntry(token=Token(TokenKind.ACCOUNT, "138"), password_md5="0123456789abcdef")
    now = SystemClock().now()
    for version in (1, 2):
        async with sessions() as session, session.begin():
            command = PublishAccessList(version=version, entries=(entry,))
            await enqueue_command(
                session, station.id, command, expires_at=None, now=now, replace_kind=True
            )
    assert await _told(database)
    assert b"0123456789abcdef" not in await _told(database)


async def test_nobody_settles_another_stations_command(
    worker: Worker, link: TestStation, sessions: Sessions, database: asyncpg.Connection
) -> None:
    from tests.component.cloud.conftest import make_station

    other = await make_station(sessions, "S-OTHER")
    async with sessions() as session, session.begin():
        command_id = await enqueue_command(
            session, other.id, ReportState(), expires_at=None, now=SystemClock().now()
        )
    await link.committed(await link.settle(command_id))
    assert await database.fetchval("SELECT settled_at FROM core_command") is None


async def test_a_station_is_made_with_a_file_that_its_agent_takes(
    api: FastAPI, client: httpx.AsyncClient, log_in: LogIn, database: asyncpg.Connection
) -> None:
    import tomllib

    from edge.settings import Settings as EdgeSettings

    admin = await log_in(Role.ADMIN)
    body = {"station_no": "S-0001", "name_zh": "示范站", "name_en": "Demo"}
    answer = await client.post("/api/v1/stations", json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert EdgeSettings(**tomllib.loads(made["edge_toml"])).station.number == "S-0001"
    stored = await database.fetchval("SELECT secret_hash FROM stations_station")
    assert made["secret"] not in stored
    assert "secret" not in (await client.get("/api/v1/stations/S-0001", headers=admin)).json()
    assert (await client.post("/api/v1/stations", json=body, headers=admin)).status_code == 409
    wrong = await client.post("/api/v1/stations", json={**body, "station_no": "a/b"}, headers=admin)
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["errors"][0]["pointer"] == "/body/station_no"
