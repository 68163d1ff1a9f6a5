"""HQ's own end over the production broker: what it takes, what it refuses, and its answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from cloud.ingest.batches import Batch, Directory, KnownStation, StreamIds
from cloud.ingest.receiver import BrokerAddress, Link, Sinks
from shared.clock import SystemClock
from shared.contracts import topics
from shared.contracts.envelope import VERSION, Status, Uplink, encode
from shared.contracts.topics import Lane
from tests.component.broker.conftest import OTHER, Mosquitto
from tests.component.broker.test_rights import peer
from tests.component.link_support import STATION, Station, bill_fact, running

NOBODY = UUID(int=0)


class Numbers(StreamIds):
    """Stream numbers without a database."""

    def __init__(self) -> None:
        pass

    async def get(self, station: KnownStation, epoch: UUID, lane: Lane) -> int:
        return 1


class Worker:
    """The worker's link; it "commits" into a list and acknowledges."""

    def __init__(self, broker: Mosquitto) -> None:
        login = broker.worker_login()
        self.batches: list[Batch] = []
        self.statuses: list[tuple[str, Status]] = []
        self._new: asyncio.Queue[Batch] = asyncio.Queue()
        self.link = Link(
            address=BrokerAddress(login.host, login.port, login.username, login.password),
            directory=Directory(self._find, SystemClock()),
            streams=Numbers(),
            sinks=Sinks(
                batches=dict.fromkeys(Lane, self._offer),
                on_live=self._on_live,
                on_status=self._on_status,
                on_heard=lambda _: None,
            ),
            clock=SystemClock(),
            client_id="worker-1",
        )

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.link.run())
            while True:
                batch = await self._new.get()
                self.batches.append(batch)
                await self.link.acknowledge([batch])

    async def _find(self, station_no: str) -> KnownStation:
        return KnownStation(NOBODY, NOBODY, station_no, ZoneInfo("UTC"))

    def _offer(self, batch: Batch) -> bool:
        self._new.put_nowait(batch)
        return True

    async def _on_live(self, station: KnownStation, payload: bytes) -> None:
        raise AssertionError("nobody sends any")

    async def _on_status(self, station: KnownStation, status: Status) -> None:
        self.statuses.append((station.station_no, status))


async def test_worker_takes_what_a_station_says_of_itself_and_nothing_else(
    tmp_path: Path, broker: Mosquitto
) -> None:
    await broker.start()
    worker = Worker(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(worker.run())):
        await worker.link.connected.wait()
        async with peer(broker.login(OTHER)) as liar:
            for lane in (Lane.BILL, Lane.TELEMETRY):
                # On its own topic, in another station's name; and in another lane's.
                for number, claimed in ((STATION, lane), (OTHER, Lane.ALARM)):
                    forged = Uplink(VERSION, number, NOBODY, claimed, 1, 0, 1, b"")
                    await liar.say(topics.up(OTHER, lane), encode(forged))
            await liar.say(topics.up(OTHER, Lane.BILL), b"noise")
        async with running(asyncio.create_task(station.link.run())):
            await station.journal.commit([bill_fact(1)])
            await station.until(lambda: station.journal.unacknowledged[Lane.BILL] == 0)
            await station.until(lambda: bool(worker.statuses))
    await station.close()
    assert [batch.uplink.station_no for batch in worker.batches] == [STATION]
    number, status = worker.statuses[0]
    assert (number, status.online) == (STATION, True)
