"""Two agents with one station number: nothing of either is lost, and somebody is told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from cloud.alarms.twin_watch import look_for_twins
from cloud.core.db import Sessions
from cloud.core.security import Role
from cloud.ingest.journals import APART_MS, RETURNS, WINDOW_MS
from cloud.stations.models import Station
from cloud.worker import Worker
from shared.clock import SystemClock
from shared.contracts.envelope import pack_events
from shared.contracts.events import AlarmRaised, StationStarted, StationStateReported
from shared.contracts.telemetry import pack_samples
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from shared.ids import uuid7
from tests.component.cloud.conftest import NOW, LogIn, TestStation, make_station, meter
from tests.component.cloud.test_ingest import adopted
from tests.fakes.manual_clock import ManualClock

A, B, C = uuid4(), uuid4(), uuid4()
OPEN = "SELECT count(*) FROM alarms_alarm WHERE code = 'station_twice' AND cleared_at IS NULL"
EVER = "SELECT count(*) FROM alarms_alarm WHERE code = 'station_twice'"
GAP_S = APART_MS / 1000 + 1


async def test_of_two_journals_with_one_epoch_all_facts_are_kept_once(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    """A cloned disk goes on with the numbers of the first, and with other facts."""
    numbers = ("55031412782305", "55031412782306")
    for _ in range(2):
        for number in numbers:
            link.acked.clear()
            body = pack_events([adopted(number)])
            await link.committed(await link.send_body(Lane.STATE, body, 1, seq=7))
    rows = await database.fetch("SELECT charge_point_no FROM stations_charge_point ORDER BY 1")
    assert [row[0] for row in rows] == list(numbers)
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == 2
    assert await database.fetchval("SELECT registry_version FROM stations_station") == 3


async def test_samples_of_a_cloned_disk_are_kept_too(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    for second in (1, 2, 1, 2):
        at_ms = int(NOW.timestamp() * 1000) + second * 1000
        body = pack_samples([meter("55031412782305", at_ms, 1)])
        link.acked.clear()
        await link.committed(await link.send_body(Lane.TELEMETRY, body, 1, seq=9))
    assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 2


async def test_of_two_journals_with_one_epoch_both_may_have_poison(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    for body in (b"no zstd", b"none either", b"no zstd"):
        link.acked.clear()
        await link.committed(await link.send_body(Lane.STATE, body, 1, seq=7))
    assert await database.fetchval("SELECT count(*) FROM ingest_parked") == 2


class Site:
    """What HQ's inbox says of a station, as time goes by."""

    def __init__(self, station: Station, database: asyncpg.Connection, sessions: Sessions) -> None:
        self.clock = ManualClock(NOW)
        self._station = station
        self._database = database
        self._sessions = sessions

    async def tell(self, epoch: UUID, seq: int, lane: Lane = Lane.STATE) -> None:
        """A batch of a journal comes in now."""
        args = (self._station.operator_id, self._station.id, epoch, lane.value)
        await self._database.execute(
            "INSERT INTO ingest_stream (operator_id, station_id, epoch, lane)"
            " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            *args,
        )
        await self._database.execute(
            "INSERT INTO ingest_inbox (stream_id, seq, content, received_ms)"
            " SELECT id, $5, $6, $6 FROM ingest_stream WHERE operator_id = $1"
            " AND station_id = $2 AND epoch = $3 AND lane = $4",
            *(*args, seq, self.clock.now_ms()),
        )

    async def look(self) -> bool:
        """Whether the alarm stands once HQ has looked."""
        await look_for_twins(self._sessions, self.clock)
        return bool(await self._database.fetchval(OPEN))


@pytest.fixture
def site(station: Station, database: asyncpg.Connection, sessions: Sessions) -> Site:
    return Site(station, database, sessions)


TWINS = {
    "two configurations": [(A, 1), (B, 1), (A, 2), (B, 2), (A, 3)],
    "two configurations, one quiet": [(A, 1), (B, 1), (A, 2), (A, 3), (B, 2), (B, 3), (A, 4)],
    "a cloned disk": [(A, 10), (A, 10), (A, 11), (A, 11), (A, 12), (A, 12)],
    "a cloned disk, one behind": [(A, 90), (A, 10), (A, 91), (A, 11), (A, 92), (A, 12)],
}
ONE = {
    "one that restarts": [(A, number) for number in range(1, 9)],
    "one that was installed anew": [(A, 1), (A, 2), (B, 1), (B, 2), (B, 3), (B, 4)],
    "one that was installed anew, and again": [(A, 1), (B, 1), (B, 2), (C, 1), (C, 2), (C, 3)],
    "one whose last word came late": [(A, 1), (B, 1), (A, 2), (B, 2), (B, 3), (B, 4), (B, 5)],
    "one whose disk was put back": [(A, 8), (A, 9), (A, 3), (A, 4), (A, 5), (A, 6), (A, 7)],
}


@pytest.mark.parametrize("told", TWINS.values(), ids=TWINS.keys())
async def test_two_journals_that_take_turns_are_one_alarm(
    site: Site, database: asyncpg.Connection, told: list[tuple[UUID, int]]
) -> None:
    for epoch, seq in told:
        await site.tell(epoch, seq)
        site.clock.advance(GAP_S)
    assert await site.look()
    assert await site.look()
    assert await database.fetchval(EVER) == 1


@pytest.mark.parametrize("told", ONE.values(), ids=ONE.keys())
async def test_one_agent_is_no_alarm_whatever_becomes_of_it(
    site: Site, told: list[tuple[UUID, int]]
) -> None:
    for lane in (Lane.ALARM, Lane.BILL, Lane.STATE):
        for epoch, seq in told:
            await site.tell(epoch, seq, lane)
            site.clock.advance(GAP_S)
    assert not await site.look()


async def test_what_overtakes_on_its_way_through_two_workers_is_no_alarm(site: Site) -> None:
    """Two machines of HQ have two clocks, and samples travel eight batches at once."""
    for number in range(1, 40, 2):
        await site.tell(A, number + 1)
        site.clock.advance(0.05)
        await site.tell(A, number)
        site.clock.advance(GAP_S)
    for number in (3, 1, 2, 6, 5, 4, 9, 8, 7):
        await site.tell(A, number, Lane.TELEMETRY)
        site.clock.advance(GAP_S)
    assert not await site.look()


async def test_turns_that_are_long_apart_are_no_alarm(site: Site) -> None:
    """Somebody goes back and forth between two disks."""
    for number in range(RETURNS + 2):
        await site.tell((A, B)[number % 2], number)
        site.clock.advance(WINDOW_MS / 1000 / 2)
    assert not await site.look()


async def test_idle_agents_are_told_apart_by_their_empty_batches(site: Site) -> None:
    for number in range(4):
        for epoch in (A, B):
            await site.tell(epoch, number, Lane.TELEMETRY)
            site.clock.advance(30)
    assert await site.look()


async def test_the_alarm_ends_when_one_agent_alone_was_heard_for_a_while(
    site: Site, sessions: Sessions, database: asyncpg.Connection
) -> None:
    for number in range(4):
        for epoch in (A, B):
            await site.tell(epoch, number)
            site.clock.advance(GAP_S)
    assert await site.look()
    site.clock.advance(WINDOW_MS / 1000 + 1)
    assert await site.look(), "nobody was heard: HQ knows nothing new"
    await site.tell(A, 9)
    assert not await site.look()
    assert await database.fetchval(EVER) == 1


async def test_one_stations_twins_are_not_anothers(
    site: Site, sessions: Sessions, database: asyncpg.Connection
) -> None:
    other = Site(await make_station(sessions, "S-OTHER"), database, sessions)
    other.clock = site.clock
    for number in range(4):
        for where, epoch in ((site, A), (other, B)):
            await where.tell(epoch, number)
            site.clock.advance(GAP_S)
    assert not await site.look()


async def test_people_read_it_in_their_language(
    site: Site, client: httpx.AsyncClient, log_in: LogIn
) -> None:
    for epoch, seq in TWINS["two configurations"]:
        await site.tell(epoch, seq)
        site.clock.advance(GAP_S)
    assert await site.look()
    headers = await log_in(Role.VIEWER)
    for language, word in (("zh", "编号"), ("en", "number")):
        answer = await client.get(
            "/api/v1/alarms", headers={**headers, "Accept-Language": language}
        )
        [alarm] = answer.json()["items"]
        assert (alarm["code"], alarm["severity"]) == ("station_twice", "major")
        assert word in alarm["title"]
        assert word in alarm["advice"]


async def test_while_there_are_two_neither_ends_the_others_alarms(
    worker: Worker, site: Site, link: TestStation, database: asyncpg.Connection
) -> None:
    for epoch, seq in TWINS["two configurations"]:
        await site.tell(epoch, seq)
        site.clock.advance(GAP_S)
    assert await site.look()
    raised = AlarmRaised(
        occurred_at=NOW,
        alarm_id=uuid7(int(NOW.timestamp() * 1000)),
        code="smoke",
        severity=Severity.CRITICAL,
        object="zone/one",
    )
    await link.committed(await link.send(Lane.ALARM, raised))
    told = StationStateReported(
        occurred_at=NOW + timedelta(minutes=1),
        connectors=(),
        charge_points=(),
        open_transaction_ids=(),
        open_alarm_ids=(),
        access_version=0,
        registry_version=1,
    )
    await link.committed(await link.send(Lane.STATE, told))
    assert (
        await database.fetchval("SELECT cleared_at FROM alarms_alarm WHERE code = 'smoke'") is None
    )


async def test_the_worker_looks_by_itself(worker: Worker) -> None:
    assert "station_twice" in {job.name for job in worker.jobs}


async def test_a_batch_of_each_in_turn_reaches_the_alarm_through_the_broker(
    worker: Worker, link: TestStation, sessions: Sessions, database: asyncpg.Connection
) -> None:
    started = StationStarted(occurred_at=NOW, version="1", clean=True, boot_id=uuid4())
    for number, epoch in enumerate((A, B, A, B, A, B, A), start=1):
        link.epoch = epoch
        link.acked.clear()
        await link.committed(await link.send(Lane.STATE, started))
        # Nobody waits a minute: what was received moves into the past instead.
        await database.execute(
            "UPDATE ingest_inbox SET received_ms = received_ms - $1", APART_MS + number
        )
    await look_for_twins(sessions, SystemClock())
    assert await database.fetchval(OPEN) == 1
