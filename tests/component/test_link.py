"""The link over a real broker, with an HQ that commits into a dict and then acknowledges."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest
import uvloop
from aiomqtt import Client, ProtocolVersion

from edge.journal import Journal
from edge.telemetry import Telemetry, TelemetrySettings
from edge.uplink import Link, LinkSettings
from edge.uplink.mqtt import Broker, Connection, LinkLostError
from shared.clock import SystemClock
from shared.contracts import topics
from shared.contracts.commands import AnyCommand, ReportState, Watch
from shared.contracts.envelope import (
    VERSION,
    Ack,
    CommandEnvelope,
    Status,
    Uplink,
    decode_status,
    decode_uplink,
    encode,
    unpack_events,
)
from shared.contracts.events import AnyEvent, ChargePointLost, TransactionStarted
from shared.contracts.live import LiveUpdate, decode_live
from shared.contracts.telemetry import COLUMNS, Sample, unpack_samples
from shared.contracts.topics import Lane
from shared.contracts.words import SampleKind

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
STATION = "ST-01"
USER = "station"
WAIT_S = 15.0

CONFIG = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
auth = {{ {user} = "{password}" }}
"""


class BrokerProcess:
    """iotcore in a process of its own, on one port, killed and started as a test likes."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.password = secrets.token_hex(16)
        self._config = folder / "broker.toml"
        self._config.write_text(
            CONFIG.format(port=self.port, user=USER, password=self.password), encoding="utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it forks at once
            [sys.executable, "-m", "ops.embedded.broker", str(self._config)],
            stdin=subprocess.PIPE,
        )
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process = None

    def login(self, **changes: object) -> Broker:
        fields: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.port,
            "username": USER,
            "password": self.password,
            "timeout_s": 3.0,
        }
        return Broker(**(fields | changes))  # type: ignore[arg-type]


class Headquarters:
    """Receives, "commits", acknowledges; `commit` says whether a batch is, or is ignored."""

    def __init__(self, broker: BrokerProcess) -> None:
        self._broker = broker
        self.batches: dict[tuple[UUID, Lane, int], Uplink] = {}
        self.order: list[Lane] = []
        self.live: list[LiveUpdate] = []
        self.statuses: list[Status] = []
        self.received = 0
        self.commit: Callable[[Uplink], bool] = lambda _: True
        self.changed = asyncio.Condition()
        self._client: Client | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(Exception):
                async with Client(
                    "127.0.0.1",
                    self._broker.port,
                    username=USER,
                    password=self._broker.password,
                    protocol=ProtocolVersion.V5,
                    identifier="hq",
                    timeout=3,
                    socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
                ) as client:
                    await client.subscribe("vw/1/+/up/#", qos=1)
                    await client.subscribe(topics.ALL_STATUS, qos=1)
                    self._client = client
                    await self._serve(client)
            self._client = None
            await asyncio.sleep(0.05)

    async def _serve(self, client: Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            async with self.changed:
                await self._take(client, str(message.topic), message.payload)
                self.changed.notify_all()

    async def _take(self, client: Client, topic: str, payload: bytes) -> None:
        if topics.parse_status(topic):
            self.statuses.append(decode_status(payload))
            return
        parsed = topics.parse_up(topic)
        assert parsed is not None
        if parsed[1] is Lane.LIVE:
            self.live.append(decode_live(payload))
            return
        self.received += 1
        uplink = decode_uplink(payload)
        if not self.commit(uplink):
            return
        key = (uplink.epoch, uplink.lane, uplink.seq)
        # The same number must be the same batch, byte for byte, however often it comes.
        assert self.batches.setdefault(key, uplink) == uplink
        self.order.append(uplink.lane)
        await self.acknowledge(client, uplink)

    async def acknowledge(self, client: Client, uplink: Uplink) -> None:
        ack = Ack(VERSION, uplink.epoch, ((uplink.lane, (uplink.seq,)),), 1)
        await client.publish(topics.down_ack(uplink.station_no), encode(ack), qos=1)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with asyncio.timeout(WAIT_S):
            while self._client is None:  # noqa: ASYNC110 - several tests wait on one thing
                await asyncio.sleep(0.02)
        await self._client.publish(topic, payload, qos=1, retain=retain)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self.changed:
            await self.changed.wait_for(condition)

    def events(self, lane: Lane) -> list[AnyEvent]:
        batches = sorted((u for u in self.batches.values() if u.lane is lane), key=lambda u: u.seq)
        return [event for uplink in batches for event in unpack_events(uplink.body)]

    def samples(self) -> list[Sample]:
        batches = [u for u in self.batches.values() if u.lane is Lane.TELEMETRY]
        return [sample for uplink in batches for sample in unpack_samples(uplink.body)]


class Station:
    """Journal, telemetry and link as the agent builds them."""

    def __init__(self, folder: Path, broker: BrokerProcess, **telemetry: float) -> None:
        clock = SystemClock()
        self.journal = Journal.open(folder / "station.db", clock)
        self.telemetry = Telemetry.open(
            folder / "telemetry.db",
            clock,
            settings=TelemetrySettings(**telemetry),  # type: ignore[arg-type]
        )
        self.commands: list[CommandEnvelope] = []
        self.connections = 0
        self.wholes: list[bool] = []
        self.link = Link(
            LinkSettings(
                broker=broker.login(),
                backoff_first_s=0.05,
                backoff_max_s=0.2,
                resend_after_s=0.3,
                live_period_s=0.05,
            ),
            station_no=STATION,
            journal=self.journal,
            telemetry=self.telemetry,
            clock=clock,
            random=Random(1),
            on_command=self._on_command,
            live_update=self._live_update,
            on_connected=self._on_connected,
        )

    def _on_connected(self) -> None:
        self.connections += 1

    def _on_command(self, envelope: CommandEnvelope) -> None:
        self.commands.append(envelope)
        if isinstance(envelope.command, Watch):
            self.link.watch(envelope.command.lease_s)

    def _live_update(self, whole: bool) -> LiveUpdate:
        self.wholes.append(whole)
        return LiveUpdate(STATION, 1, whole, ())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - conditions are of many objects
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self.journal.close()
        await self.telemetry.close()


def state_fact(number: int) -> ChargePointLost:
    return ChargePointLost(occurred_at=NOW, charge_point_no=f"{number:014d}", reason="silence")


def bill_fact(number: int) -> TransactionStarted:
    return TransactionStarted(
        occurred_at=NOW,
        transaction_id=UUID(int=number),
        transaction_no=f"{number:032d}",
        charge_point_no="1",
        connector_no=1,
    )


def sample(number: int) -> Sample:
    values = tuple(range(number, number + len(COLUMNS[SampleKind.METER])))
    return Sample(SampleKind.METER, "32010200000001", 1, None, number, values)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    process = BrokerProcess(tmp_path)
    yield process
    process.kill()


@contextlib.asynccontextmanager
async def running(*parts: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_facts_arrive_and_are_deleted_after_the_commit(
    tmp_path: Path, broker: BrokerProcess, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(send_facts(tmp_path, broker))


async def send_facts(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        facts = [state_fact(n) for n in range(50)]
        assert await station.journal.commit(facts[:1])
        assert await station.journal.commit(facts[1:])
        await hq.until(lambda: len(hq.events(Lane.STATE)) == 50)
        await station.until(lambda: station.journal.unacknowledged[Lane.STATE] == 0)
        assert hq.events(Lane.STATE) == facts
        assert station.connections == 1
        assert station.link.state.connected
        assert hq.statuses[-1].online
        assert hq.statuses[-1].epoch == station.journal.epoch
    await station.close()


async def test_broker_killed_and_restarted_loses_nothing(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=100, window_s=0.0)
    dropped: set[int] = set()

    def commit_on_second_try(uplink: Uplink) -> bool:
        if uplink.seq % 3 == 0 and uplink.seq not in dropped:
            dropped.add(uplink.seq)
            return False
        return True

    hq.commit = commit_on_second_try
    samples = [sample(n) for n in range(1200)]
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        for round_no in range(6):
            await station.journal.commit([state_fact(round_no), bill_fact(round_no)])
            for one in samples[round_no * 200 : (round_no + 1) * 200]:
                station.telemetry.add(one)
            await station.telemetry.flushed()
            if round_no in {1, 3}:
                await hq.until(lambda: bool(hq.batches))
                await station.until(lambda: station.link.connected)
                broker.kill()
                await station.until(lambda: not station.link.connected)
            if round_no in {2, 4}:
                await broker.start()
        await hq.until(lambda: len(hq.samples()) == 1200 and len(hq.events(Lane.BILL)) == 6)
        await hq.until(lambda: len(hq.events(Lane.STATE)) == 6)
        await station.until(lambda: not any(station.journal.unacknowledged.values()))
        await station.until(lambda: not station.telemetry.sealed_seqs())
    assert hq.events(Lane.STATE) == [state_fact(n) for n in range(6)]
    assert hq.events(Lane.BILL) == [bill_fact(n) for n in range(6)]
    assert sorted(hq.samples(), key=lambda s: s.at_ms) == samples
    assert station.connections >= 3
    assert station.link.state.resent > 0
    await station.close()


async def test_bill_overtakes_a_backlog_of_telemetry(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=10, records_max=10, unacknowledged_max=1000)
    for n in range(2000):
        station.telemetry.add(sample(n))
    await station.telemetry.flushed()
    assert len(station.telemetry.sealed_seqs()) == 200
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await hq.until(lambda: len(hq.order) >= 20)
        backlog = len(station.telemetry.sealed_seqs())
        await station.journal.commit([bill_fact(1)])
        await hq.until(lambda: Lane.BILL in hq.order)
        overtaken = 200 - hq.order.index(Lane.BILL)
        assert backlog > 100
        assert overtaken > backlog - 40
        await hq.until(lambda: len(hq.samples()) == 2000)
        await station.until(lambda: station.telemetry.records == 0)
    assert len(hq.order) == 201
    await station.close()


async def test_telemetry_window_is_bounded_while_headquarters_is_silent(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, records_min=1, records_max=1, unacknowledged_max=1000)
    for n in range(50):
        station.telemetry.add(sample(n))
    await station.telemetry.flushed()
    hq.commit = lambda uplink: uplink.seq <= 20
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await hq.until(lambda: len(hq.batches) == 20)
        await station.until(lambda: station.link.state.resent >= 9)
        # Eight went up in vain; then one at a time, ever more seldom.
        assert len(station.telemetry.sealed_seqs()) == 30
        hq.commit = lambda _: True
        await hq.until(lambda: len(hq.batches) == 50)
    await station.close()


async def test_bad_messages_are_counted_and_good_commands_obeyed(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)

    def command(inner: AnyCommand, station_no: str = STATION) -> bytes:
        return encode(
            CommandEnvelope(command_id=uuid4(), station_no=station_no, issued_at=NOW, command=inner)
        )

    topic = topics.down_command(STATION)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: station.link.connected)
        await hq.publish(topic, b"\xc1nonsense")
        await hq.publish(topics.down_ack(STATION), b"")
        await hq.publish(f"vw/1/{STATION}/down/else", b"x")
        await hq.publish(topic, command(ReportState(), "ST-02"))
        stranger = Ack(VERSION, uuid4(), ((Lane.STATE, (1,)), (Lane.TELEMETRY, (1,))))
        await hq.publish(topics.down_ack(STATION), encode(stranger))
        await hq.publish(topic, command(Watch(lease_s=60)))
        await station.until(lambda: len(station.commands) == 1)
        assert station.link.state.malformed == 3
        await hq.until(lambda: len(hq.live) >= 3)
        assert [update.whole for update in hq.live[:3]] == [True, False, False]
        await hq.publish(topic, command(ReportState()), retain=True)
        await station.until(lambda: len(station.commands) == 2)
        # A station that connects later is given the retained one: it must not obey.
    late = tmp_path / "late"
    late.mkdir()
    other = Station(late, broker)
    async with running(asyncio.create_task(other.link.run())):
        await other.until(lambda: other.link.state.retained_ignored == 1)
        assert other.commands == []
    await station.close()
    await other.close()


async def test_live_lane_is_silent_without_a_lease(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.until(lambda: station.link.connected)
        station.link.watch(0.2)
        await hq.until(lambda: bool(hq.live))
        # The lease runs out; a fact that makes the round afterwards is the proof of time.
        await asyncio.sleep(0.25)
        told = len(station.wholes)
        await station.journal.commit([state_fact(1)])
        await station.until(lambda: station.journal.unacknowledged[Lane.STATE] == 0)
        assert len(station.wholes) <= told + 1
    await station.close()


async def test_wrong_password_is_an_error_that_is_shown(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    with pytest.raises(LinkLostError):
        async with Connection(
            broker.login(password="wrong", timeout_s=1.0),
            identifier=STATION,
            will_topic=topics.status(STATION),
            will=b"",
        ):
            pass


async def test_refused_connection_leaves_no_socket(broker: BrokerProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(LinkLostError):
            async with Connection(
                broker.login(port=port, timeout_s=0.2), identifier="x", will_topic="w", will=b""
            ):
                pass
        peer, _ = silent.accept()
        with peer:
            peer.settimeout(WAIT_S)
            while peer.recv(4096):  # what it said, and then the end
                pass
    with pytest.raises(LinkLostError):
        async with Connection(
            broker.login(), identifier="x", will_topic="w", will=b""
        ):  # nobody listens there
            pass


async def test_station_says_offline_when_it_stops_and_the_broker_when_it_dies(
    tmp_path: Path, broker: BrokerProcess
) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker)
    async with running(asyncio.create_task(hq.run())):
        link = asyncio.create_task(station.link.run())
        await hq.until(lambda: bool(hq.statuses) and hq.statuses[-1].online)
        link.cancel()
        await asyncio.gather(link, return_exceptions=True)
        await hq.until(lambda: not hq.statuses[-1].online)
        assert hq.statuses[-1].at_ms == hq.statuses[-2].at_ms
    await station.close()


async def test_idle_station_sends_an_empty_batch(tmp_path: Path, broker: BrokerProcess) -> None:
    await broker.start()
    hq = Headquarters(broker)
    station = Station(tmp_path, broker, window_s=0.0)
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        station.telemetry.flush()
        await hq.until(lambda: bool(hq.batches))
        (uplink,) = hq.batches.values()
        assert (uplink.lane, uplink.count) == (Lane.TELEMETRY, 0)
        assert hq.samples() == []
        await station.until(lambda: not station.telemetry.sealed_seqs())
    await station.close()
