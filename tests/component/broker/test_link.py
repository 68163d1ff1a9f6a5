"""The station's whole link over the production broker, which dies, refuses and falls silent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiomqtt import MqttError

from edge.uplink.mqtt import Broker
from shared.contracts import topics
from shared.contracts.commands import ReportState
from shared.contracts.envelope import PACKED_MAX, CommandEnvelope, encode
from shared.contracts.topics import Lane
from tests.component.broker.conftest import Mosquitto
from tests.component.broker.test_rights import peer
from tests.component.link_support import (
    NOW,
    STATION,
    Headquarters,
    Station,
    bill_fact,
    running,
    sample,
    state_fact,
)

KEEPALIVE_S = 6


@contextlib.asynccontextmanager
async def both_ends(
    folder: Path, broker: Mosquitto, login: Broker | None = None, **telemetry: float
) -> AsyncIterator[tuple[Headquarters, Station]]:
    """Run an HQ and a station over a broker."""
    hq = Headquarters(broker, broker.worker_login())
    station = Station(folder, broker, login or broker.login(), **telemetry)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        yield hq, station
    await station.close()


@pytest.mark.parametrize("database", ["kept", "lost"])
async def test_killed_broker_loses_nothing_and_repeats_nothing(
    tmp_path: Path, broker: Mosquitto, database: str
) -> None:
    await broker.start()
    samples = [sample(n) for n in range(600)]
    async with both_ends(tmp_path, broker, records_min=50, window_s=0.0) as (hq, station):
        for round_no in range(3):
            await station.until(lambda: station.link.connected)
            await station.journal.commit([state_fact(round_no), bill_fact(round_no)])
            for one in samples[round_no * 200 : (round_no + 1) * 200]:
                station.telemetry.add(one)
            await station.telemetry.flushed()
            # In the midst of it: some batches have gone up, few are acknowledged.
            await station.until(lambda: station.link.state.sent > 0)
            if database == "kept":
                await broker.save()
            broker.kill()
            await station.until(lambda: not station.link.connected)
            assert broker.database.exists() == (database == "kept")
            await broker.start()
        await hq.until(lambda: len(hq.samples()) == 600 and len(hq.events(Lane.BILL)) == 3)
        await hq.until(lambda: len(hq.events(Lane.STATE)) == 3)
        await station.until(lambda: not any(station.journal.unacknowledged.values()))
        await station.until(lambda: station.telemetry.records == 0)
        assert station.link.state.connections >= 4
    assert hq.events(Lane.STATE) == [state_fact(n) for n in range(3)]
    assert hq.events(Lane.BILL) == [bill_fact(n) for n in range(3)]
    assert sorted(hq.samples(), key=lambda s: s.at_ms) == samples


async def test_largest_batch_passes_and_a_larger_packet_ends_only_its_connection(
    tmp_path: Path, broker: Mosquitto
) -> None:
    await broker.start()
    telemetry = topics.up(STATION, Lane.TELEMETRY)
    login = broker.login(timeout_s=1.0)
    async with peer(broker.worker_login(), topics.WORKER_UPLINKS) as hq:
        async with contextlib.AsyncExitStack() as stack:
            flooder = await stack.enter_async_context(peer(login))
            await flooder.say(telemetry, bytes(PACKED_MAX))
            with pytest.raises(MqttError):
                await flooder.say(telemetry, bytes(PACKED_MAX * 2))
        async with peer(login) as station:
            await station.say(telemetry, b"last")
            await hq.told_last()
    assert [len(payload) for _, payload in hq.heard] == [PACKED_MAX]
    async with both_ends(tmp_path, broker) as (headquarters, whole):
        await whole.journal.commit([bill_fact(1)])
        await whole.until(lambda: whole.journal.unacknowledged[Lane.BILL] == 0)
        assert headquarters.events(Lane.BILL) == [bill_fact(1)]


async def test_command_that_the_broker_kept_is_ignored(tmp_path: Path, broker: Mosquitto) -> None:
    await broker.start()
    command = CommandEnvelope(
        command_id=uuid4(),
        station_no=STATION,
        issued_at=NOW - timedelta(days=30),
        command=ReportState(),
    )
    async with peer(broker.worker_login()) as hq:
        await hq.say(topics.down_command(STATION), encode(command), retain=True)
        async with both_ends(tmp_path, broker) as (_, station):
            await station.until(lambda: station.link.state.retained_ignored == 1)
            assert station.commands == []
            await hq.say(topics.down_command(STATION), encode(command))
            await station.until(lambda: station.commands == [command])


class Hole:
    """A line to the broker that can swallow everything, both ways, without closing anything."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._carriers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.swallows = False
        self.last_carried_s = 0.0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Hole:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for carrier in self._carriers:
            carrier.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        for source, sink in ((reader, onward_writer), (onward_reader, writer)):
            self._carriers.add(asyncio.create_task(self._carry(source, sink)))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if not self.swallows:
                    sink.write(data)
                    await sink.drain()
                    self.last_carried_s = time.monotonic()
        except ConnectionError:
            pass
        finally:
            sink.close()


async def test_half_open_line_is_noticed_within_one_and_a_half_keep_alives(
    tmp_path: Path, broker: Mosquitto
) -> None:
    await broker.start()
    async with Hole(broker.station_port) as hole:
        login = broker.login(port=hole.port, keepalive_s=KEEPALIVE_S, timeout_s=1.0)
        async with both_ends(tmp_path, broker, login) as (hq, station):
            await station.journal.commit([bill_fact(1)])
            await station.until(lambda: station.journal.unacknowledged[Lane.BILL] == 0)
            hole.swallows = True
            await station.journal.commit([bill_fact(2)])
            await station.until(lambda: not station.link.connected)
            noticed_after_s = time.monotonic() - hole.last_carried_s
            assert station.link.state.last_error
            hole.swallows = False
            await station.until(lambda: station.link.connected)
            await station.until(lambda: station.journal.unacknowledged[Lane.BILL] == 0)
            assert hq.events(Lane.BILL) == [bill_fact(1), bill_fact(2)]
    assert KEEPALIVE_S / 2 < noticed_after_s <= 1.5 * KEEPALIVE_S
