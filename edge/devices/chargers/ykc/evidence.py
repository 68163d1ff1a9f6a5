"""What the frame log must know of YKC: which frames carry a password and which are records."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from edge.devices.chargers.reports import Moment, RecordReceived
from edge.devices.chargers.ykc import messages, translate
from edge.devices.chargers.ykc.frames import HEADER_SIZE, OVERHEAD, START, Frame, crc_order
from shared.errors import MalformedMessageError

_HEAD = 6  # bytes before the body
_RECORD = 0x3B
_SHORTEST = HEADER_SIZE + OVERHEAD
_SPECIAL_KINDS = frozenset({_RECORD, *messages.PASSWORD_PLACES})


def redact(raw: bytes) -> bytes | None:
    """Return the frame with its password zeroed and a new CRC; None when it carries none.

    The old CRC would tell sixteen bits of the password, and tools could not read the frame.
    What is no frame keeps its length, and no password of a frame that may begin anywhere in it.
    """
    whole = len(raw) >= _SHORTEST and _is_whole(raw)
    if whole and raw[5] not in messages.PASSWORD_PLACES:
        return None  # nearly all; a checksum of each would cost the frame log much
    order = crc_order(raw) if whole else None
    if order is None:
        return _mask(raw)
    place = messages.PASSWORD_PLACES[raw[5]]
    start, end = place.start, place.stop
    body = raw[_HEAD:-2]
    if len(body) < end or not any(body[start:end]):
        return None
    clean = body[:start] + bytes(end - start) + body[end:]
    return Frame(raw[5], clean, raw[2:4], raw[4], order).build()


def _mask(garbage: bytes) -> bytes | None:
    clean = bytearray(garbage)
    start = garbage.find(START)
    while start >= 0:
        place = messages.PASSWORD_PLACES.get(garbage[start + 5]) if start + 5 < len(clean) else None
        if place is not None:
            begin = start + _HEAD + place.start
            end = min(start + _HEAD + place.stop, len(clean))
            clean[begin:end] = bytes(max(end - begin, 0))
        start = garbage.find(START, start + 1)
    return bytes(clean) if clean != garbage else None


def is_record(raw: bytes) -> bool:
    """Return whether this is a transaction record."""
    return len(raw) >= _SHORTEST and raw[5] == _RECORD and _is_whole(raw)


def is_plain(raw: bytes) -> bool:
    """Return whether this is a whole frame of a kind that is no record and has no password."""
    size = len(raw)
    return (
        size >= _SHORTEST
        and raw[0] == START
        and raw[1] == size - OVERHEAD
        and raw[5] not in _SPECIAL_KINDS
    )


def read_record(raw: bytes, zone: ZoneInfo, at: Moment) -> RecordReceived | None:
    """Return what a transaction record of the frame log said when it came."""
    if not is_record(raw):
        return None
    try:
        message = messages.parse(_RECORD, raw[_HEAD:-2])
    except MalformedMessageError:
        return None
    if not isinstance(message, messages.TransactionRecord):
        return None
    record, suspect = translate.record(message, zone, at)
    return RecordReceived(at, record.charge_point_no, record, raw, 0, suspect)


def _is_whole(raw: bytes) -> bool:
    return raw[0] == START and raw[1] + OVERHEAD == len(raw)
