"""What the frame log must know of YKC: which frames carry a password and which are records."""

from __future__ import annotations

from edge.devices.chargers.ykc.frames import HEADER_SIZE, OVERHEAD, START, Frame, crc_order

_HEAD = 6  # bytes before the body
# Frame type -> where the password stands in the body.
_PASSWORDS = {0x31: (18, 34), 0xA1: (18, 34), 0x94: (44, 60)}
_RECORD = 0x3B
_SHORTEST = HEADER_SIZE + OVERHEAD


def redact(raw: bytes) -> bytes | None:
    """Return the frame with its password zeroed and a new CRC; None when it carries none.

    The old CRC would tell sixteen bits of the password, and tools could not read the frame.
    """
    if len(raw) < _SHORTEST or raw[5] not in _PASSWORDS or not _is_whole(raw):
        return None
    start, end = _PASSWORDS[raw[5]]
    order = crc_order(raw)
    body = raw[_HEAD:-2]
    if order is None or len(body) < end or not any(body[start:end]):
        return None
    clean = body[:start] + bytes(end - start) + body[end:]
    return Frame(raw[5], clean, raw[2:4], raw[4], order).build()


def is_record(raw: bytes) -> bool:
    """Return whether this is a transaction record."""
    return len(raw) >= _SHORTEST and raw[5] == _RECORD and _is_whole(raw)


def _is_whole(raw: bytes) -> bool:
    return raw[0] == START and raw[1] + OVERHEAD == len(raw)
