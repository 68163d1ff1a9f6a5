"""One batch that cannot be handled costs the batches beside it nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import asyncpg
import pytest
from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.core.db import Sessions
from cloud.ingest.batches import Batch, KnownStation, StreamIds
from cloud.ingest.events import EventWriter
from cloud.ingest.handlers import Ingested, merge
from cloud.settings import Settings
from cloud.slices import HANDLER_TABLES
from cloud.stations.models import Station
from cloud.stations.service import zone_of
from cloud.worker import Worker
from shared.contracts.envelope import VERSION, Uplink, pack_events, unpack_events
from shared.contracts.events import ChargePointAdopted, Event, StationStarted
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import NOW, TestStation, make_station, meter

STARTED = StationStarted(occurred_at=NOW, version="1.2.3", clean=True, boot_id=uuid4())


@pytest.mark.parametrize("seq", [2**63, -1])
async def test_a_number_that_no_column_holds_is_refused_on_receipt(
    worker: Worker, link: TestStation, database: asyncpg.Connection, seq: int
) -> None:
    await link.send_body(Lane.STATE, pack_events([STARTED]), 1, seq=seq)
    await link.send_body(Lane.TELEMETRY, b"", 1, seq=seq)
    await link.committed(await link.send(Lane.STATE, STARTED))
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == 1


class Committed:
    """Notes which batches are committed."""

    def __init__(self, wanted: int) -> None:
        self.batches: list[Batch] = []
        self._wanted = wanted
        self.all = asyncio.Event()

    async def __call__(self, batches: Sequence[Batch]) -> None:
        self.batches += batches
        if len(self.batches) >= self._wanted:
            self.all.set()


async def batch_of(
    settings: Settings, station: Station, *, seq: int, body: bytes, lane: Lane = Lane.STATE
) -> Batch:
    known = KnownStation(station.operator_id, station.id, station.station_no, zone_of(station))
    uplink = Uplink(VERSION, station.station_no, uuid4(), lane, seq, 0, 1, body)
    async with asyncpg.create_pool(settings.database.raw_url, min_size=1, max_size=1) as pool:
        stream_id = await StreamIds(pool).get(known, uplink.epoch, lane)
    return Batch(known, uplink, stream_id, NOW)


async def test_a_batch_that_breaks_its_transaction_takes_no_other_with_it(
    settings: Settings, sessions: Sessions, station: Station, database: asyncpg.Connection
) -> None:
    body = pack_events([STARTED])
    bad = await batch_of(settings, station, seq=2**63, body=body)
    good = [await batch_of(settings, station, seq=seq, body=body) for seq in (1, 2)]
    committed = Committed(2)
    writer = EventWriter(sessions=sessions, handlers=merge(*HANDLER_TABLES), committed=committed)
    for batch in (good[0], bad, good[1]):
        assert writer.offer(batch)
    await run_until(writer, committed)
    assert committed.batches == good
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == 2


async def test_all_workers_take_the_stations_of_a_group_in_one_order(
    settings: Settings, sessions: Sessions, station: Station
) -> None:
    """What comes first differs between workers; locks taken in one order never deadlock."""
    other = await make_station(sessions, f"{station.station_no}-2")
    orders = []
    for first, second in ((station, other), (other, station)):
        seen: list[str] = []
        orders.append(seen)

        async def note(
            session: AsyncSession, context: Ingested, event: Event, seen: list[str] = seen
        ) -> None:
            seen.append(context.station_no)

        body = pack_events([STARTED])
        committed = Committed(2)
        writer = EventWriter(
            sessions=sessions, handlers={StationStarted: (note,)}, committed=committed
        )
        writer.offer(await batch_of(settings, first, seq=1, body=body, lane=Lane.BILL))
        writer.offer(await batch_of(settings, second, seq=1, body=body, lane=Lane.STATE))
        await run_until(writer, committed)
    assert orders[0] == orders[1]


async def run_until(writer: EventWriter, committed: Committed) -> None:
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(10):
        await committed.all.wait()
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("number", ["5503\x0012", "\x1b[2J"])
async def test_samples_of_an_unspeakable_charge_point_are_parked_and_others_stay(
    worker: Worker, link: TestStation, database: asyncpg.Connection, number: str
) -> None:
    before = await link.send_samples([meter("55031412782305", 1_000, 1)])
    poison = await link.send_samples([meter(number, 1_000, 1)])
    after = await link.send_samples([meter("55031412782305", 2_000, 2)])
    await link.committed(before, poison, after)
    assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 2
    assert await database.fetchval("SELECT seq FROM ingest_parked") == poison.seq


async def test_telemetry_that_breaks_its_transaction_is_parked_alone(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    await database.execute(
        "ALTER TABLE telemetry_sample ADD CONSTRAINT poison CHECK (energy_dwh <> 666)"
    )
    before = await link.send_samples([meter("55031412782305", 1_000, 1)])
    poison = await link.send_samples([meter("55031412782305", 2_000, 666)])
    after = await link.send_samples([meter("55031412782305", 3_000, 2)])
    await link.committed(before, poison, after)
    assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 2
    row = await database.fetchrow("SELECT seq, error FROM ingest_parked")
    assert row is not None
    assert row["seq"] == poison.seq
    assert "poison" in row["error"]


async def test_only_the_facts_that_cannot_be_handled_are_parked(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    bad = ChargePointAdopted(
        occurred_at=NOW,
        charge_point_no="55",
        connector_count=100_000,
        dialect="ykc16",
        rated_w=120_000,
    )
    good = structs.replace(bad, charge_point_no="55031412782305", connector_count=2)
    await link.committed(await link.send(Lane.STATE, good, bad, STARTED))
    assert await database.fetchval("SELECT agent_version FROM stations_station") == "1.2.3"
    assert await database.fetchval("SELECT count(*) FROM stations_connector") == 2
    assert unpack_events(await database.fetchval("SELECT body FROM ingest_parked")) == [bad]
    assert await database.fetchval("SELECT code FROM alarms_alarm") == "batch_parked"
