"""The protocols that charge points may speak: one line each."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

from msgspec import Struct

from edge.devices.chargers.protocol import Connection
from edge.devices.chargers.reports import Moment, RecordReceived
from edge.devices.chargers.timing import Timing
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.evidence import is_plain, is_record, read_record, redact


class ChargerProtocol(Struct, frozen=True):
    """What the station needs of a protocol.

    Attributes:
        new_connection: (link id, peer's address, station's zone, timing) → one conversation.
        redact: a raw frame without its passwords, None when it carries none.
        is_record: whether a raw frame is a transaction record, of which a second copy is kept.
        is_plain: whether a raw frame is neither that nor can carry a password.
        read_record: (such a frame, station's zone, when it came) → its report, or None.
    """

    new_connection: Callable[[int, str, ZoneInfo, Timing], Connection]
    redact: Callable[[bytes], bytes | None]
    is_record: Callable[[bytes], bool]
    is_plain: Callable[[bytes], bool]
    read_record: Callable[[bytes, ZoneInfo, Moment], RecordReceived | None]


PROTOCOLS: dict[str, ChargerProtocol] = {
    "ykc": ChargerProtocol(YkcConnection, redact, is_record, is_plain, read_record),
}
