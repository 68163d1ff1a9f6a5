"""Both ends of the link for tests: a station's, and an HQ that commits into a dict and answers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Protocol
from uuid import UUID

from aiomqtt import Client, ProtocolVersion

from edge.journal import Journal
from edge.telemetry import Telemetry, TelemetrySettings
from edge.uplink import Link, LinkSettings
from edge.uplink.mqtt import Broker
from shared.clock import SystemClock
from shared.contracts import topics
from shared.contracts.commands import Watch
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


class AnyBroker(Protocol):
    """What may stand between both ends."""

    def login(self) -> Broker: ...


class Headquarters:
    """Receives, "commits", acknowledges; `commit` says whether a batch is, or is ignored."""

    def __init__(self, broker: AnyBroker, login: Broker | None = None) -> None:
        self._login = login or broker.login()
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
                    self._login.host,
                    self._login.port,
                    username=self._login.username,
                    password=self._login.password,
                    protocol=ProtocolVersion.V5,
                    identifier="hq",
                    timeout=3,
                    socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
                ) as client:
                    await client.subscribe(topics.WORKER_UPLINKS, qos=1)
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

    def __init__(
        self, folder: Path, broker: AnyBroker, login: Broker | None = None, **telemetry: float
    ) -> None:
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
                broker=login or broker.login(),
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


@contextlib.asynccontextmanager
async def running(*parts: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
