"""The worker's link to the broker: batches in, acknowledgements and commands out.

Acknowledging MQTT's own way (PUBACK) is left to the client, on receipt: what counts is
`down/ack`, sent after the commit. A worker that dies in between leaves its batches
unacknowledged, and their stations send them again within seconds.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast
from uuid import UUID

from aiomqtt import Client, Message, MqttError, ProtocolVersion

from cloud.core import metrics
from cloud.core.transient import is_transient
from cloud.ingest.batches import Batch, Directory, KnownStation, StreamIds
from shared.backoff import delays
from shared.clock import Clock
from shared.contracts.envelope import VERSION, Ack, Status, decode_status, decode_uplink, encode
from shared.contracts.topics import (
    ALL_STATUS,
    WORKER_UPLINKS,
    Lane,
    down_ack,
    parse_status,
    parse_up,
)
from shared.errors import MalformedContractError
from shared.mqtt import BrokerClient

logger = logging.getLogger(__name__)

Offer = Callable[[Batch], bool]
OnLive = Callable[[KnownStation, bytes], Awaitable[None]]
OnStatus = Callable[[KnownStation, Status], Awaitable[None]]
OnHeard = Callable[[KnownStation], None]


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are there."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls_ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where messages go, by lane."""

    batches: Mapping[Lane, Offer]
    on_live: OnLive
    on_status: OnStatus
    on_heard: OnHeard


class Link:
    """Connects, reconnects, reads; `publish` works while connected."""

    def __init__(
        self,
        *,
        address: BrokerAddress,
        directory: Directory,
        streams: StreamIds,
        sinks: Sinks,
        clock: Clock,
        client_id: str,
    ) -> None:
        self._address = address
        self._directory = directory
        self._streams = streams
        self._sinks = sinks
        self._clock = clock
        self._client_id = client_id
        self._client: Client | None = None
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self._random = Random()  # noqa: S311 - spreads reconnects, guards nothing
        self._complained: set[tuple[str, str]] = set()
        self.connected = asyncio.Event()
        self.up_since_s: float | None = None

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        waits = delays(self._random, first_s=0.5, max_s=15.0)
        lost = False
        while True:
            try:
                async with self._new_client() as client:
                    await client.subscribe([(WORKER_UPLINKS, 1), (ALL_STATUS, 1)])
                    logger.info("broker connected host=%s", self._address.host)
                    waits = delays(self._random, first_s=0.5, max_s=15.0)
                    lost = False
                    self._set_up(client)
                    async for message in client.messages:
                        await self._receive(message)
                        # Its own iterator makes a task a message; what has come is read at once.
                        while not self._arrived.empty():
                            await self._receive(self._arrived.get_nowait())
            except MqttError as error:
                if not lost:
                    logger.error("broker lost, trying again error=%s", error)
                lost = True
            finally:
                self._set_down()
            await asyncio.sleep(next(waits))

    async def publish(self, topic: str, payload: bytes, *, qos: int) -> bool:
        """Send, False if there is no connection. With QoS 1, returns once the broker has it."""
        client = self._client
        if client is None:
            return False
        try:
            await client.publish(topic, payload, qos=qos)
        except MqttError as error:
            logger.debug("publish failed topic=%s error=%s", topic, error)
            return False
        return True

    async def acknowledge(self, batches: Sequence[Batch]) -> None:
        """Tell stations exactly which batches are committed. One that is lost is asked again."""
        named: dict[tuple[str, UUID], dict[Lane, list[int]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for batch in batches:
            uplink = batch.uplink
            named[batch.station.station_no, uplink.epoch][uplink.lane].append(uplink.seq)
        now_ms = self._clock.now_ms()
        for (station_no, epoch), lanes in named.items():
            committed = tuple((lane, tuple(seqs)) for lane, seqs in lanes.items())
            ack = encode(Ack(version=VERSION, epoch=epoch, committed=committed, hq_time_ms=now_ms))
            await self.publish(down_ack(station_no), ack, qos=0)

    def _new_client(self) -> Client:
        ca_file = self._address.tls_ca_file
        self._arrived = asyncio.Queue()
        client = BrokerClient(
            self._address.host,
            self._address.port,
            username=self._address.username,
            password=self._address.password,
            identifier=self._client_id,
            protocol=ProtocolVersion.V5,
            clean_start=True,
            keepalive=60,
            timeout=10,
            max_inflight_messages=200,
            queue_type=cast("type[asyncio.Queue[Message]]", lambda **_: self._arrived),
            confirm_at_once=True,
            read_at_once=True,
            tls_context=ssl.create_default_context(cafile=ca_file) if ca_file else None,
        )
        client.pending_calls_threshold = 10_000
        return client

    def _set_up(self, client: Client) -> None:
        self._client = client
        self.up_since_s = self._clock.monotonic_s()
        self.connected.set()
        metrics.BROKER_UP.set(1)

    def _set_down(self) -> None:
        self._client = None
        self.up_since_s = None
        self.connected.clear()
        metrics.BROKER_UP.set(0)

    async def _receive(self, message: Message) -> None:
        topic = str(message.topic)
        payload = message.payload
        if not isinstance(payload, bytes):
            return
        try:
            if (uplink := parse_up(topic)) is not None:
                await self._receive_up(*uplink, payload)
            elif (station_no := parse_status(topic)) is not None:
                await self._receive_status(station_no, payload)
        except MalformedContractError as error:
            metrics.BATCHES.labels("none", "malformed").inc()
            self._complain(topic, str(error))
        except Exception as error:  # noqa: BLE001 - told once, with its traceback
            if is_transient(error):
                # Not acknowledged, so its station sends it again when the database is back.
                metrics.BATCHES.labels("none", "database_away").inc()
                logger.warning("message dropped, the database is away error=%r", error)
            else:
                # One message must not end what takes in every station's facts.
                metrics.BATCHES.labels("none", "failed").inc()
                self._complain(topic, repr(error)[:200], error)

    async def _receive_up(self, station_no: str, lane: Lane, payload: bytes) -> None:
        station = await self._directory.get(station_no)
        if station is None:
            metrics.BATCHES.labels(lane, "unknown_station").inc()
            return
        self._sinks.on_heard(station)
        if lane is Lane.LIVE:
            await self._sinks.on_live(station, payload)
            return
        uplink = decode_uplink(payload)
        if uplink.station_no != station_no or uplink.lane is not lane:
            raise MalformedContractError(
                f"says {uplink.station_no}/{uplink.lane} on the topic of {station_no}/{lane}"
            )
        stream_id = await self._streams.get(station, uplink.epoch, lane)
        batch = Batch(station, uplink, stream_id, self._clock.now())
        if not self._sinks.batches[lane](batch):
            metrics.BATCHES.labels(lane, "no_room").inc()
            self._complain(station_no, "no room for batches, it has to send again")

    async def _receive_status(self, station_no: str, payload: bytes) -> None:
        station = await self._directory.get(station_no)
        if station is not None and payload:
            await self._sinks.on_status(station, decode_status(payload))

    def _complain(self, who: str, what: str, error: Exception | None = None) -> None:
        # Once per sender and reason: a broken station must not fill the log.
        if (who, what) not in self._complained and len(self._complained) < 1_000:
            self._complained.add((who, what))
            logger.error("message refused from=%s reason=%s", who, what, exc_info=error)
