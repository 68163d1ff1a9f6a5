"""One simulated charge point without its socket: bytes and time in, bytes out.

The parts (session, starts, charges, records, device) each handle some frame types and share
this object. Nothing here awaits; `charge_point.py` adds the socket and the event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from edge.devices.chargers.ykc.frames import Frame, FrameReader, Garbage
from edge.devices.chargers.ykc.messages import Message, parse
from ops.sim.book import Book
from ops.sim.charging import Charges
from ops.sim.connector import Connector
from ops.sim.device import Device
from ops.sim.events import ChargePointLog, SimEvent
from ops.sim.faults import GARBAGE, Faults
from ops.sim.meter import Meter
from ops.sim.records import Records
from ops.sim.session import Session
from ops.sim.starting import Starts
from ops.sim.timing import Timers, TimingProfile
from shared.clock import Clock
from shared.errors import MalformedMessageError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePointSpec:
    """What kind of charge point is simulated; power and current are per connector.

    `heartbeat_each_connector`: one heartbeat a connector instead of one for all, both seen in
    the field. `replay_first`: stored frames go out between 0x02 and 0x05, not after 0x06 as the
    document draws it.
    """

    charge_point_no: str
    connectors: int = 2
    time_zone: str = "Asia/Shanghai"
    rated_kw: int = 120
    rated_a: int = 250
    charge_point_type: int = 0
    protocol_version: int = 16
    program_version: str = "VW1.0.0"
    sim_no: str = "0" * 20
    heartbeat_each_connector: bool = False
    replay_first: bool = False
    bay_locks: bool = False


class Wire(Protocol):
    """The present connection."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the kernel, or queue them."""
        ...

    def close(self, reason: str) -> None:
        """End the connection."""
        ...


class Machine:
    """State of one charge point and its parts."""

    def __init__(
        self,
        spec: ChargePointSpec,
        *,
        book: Book,
        clock: Clock,
        timing: TimingProfile,
        seed: int = 0,
    ) -> None:
        self.spec = spec
        self.no = spec.charge_point_no
        self.book = book
        self.clock = clock
        self.timing = timing
        self.timers = Timers(clock)
        self.faults = Faults()
        self.log = ChargePointLog()
        self.zone = ZoneInfo(spec.time_zone)
        self.wire: Wire | None = None
        self.clock_offset_set_ms = 0  # by 0x56
        self.power_percent = 100
        self._reader = FrameReader()
        self._sequence = 0
        self._frames_sent = 0
        self._1970_offset_ms: int | None = None
        random = Random(f"{seed}/{self.no}")  # noqa: S311 - a simulation, not a secret
        self.connectors = {
            number: self._connector(number, random) for number in range(1, spec.connectors + 1)
        }
        self.session = Session(self)
        self.charges = Charges(self)
        self.starts = Starts(self)
        self.records = Records(self)
        self.device = Device(self)
        self._handlers: dict[type[Message], Callable[[Any, bytes], None]] = {
            **self.session.handlers(),
            **self.charges.handlers(),
            **self.starts.handlers(),
            **self.records.handlers(),
            **self.device.handlers(),
        }
        self.charges.recover()

    def _connector(self, number: int, random: Random) -> Connector:
        first_dwh = random.randrange(1_000_000, 100_000_000)
        meter_dwh = self.book.contents.meters_dwh.get((self.no, number), first_dwh)
        rated_w, rated_da = self.spec.rated_kw * 1000, self.spec.rated_a * 10
        return Connector(number, Meter(meter_dwh), rated_w, rated_da, self.zone)

    # Time

    def now_ms(self) -> int:
        """Return the simulation's wall clock."""
        return self.clock.now_ms()

    @property
    def clock_offset_ms(self) -> int:
        """How far this charge point's own clock is ahead of the simulation's."""
        faults = self.faults
        if faults.clock_1970:
            if self._1970_offset_ms is None:
                self._1970_offset_ms = -self.now_ms()
            return self._1970_offset_ms
        self._1970_offset_ms = None
        if faults.wrong_clock_s:
            return faults.wrong_clock_s * 1000
        return self.clock_offset_set_ms

    def device_ms(self) -> int:
        """Return the charge point's own clock."""
        return self.now_ms() + self.clock_offset_ms

    # What happened

    def emit(
        self, name: str, *, connector_no: int = 0, transaction_no: str = "", **detail: Any
    ) -> None:
        """Note that something happened."""
        event = SimEvent(
            index=self.log.next_index(),
            name=name,
            charge_point_no=self.no,
            connector_no=connector_no,
            transaction_no=transaction_no,
            at_s=self.clock.monotonic_s(),
            at_ms=self.now_ms(),
            detail=detail,
        )
        logger.debug("%s %s", self.no, event)
        self.log.add(event)

    # Frames

    def send(self, message: Message, sequence: bytes | None = None) -> bool:
        """Send a message; an answer carries the sequence bytes of its request.

        Returns False when there is no connection.
        """
        return self.send_body(message.KIND, message.build(), sequence)

    def send_body(self, kind: int, body: bytes, sequence: bytes | None = None) -> bool:
        """Send a body that is built already. Returns False when there is no connection."""
        if self.wire is None:
            return False
        faults = self.faults
        if sequence is None:
            sequence = self._sequence.to_bytes(2, "little")
        self._sequence = (self._sequence + 1) & 0xFFFF
        order = "high_first" if faults.high_crc else "low_first"
        raw = Frame(kind, body, sequence, 0, order).build()  # type: ignore[arg-type]
        self._frames_sent += 1
        if faults.garbage_every and self._frames_sent % faults.garbage_every == 0:
            raw = GARBAGE + raw
        self.wire.write(raw * (1 + faults.repeat))
        return True

    def receive(self, data: bytes) -> None:
        """Take in bytes from the platform; nothing that it sends ends the simulation."""
        for item in self._reader.feed(data, self.clock.monotonic_s()):
            if isinstance(item, Garbage):
                self.emit("bad_input", reason=item.reason, hex=item.data.hex())
                continue
            try:
                message = parse(item.kind, item.body)
            except MalformedMessageError as error:
                self.emit("bad_input", reason=str(error), hex=item.raw.hex())
                continue
            handle = self._handlers.get(type(message)) if message is not None else None
            if handle is None:
                self.emit("unknown_frame", kind=item.kind)
                continue
            handle(message, item.sequence)

    # Connection

    def link_up(self, wire: Wire) -> None:
        """Begin a conversation on a new connection."""
        self.wire = wire
        self._reader = FrameReader()
        self._sequence = 0
        self.emit("connected")
        self.session.begin()

    def link_down(self, reason: str) -> None:
        """The connection is gone; charging goes on."""
        if self.wire is None:
            return
        self.wire = None
        self.session.end()
        self.records.hold()
        self.starts.link_lost()
        self.emit("link_lost", reason=reason)

    def close(self, reason: str) -> None:
        """End the present connection, if there is one."""
        if self.wire is not None:
            self.wire.close(reason)
