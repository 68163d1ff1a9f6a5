"""The seam between the gateway, which knows sockets, and a protocol, which knows none.

A `Connection` is the conversation on one TCP connection: bytes and moments in, `Received` out.
It does no I/O and never raises on what a peer sent.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct, field

from edge.devices.chargers.reports import AnyReport, Moment
from edge.devices.chargers.wishes import AnyWish


class Logged:
    """Directions of a frame in the frame log."""

    IN = "<"
    OUT = ">"
    GARBAGE = "!"


class Received(Struct, gc=False):
    """What came of one piece of input.

    Attributes:
        reports: Facts, in order; the gateway publishes them on the bus.
        writes: Frames for the peer, in order; written before anything waits.
        frames: What the frame log keeps: (charge point number or "", direction, raw bytes).
        close_reason: Not "" when the link is to be closed after the writes.
    """

    reports: list[AnyReport] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)
    frames: list[tuple[str, str, bytes]] = field(default_factory=list)
    close_reason: str = ""


class Connection(Protocol):
    """One conversation. All methods return at once."""

    def receive(self, data: bytes, now: Moment) -> Received:
        """Take in bytes that arrived now."""
        ...

    def wish(self, wish: AnyWish, now: Moment) -> Received:
        """Carry out a wish for a number that has logged in here."""
        ...

    def tick(self, now: Moment) -> Received:
        """Do what time demands: silence, retries, half a frame. Called about once a second."""
        ...

    def committed(self, token: int, now: Moment) -> Received:
        """Confirm what `RecordReceived.token` named: it is durable now."""
        ...

    def lost(self, reason: str, now: Moment) -> Received:
        """The peer is gone: report every number that was logged in here as lost."""
        ...

    def charge_point_nos(self) -> tuple[str, ...]:
        """Return the numbers that are logged in here."""
        ...
