"""Silence of a station is an alarm; silence of the broker is not one per station."""

from __future__ import annotations

import asyncio

import asyncpg

from cloud.settings import Settings
from cloud.worker import Worker
from ops.embedded import EmbeddedServers
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import TestStation, running_worker, until
from tests.component.cloud.test_ingest import STARTED


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


async def test_a_dead_broker_is_not_an_alarm_of_each_station(
    worker: Worker, servers: EmbeddedServers, link: TestStation, database: asyncpg.Connection
) -> None:
    async def online() -> bool:
        return bool(await database.fetchval("SELECT online FROM stations_station"))

    await link.send_samples([])
    await until(online)
    servers.kill_broker()
    try:
        # Longer than the silence that would count, and sweeps go on meanwhile.
        await asyncio.sleep(3.5)
        assert await online()
        assert await database.fetchval("SELECT count(*) FROM alarms_alarm") == 0
    finally:
        servers.start_broker()
    async with asyncio.timeout(15):
        await worker.link.connected.wait()
