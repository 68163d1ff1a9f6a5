"""YKC link layer: cut a byte stream into frames, and put frames on the wire.

Layout::

    68 | length u8 | sequence 2 | encryption u8 | kind u8 | body ... | crc 2
                   |<------------- length counts these ------------>|

Nothing here does I/O, keeps time or logs.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
from fastcrc import crc16

CrcOrder = Literal["low_first", "high_first"]

START: Final = 0x68
HEADER_SIZE: Final = 4  # sequence, encryption, kind: what `length` counts besides the body
OVERHEAD: Final = 4  # start and length before, crc after
MAX_BODY_SIZE: Final = 0xFF - HEADER_SIZE
MAX_FRAME_SIZE: Final = 0xFF + OVERHEAD
INCOMPLETE_LIMIT_S: Final = 1.0

NO_START: Final = "no start byte"
SHORT_LENGTH: Final = "length below 4"
BAD_CRC: Final = "bad crc"
INCOMPLETE: Final = "incomplete frame"

_START_BYTE = bytes((START,))
# The document prints polynomial 0x180D; its own samples and every charge point seen use MODBUS's.
_crc = crc16.modbus


class Frame(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One link-layer frame.

    `sequence` is the two bytes as they stand on the wire: an answer copies them verbatim,
    because senders disagree about their byte order. `encryption` is the whole byte; anything
    but 0 means that `body` is cipher text. `raw` is the frame as received, for the frame log
    only (empty for a frame made here); it is no part of equality and never used to build.
    """

    kind: int
    body: bytes
    sequence: bytes = b"\x00\x00"
    encryption: int = 0
    crc_order: CrcOrder = "low_first"
    raw: bytes = b""

    def build(self) -> bytes:
        """Return the frame as sent. Raises ValueError if a part cannot fit."""
        if len(self.sequence) != 2:
            raise ValueError(f"sequence of {len(self.sequence)} bytes, expected 2")
        if len(self.body) > MAX_BODY_SIZE:
            raise ValueError(f"body of {len(self.body)} bytes, at most {MAX_BODY_SIZE}")
        # bytes() raises ValueError itself for an encryption or kind outside 0..255.
        counted = self.sequence + bytes((self.encryption, self.kind)) + self.body
        order: Literal["little", "big"] = "little" if self.crc_order == "low_first" else "big"
        return bytes((START, len(counted))) + counted + _crc(counted).to_bytes(2, order)

    def _key(self) -> tuple[object, ...]:
        return self.kind, self.body, self.sequence, self.encryption, self.crc_order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frame) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


class Garbage(msgspec.Struct, frozen=True, gc=False):
    """Bytes that were part of no frame, and why the first of them was dropped."""

    data: bytes
    reason: str


def crc_order(raw: bytes) -> CrcOrder | None:
    """Return which CRC order makes `raw`, one whole frame, good; None if neither does."""
    expected = _crc(raw[2:-2])
    low, high = raw[-2], raw[-1]
    if low | high << 8 == expected:
        return "low_first"
    # Part of the market sends the high byte first: the document's printed C function swaps it.
    return "high_first" if low << 8 | high == expected else None


class FrameReader:
    """Cuts a stream into frames, whatever the chunks it arrives in.

    Bad input is a value, never an exception. At most one incomplete frame (258 bytes) is kept
    between calls. After a bad CRC the reader moves on by one byte, because the real frame may
    begin inside the bad one. Garbage that touches is one item a call.
    """

    __slots__ = ("_arrived_s", "_pending", "_since_s")

    def __init__(self) -> None:
        self._pending = b""
        self._since_s = 0.0  # when the first pending byte arrived
        self._arrived_s = 0.0  # when the last pending byte arrived

    @property
    def pending(self) -> bytes:
        """The bytes of the incomplete frame, if any."""
        return self._pending

    def feed(self, data: bytes, now_s: float | None = None) -> list[Frame | Garbage]:
        """Take in received bytes; return what they complete, in order.

        `now_s` is any monotonic clock in seconds; without it nothing grows old.
        """
        size = len(data)
        # One whole frame in one read is what a charge point nearly always sends.
        if not self._pending and size >= 8 and data[0] == START and data[1] == size - OVERHEAD:
            order = crc_order(data)
            if order is not None:
                return [Frame(data[5], data[6:-2], data[2:4], data[4], order, data)]
        had_pending = bool(self._pending)
        found, rest = split(self._pending + data)
        continued = had_pending and not found
        self._pending = rest
        if now_s is not None:
            if not continued:
                self._since_s = now_s
            self._arrived_s = now_s
            if rest and now_s - self._since_s >= INCOMPLETE_LIMIT_S:
                found += self.expire(now_s)
        return found

    def expire(self, now_s: float) -> list[Frame | Garbage]:
        """Drop an incomplete frame older than 1 s by its start byte and rescan the rest.

        A start byte in noise with a long length behind it would else swallow real frames
        until the length is reached.
        """
        dropped = b""
        found: list[Frame | Garbage] = []
        while self._pending and not found and now_s - self._since_s >= INCOMPLETE_LIMIT_S:
            dropped += self._pending[:1]
            found, self._pending = split(self._pending[1:])
            # What is left came no later than the last read.
            self._since_s = self._arrived_s
            if found and isinstance(found[0], Garbage):
                dropped += found[0].data
                del found[0]
        return [Garbage(dropped, INCOMPLETE), *found] if dropped else found

    def close(self) -> list[Frame | Garbage]:
        """Return what is left when no more bytes will come, as garbage and rescanned frames."""
        self._since_s = self._arrived_s = 0.0
        found: list[Frame | Garbage] = []
        while self._pending:
            found += self.expire(INCOMPLETE_LIMIT_S)
        return found


def split(data: bytes) -> tuple[list[Frame | Garbage], bytes]:
    """Return the frames and garbage in `data`, in order, and the incomplete frame at its end."""
    found: list[Frame | Garbage] = []
    position = garbage_from = 0
    reason = ""
    size = len(data)
    while position < size:
        item = _at(data, position)
        if item is None:
            break
        if isinstance(item, Frame):
            if position > garbage_from:
                found.append(Garbage(data[garbage_from:position], reason))
            found.append(item)
            position = garbage_from = position + len(item.raw)
            continue
        if position == garbage_from:
            reason = item
        start = data.find(_START_BYTE, position + 1)
        position = size if start < 0 else start
    if position > garbage_from:
        found.append(Garbage(data[garbage_from:position], reason))
    return found, data[position:]


def _at(data: bytes, position: int) -> Frame | str | None:
    """Return the frame at `position`, or why there is none, or None if more bytes are needed."""
    if data[position] != START:
        return NO_START
    if position + 1 == len(data):
        return None
    length = data[position + 1]
    if length < HEADER_SIZE:
        return SHORT_LENGTH
    end = position + length + OVERHEAD
    if end > len(data):
        return None
    raw = bytes(data[position:end])
    order = crc_order(raw)
    if order is None:
        return BAD_CRC
    return Frame(raw[5], raw[6:-2], raw[2:4], raw[4], order, raw)
