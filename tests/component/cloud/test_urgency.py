"""Bills, alarms and states go before telemetry also inside a worker."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg

from cloud.ingest.batches import Batch
from cloud.settings import Settings
from cloud.stations.models import Station
from cloud.worker import Worker, open_worker
from shared.clock import to_ms
from shared.contracts.envelope import VERSION, Uplink, pack_events
from shared.contracts.events import StationStarted
from shared.contracts.telemetry import pack_samples
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import NOW, meter, until


async def batch_of(worker: Worker, station: Station, lane: Lane, body: bytes) -> Batch:
    found = await worker._find_station(station.station_no)
    assert found is not None
    epoch = uuid4()
    stream_id = await worker.link._streams.get(found, epoch, lane)
    uplink = Uplink(VERSION, station.station_no, epoch, lane, 1, to_ms(NOW), 1, body)
    return Batch(found, uplink, stream_id, NOW)


async def test_telemetry_waits_while_facts_do(
    settings: Settings, station: Station, database: asyncpg.Connection
) -> None:
    async with open_worker(settings) as worker:
        await worker._partitions.make_ahead()
        samples = pack_samples([meter("55031412782305", to_ms(NOW), 1)])
        facts = pack_events(
            [StationStarted(occurred_at=NOW, version="1", clean=True, boot_id=uuid4())]
        )
        await worker.events.quiet(60)  # nothing waits
        assert worker.events.offer(await batch_of(worker, station, Lane.STATE, facts))
        assert worker.telemetry.offer(await batch_of(worker, station, Lane.TELEMETRY, samples))
        await worker.events.quiet(0.01)  # goes on although something waits
        order: list[Lane] = []

        async def committed(batches: list[Batch]) -> None:
            order.extend(batch.uplink.lane for batch in batches)

        async def wait_for_ever(limit_s: float) -> None:
            del limit_s
            await worker.events.quiet(60)

        worker.events._committed = worker.telemetry._committed = committed  # type: ignore[assignment]
        worker.telemetry._give_way = wait_for_ever
        tasks = [asyncio.create_task(worker.telemetry.run())]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(worker.events.run()))

        async def both() -> bool:
            return len(order) == 2

        await until(both)
        assert order == [Lane.STATE, Lane.TELEMETRY]
        assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
