"""Silence of a station is an alarm; silence of the broker is not one per station."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from cloud.alarms.broker_watch import BrokerWatch
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.settings import Settings
from cloud.stations.models import Station
from cloud.worker import Worker
from ops.embedded import EmbeddedServers
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import (
    NOW,
    LogIn,
    TestStation,
    make_station,
    running_worker,
    until,
)
from tests.component.cloud.test_ingest import STARTED
from tests.fakes.manual_clock import ManualClock


async def test_a_silent_station_alarms_and_its_next_word_clears(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    async def online() -> bool:
        return bool(await database.fetchval("SELECT online FROM stations_station"))

    async def offline() -> bool:
        return not await online()

    await link.committed(await link.send(Lane.STATE, STARTED))
    await until(online)
    await until(offline)  # presence_s is 2 in these tests
    alarm = await database.fetchrow("SELECT code, cleared_at FROM alarms_alarm")
    assert alarm is not None
    assert alarm["code"] == "station_offline"
    assert alarm["cleared_at"] is None
    await link.send_samples([])
    await until(online)
    assert await database.fetchval("SELECT cleared_at FROM alarms_alarm") is not None


async def test_the_will_counts_at_once(
    settings: Settings, link: TestStation, database: asyncpg.Connection
) -> None:
    slow = settings.model_copy(
        update={"worker": settings.worker.model_copy(update={"presence_s": 2, "sweep_s": 60.0})}
    )
    async with running_worker(slow) as worker:
        await link.say_status(online=True)

        async def online() -> bool:
            return bool(await database.fetchval("SELECT online FROM stations_station"))

        await until(online)
        assert worker.link.up_since_s is not None
        worker.link.up_since_s -= 10  # as if the link had been up for long
        await link.say_status(online=False)

        async def offline() -> bool:
            return not await online()

        await until(offline, 5)


async def test_a_dead_broker_is_one_alarm_and_not_one_of_each_station(
    worker: Worker,
    servers: EmbeddedServers,
    station: Station,
    link: TestStation,
    sessions: Sessions,
    api: FastAPI,
    client: httpx.AsyncClient,
    log_in: LogIn,
    database: asyncpg.Connection,
) -> None:
    await make_station(sessions, "another")
    headers = await log_in(Role.VIEWER)

    async def online() -> bool:
        return bool(
            await database.fetchval("SELECT online FROM stations_station WHERE id = $1", station.id)
        )

    async def alarms(*, open_only: bool) -> list[dict[str, Any]]:
        path = f"/api/v1/alarms?open_only={open_only}"
        items: list[dict[str, Any]] = (await client.get(path, headers=headers)).json()["items"]
        return items

    async def alarmed() -> bool:
        return bool(await alarms(open_only=True))

    async def forgotten() -> bool:
        return not await api.state.redis.exists(f"vw:presence:{station.station_no}")

    await link.send_samples([])
    await until(online)
    await until(broker_is(client, "ok"))
    servers.kill_broker()
    try:
        await until(alarmed)
        # The silence that would count is over, and a sweep sees it.
        await until(forgotten)
        await worker.presence.sweep()
        [alarm] = await alarms(open_only=False)
        assert alarm["code"] == "broker_unreachable"
        assert (alarm["station_id"], alarm["object"]) == (None, "hq:broker")
        assert alarm["severity"] == "critical"
        assert await online()
        await until(broker_is(client, "no worker is connected to it"))
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    finally:
        servers.start_broker()

    async def over() -> bool:
        return not await alarmed()

    await until(over, 20)
    assert worker.link.connected.is_set()
    assert len(await alarms(open_only=False)) == 1
    await until(broker_is(client, "ok"))


def broker_is(client: httpx.AsyncClient, wanted: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool((await client.get("/readyz")).json()["checks"]["broker"] == wanted)

    return look


async def test_one_worker_without_its_line_is_not_a_dead_broker(
    worker: Worker, api: FastAPI, sessions: Sessions, database: asyncpg.Connection
) -> None:
    """Its own heartbeat stops, the other worker's goes on."""
    clock = ManualClock(NOW)
    cut_off = BrokerWatch(
        redis=api.state.redis,
        sessions=sessions,
        connected=lambda: False,
        clock=clock,
        patience_s=1.0,
    )
    assert worker.link.connected.is_set()
    for _ in range(3):
        await worker.broker_watch.look()
        await cut_off.look()
        clock.advance(1.5)
    assert await database.fetchval("SELECT count(*) FROM alarms_alarm") == 0
