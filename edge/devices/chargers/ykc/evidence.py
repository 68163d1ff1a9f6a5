"""What the frame log must know of YKC: which frames carry a password and which are records."""

from __future__ import annotations

from edge.devices.chargers.ykc.frames import HEADER_SIZE, OVERHEAD, START, Frame, crc_order

_HEAD = 6  # bytes before the body
# Frame type -> where the password stands in the body.
_PASSWORDS = {0x31: (18, 34), 0xA1: (18, 34), 0x94: (44, 60)}
_RECORD = 0x3B


def redact(raw: bytes) -> bytes | None:
    """Return the frame with its password zeroed and a new CRC; None when it carries none.

    The old CRC would tell sixteen bits of the password, and tools could not read the frame.
    """
    span = _PASSWORDS.get(_kind(raw))
    order = crc_order(raw) if span else None
    if span is None or order is None:
        return None
    start, end = span
    body = raw[_HEAD:-2]
    if len(body) < end or not any(body[start:end]):
        return None
    clean = body[:start] + bytes(end - start) + body[end:]
    frame = Frame(raw[5], clean, raw[2:4], raw[4], order)
    return frame.build()


def is_record(raw: bytes) -> bool:
    """Return whether this is a transaction record."""
    return _kind(raw) == _RECORD


def _kind(raw: bytes) -> int:
    whole = len(raw) >= HEADER_SIZE + OVERHEAD and raw[0] == START
    return raw[5] if whole and raw[1] + OVERHEAD == len(raw) else -1
