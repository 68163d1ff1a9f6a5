"""The link's life: connect, say on-line, send, listen, and come back after a while when lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from edge.journal import Journal
from edge.telemetry import Telemetry
from edge.uplink.downlink import Downlink
from edge.uplink.mqtt import Broker, Connection, LinkLostError
from edge.uplink.publisher import Publisher, SentMessage
from shared.backoff import delays
from shared.clock import Clock
from shared.contracts import topics
from shared.contracts.envelope import Ack, CommandEnvelope, Status, encode
from shared.contracts.live import LiveUpdate, encode_live
from shared.contracts.topics import Lane

logger = logging.getLogger(__name__)

_STABLE_S = 60.0
"""A connection that lasted so long was a good one: the next attempt comes soon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """How the link behaves; times are real seconds, whatever the clock's scale."""

    broker: Broker
    backoff_first_s: float = 1.0
    backoff_max_s: float = 60.0
    resend_after_s: float = 5.0
    """Without progress for so long, batches are sent again; doubles up to `resend_max_s`."""
    resend_max_s: float = 40.0
    telemetry_in_flight_max: int = 8
    live_period_s: float = 1.0
    reachable_s: float = 90.0
    """HQ is in reach for so long after an acknowledgement; an idle station gets one a minute."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """The link as a screen shows it."""

    connected: bool
    since: datetime | None
    """When it came to be as it is."""
    last_error: str
    unacknowledged: Mapping[Lane, int]
    """Facts of each lane that HQ has not confirmed."""
    backlog_records: int
    """Telemetry records that HQ has not confirmed."""
    connections: int
    sent: int
    resent: int
    malformed: int
    retained_ignored: int
    hq_offset_ms: int | None
    foreign_acks: int
    """Acknowledgements of an epoch that is not ours: a store was replaced meanwhile."""


class Link:
    """One station's link. Make it on the event loop and keep `run` in a task."""

    def __init__(
        self,
        settings: LinkSettings,
        *,
        station_no: str,
        journal: Journal,
        telemetry: Telemetry,
        clock: Clock,
        random: Random,
        on_command: Callable[[CommandEnvelope], None],
        live_update: Callable[[bool], LiveUpdate | None],
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            settings: Where and how.
            station_no: The station's short number.
            journal: Facts come from here and are deleted when HQ has them.
            telemetry: So do samples.
            clock: For stamps, and monotonic for time-outs.
            random: Spreads the attempts to connect.
            on_command: Given each command, at once, on the event loop; must not block.
            live_update: Given whether everything is wanted; None when nothing has changed.
            on_connected: Called after each connection, for `StationStateReported`.
        """
        self._settings = settings
        self._station_no = station_no
        self._journal = journal
        self._telemetry = telemetry
        self._clock = clock
        self._random = random
        self._live_update = live_update
        self._on_connected = on_connected
        self._publisher = Publisher(
            station_no=station_no,
            journal=journal,
            telemetry=telemetry,
            clock=clock,
            window_max=settings.telemetry_in_flight_max,
            resend_after_s=settings.resend_after_s,
            resend_max_s=settings.resend_max_s,
        )
        self._downlink = Downlink(station_no, on_ack=self._take_ack, on_command=on_command)
        self._work = asyncio.Event()
        self._watched = asyncio.Event()
        self._watched_until_s = 0.0
        self._live_whole = True
        self._connected = False
        self._acknowledged_s: float | None = None
        self._since: datetime | None = None
        self._last_error = ""
        self._connections = 0
        journal.on_ready(self._work.set)
        telemetry.on_ready(self._work.set)

    @property
    def connected(self) -> bool:
        """Whether HQ's broker is in reach."""
        return self._connected

    @property
    def hq_reachable(self) -> bool:
        """Whether HQ itself answers: its broker may be up while nobody works behind it."""
        if not self._connected or self._acknowledged_s is None:
            return False
        return self._clock.monotonic_s() - self._acknowledged_s < self._settings.reachable_s

    @property
    def state(self) -> LinkState:
        """The link as a screen shows it."""
        return LinkState(
            connected=self._connected,
            since=self._since,
            last_error=self._last_error,
            unacknowledged=self._journal.unacknowledged,
            backlog_records=self._telemetry.records,
            connections=self._connections,
            sent=self._publisher.sent,
            resent=self._publisher.resent,
            malformed=self._downlink.counters.malformed,
            retained_ignored=self._downlink.counters.retained,
            hq_offset_ms=self._publisher.hq_offset_ms,
            foreign_acks=self._publisher.foreign_acks,
        )

    def watch(self, lease_s: float) -> None:
        """Feed the live lane for so long from now, beginning with everything."""
        self._watched_until_s = self._clock.monotonic_s() + lease_s
        self._live_whole = True
        self._watched.set()

    async def run(self) -> None:
        """Hold the link, for ever; ends only by cancellation."""
        pauses = self._pauses()
        while True:
            started_s = self._clock.monotonic_s()
            try:
                await self._connect()
            except LinkLostError as error:
                self._note_lost(str(error))
            except Exception as error:
                # A bug here must end neither the agent nor the link for good.
                logger.exception("link failed")
                self._note_lost(f"failed: {error}")
            if self._clock.monotonic_s() - started_s >= _STABLE_S:
                pauses = self._pauses()
            await asyncio.sleep(next(pauses))

    def _pauses(self) -> Iterator[float]:
        settings = self._settings
        return delays(self._random, first_s=settings.backoff_first_s, max_s=settings.backoff_max_s)

    async def _connect(self) -> None:
        """Hold one connection until it is lost. Always ends with LinkLostError or cancellation."""
        status_topic = topics.status(self._station_no)
        # The will carries the time of its own connection: whoever knows a later on-line can
        # tell that an off-line is of the connection before.
        at_ms = self._clock.now_ms()
        epoch = self._journal.epoch
        will = encode(Status(online=False, at_ms=at_ms, epoch=epoch))
        async with Connection(
            self._settings.broker, identifier=self._station_no, will_topic=status_topic, will=will
        ) as connection:
            # HQ sends acknowledgements with QoS 0; a broker that would raise them to QoS 1 costs
            # two segments a batch, a twelfth of all that the link carries.
            await connection.subscribe(topics.down_ack(self._station_no), qos=0)
            await connection.subscribe(topics.down_command(self._station_no), qos=1)
            online = encode(Status(online=True, at_ms=at_ms, epoch=epoch))
            connection.send(status_topic, online, qos=1, retain=True)
            self._note_connected()
            try:
                await _together(
                    self._send_batches(connection),
                    self._send_live(connection),
                    self._listen(connection),
                )
            except asyncio.CancelledError:
                # We leave in good order, so the broker sends no will: say it ourselves.
                with contextlib.suppress(LinkLostError):
                    connection.send(status_topic, will, qos=1, retain=True)
                raise

    def _note_connected(self) -> None:
        logger.info("link up broker=%s:%d", self._settings.broker.host, self._settings.broker.port)
        self._connected = True
        self._since = self._clock.now()
        self._connections += 1
        self._live_whole = True
        self._publisher.reset()
        self._on_connected()

    def _note_lost(self, reason: str) -> None:
        if self._connected or self._last_error != reason:
            logger.warning("link down: %s", reason)
        if self._connected or self._since is None:
            self._since = self._clock.now()
        self._connected = False
        self._last_error = reason

    async def _send_batches(self, connection: Connection) -> None:
        def send(lane: Lane, message: bytes) -> SentMessage:
            return connection.send(topics.up(self._station_no, lane), message, qos=1)

        while True:
            self._work.clear()
            await self._publisher.pump(send)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.resend_after_s / 4):
                    await self._work.wait()

    async def _send_live(self, connection: Connection) -> None:
        topic = topics.up(self._station_no, Lane.LIVE)
        while True:
            await self._watched.wait()
            if self._clock.monotonic_s() >= self._watched_until_s:
                self._watched.clear()
                continue
            update = self._live_update(self._live_whole)
            if update is not None:
                self._live_whole = False
                connection.send(topic, encode_live(update), qos=0)
            await asyncio.sleep(self._settings.live_period_s)

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.messages():
            payload = message.payload if isinstance(message.payload, bytes) else b""
            self._downlink.feed(str(message.topic), payload, retained=bool(message.retain))
        raise LinkLostError("the broker closed the connection")

    def _take_ack(self, ack: Ack) -> None:
        self._acknowledged_s = self._clock.monotonic_s()
        self._publisher.take_ack(ack)
        self._work.set()


async def _together(*parts: Coroutine[None, None, None]) -> None:
    """Run all parts until one fails, end the others, raise what the first of them raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except BaseExceptionGroup as failures:
        lost, bugs = failures.split(LinkLostError)
        if lost is None or bugs is not None:
            raise
        raise LinkLostError(str(lost.exceptions[0])) from lost
