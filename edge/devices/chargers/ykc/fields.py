"""Wire types of YKC bodies: how each field is read, written and bounded.

A message class annotates its fields with the types at the end of this module; `Layout` turns
the annotations into one precompiled `struct.Struct` and the few conversions around it. Every
conversion is a bijection: what is read can be written back to the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any, Final, get_args, get_type_hints

import msgspec

TEMPERATURE_OFFSET_C: Final = -50
BMS_CURRENT_ZERO_RAW: Final = 4000  # raw × 0.1 A - 400 A
_PADDING = "\x00 \xff"


class Cp56Time(msgspec.Struct, frozen=True, gc=False):
    """A CP56Time2a with all its bits; local time of the station, no zone on the wire.

    `year` counts from 2000; `weekday` is 1 = Monday .. 7 = Sunday, 0 = not used;
    `invalid` and `summer` are the IV and SU bits, kept but not trusted: senders differ.
    `reserved` packs the eight bits without a meaning: minute bit 6, hour bits 5-6, month
    bits 4-7 and year bit 7, lowest first.
    """

    millisecond_of_minute: int
    minute: int
    hour: int
    day: int
    month: int
    year: int
    weekday: int = 0
    invalid: bool = False
    summer: bool = False
    reserved: int = 0

    @classmethod
    def parse(cls, raw: bytes) -> Cp56Time:
        """Read seven bytes; any seven bytes are a value."""
        milliseconds, minute, hour, day, month, year = _CP56.unpack(raw)
        reserved = (minute >> 6 & 1) | (hour >> 5 & 3) << 1 | month >> 4 << 3 | year >> 7 << 7
        return cls(
            milliseconds,
            minute & 0x3F,
            hour & 0x1F,
            day & 0x1F,
            month & 0x0F,
            year & 0x7F,
            day >> 5,
            minute >= 0x80,
            hour >= 0x80,
            reserved,
        )

    def build(self) -> bytes:
        """Return the seven bytes. Raises ValueError for a field wider than its bits."""
        bounds = zip(_CP56_FIELDS, msgspec.structs.astuple(self), _CP56_MAXIMA, strict=True)
        for name, value, maximum in bounds:
            if not 0 <= value <= maximum:
                raise ValueError(f"{name} is {value}, expected 0..{maximum}")
        return _CP56.pack(
            self.millisecond_of_minute,
            self.minute | (self.reserved & 1) << 6 | self.invalid << 7,
            self.hour | (self.reserved >> 1 & 3) << 5 | self.summer << 7,
            self.day | self.weekday << 5,
            self.month | (self.reserved >> 3 & 0xF) << 4,
            self.year | self.reserved >> 7 << 7,
        )

    @classmethod
    def from_utc(cls, instant: datetime, zone: tzinfo) -> Cp56Time:
        """Return `instant` (aware) as the wall clock of `zone`, truncated to milliseconds."""
        if instant.tzinfo is None:
            raise ValueError("instant without a zone")
        local = instant.astimezone(zone)
        if not 2000 <= local.year <= 2127:
            raise ValueError(f"year {local.year} does not fit, expected 2000..2127")
        milliseconds = local.second * 1000 + local.microsecond // 1000
        return cls(
            milliseconds, local.minute, local.hour, local.day, local.month, local.year - 2000
        )

    def to_local(self) -> datetime | None:
        """Return the wall-clock time, naive; None when no calendar has it."""
        second, milliseconds = divmod(self.millisecond_of_minute, 1000)
        try:
            return datetime(  # noqa: DTZ001 - the wire has no zone; to_utc() adds the station's
                2000 + self.year,
                self.month,
                self.day,
                self.hour,
                self.minute,
                second,
                milliseconds * 1000,
            )
        except ValueError:
            return None

    def to_utc(self, zone: tzinfo, near: datetime | None = None) -> datetime | None:
        """Return the instant in UTC, the wall clock being that of `zone`; None if impossible.

        In a daylight-saving fold the reading nearest to `near` (aware) wins, else the first.
        """
        local = self.to_local()
        if local is None:
            return None
        first = local.replace(tzinfo=zone).astimezone(UTC)
        if near is None:
            return first
        second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
        return min(first, second, key=lambda instant: abs(instant - near))

    @property
    def flags(self) -> str:
        """The set bits besides the time, as text: ``weekday=3 invalid summer reserved=0x01``."""
        parts = []
        if self.weekday:
            parts.append(f"weekday={self.weekday}")
        if self.invalid:
            parts.append("invalid")
        if self.summer:
            parts.append("summer")
        if self.reserved:
            parts.append(f"reserved=0x{self.reserved:02x}")
        return " ".join(parts)


_CP56 = struct.Struct("<HBBBBB")
_CP56_FIELDS = Cp56Time.__struct_fields__
_CP56_MAXIMA = (0xFFFF, 0x3F, 0x1F, 0x1F, 0x0F, 0x7F, 7, 1, 1, 0xFF)


# A byte that is no BCD (0x0A, 0xFF ...) reads as 256 + byte: no connector has such a number,
# and the byte is not lost.
_BCD_VALUES = tuple(
    (byte >> 4) * 10 + (byte & 0xF) if byte >> 4 <= 9 and byte & 0xF <= 9 else 256 + byte
    for byte in range(256)
)
_BCD_BYTES = {value: byte for byte, value in enumerate(_BCD_VALUES)}


class Codec(msgspec.Struct, frozen=True):
    """One field's place in the body: `struct` code, size, and conversions where needed."""

    code: str
    size: int
    read: Callable[[Any], Any] | None = None
    write: Callable[[Any], Any] | None = None
    what: str = "uint"


def _uint(size: int) -> Codec:
    """Return the codec of a little-endian unsigned integer."""
    code = {1: "B", 2: "H", 4: "I", 8: "Q"}.get(size)
    if code is not None:
        return Codec(code, size)

    def read(raw: bytes) -> int:
        return int.from_bytes(raw, "little")

    def write(value: int) -> bytes:
        return _to_bytes(value, size)

    return Codec(f"{size}s", size, read, write)


def _to_bytes(value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise ValueError(f"{value} does not fit {size} bytes")
    return value.to_bytes(size, "little")


def _hex(size: int) -> Codec:
    """Return the codec of digits: packed BCD that tolerates A-F, and opaque numbers."""

    def write(text: str) -> bytes:
        raw = bytes.fromhex(text)
        if len(raw) != size or len(text) != 2 * size:
            raise ValueError(f"{text!r} is not {2 * size} digits")
        return raw

    return Codec(f"{size}s", size, bytes.hex, write, "hex")


def _text(size: int, *, backwards: bool = False) -> Codec:
    """Return the codec of zero-padded text. Bytes above 0x7F are kept as Latin-1."""

    def read(raw: bytes) -> str:
        return (raw[::-1] if backwards else raw).rstrip(b"\x00").decode("latin-1")

    def write(text: str) -> bytes:
        raw = text.encode("latin-1")
        if len(raw) > size:
            raise ValueError(f"{text!r} is longer than {size} bytes")
        padded = raw.ljust(size, b"\x00")
        return padded[::-1] if backwards else padded

    return Codec(f"{size}s", size, read, write, "text")


def _octets(size: int) -> Codec:
    def write(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{len(value)} bytes, expected {size}")
        return value

    return Codec(f"{size}s", size, None, write, "octets")


def _write_bcd(value: int) -> int:
    try:
        return _BCD_BYTES[value]
    except KeyError:
        raise ValueError(f"{value} does not fit two decimal digits") from None


def _write_time(value: Cp56Time) -> bytes:
    return value.build()


class Layout:
    """The fixed part of a body, compiled from a message class's annotations."""

    __slots__ = ("codecs", "readers", "size", "struct", "unpack", "writers")

    def __init__(self, message: type[msgspec.Struct]) -> None:
        self.codecs: dict[str, Codec] = {}
        for name, hint in get_type_hints(message, include_extras=True).items():
            codec = next((arg for arg in get_args(hint) if isinstance(arg, Codec)), None)
            if codec is not None:
                self.codecs[name] = codec
        ordered = list(self.codecs.values())
        self.struct = struct.Struct("<" + "".join(codec.code for codec in ordered))
        self.unpack = self.struct.unpack
        self.size = self.struct.size
        self.readers = [(i, c.read) for i, c in enumerate(ordered) if c.read is not None]
        self.writers = [(i, c.write) for i, c in enumerate(ordered) if c.write is not None]

    def place(self, name: str) -> slice:
        """Return where the field `name` lies in the body."""
        names = list(self.codecs)
        start = sum(self.codecs[before].size for before in names[: names.index(name)])
        return slice(start, start + self.codecs[name].size)

    def read(self, body: bytes) -> list[Any]:
        """Return the values of `body`, which has exactly this layout's size."""
        values = list(self.unpack(body))
        for index, read in self.readers:
            values[index] = read(values[index])
        return values

    def write(self, message: msgspec.Struct) -> bytes:
        """Return the bytes of `message`. Raises ValueError naming the impossible field."""
        names = list(self.codecs)
        values = [getattr(message, name) for name in names]
        for index, write in self.writers:
            try:
                values[index] = write(values[index])
            except (ValueError, TypeError, AttributeError) as error:
                raise ValueError(f"{names[index]}: {error}") from error
        try:
            return self.struct.pack(*values)
        except struct.error:
            raise ValueError(self._impossible(names, values)) from None

    def _impossible(self, names: list[str], values: list[Any]) -> str:
        for name, value in zip(names, values, strict=True):
            try:
                struct.pack("<" + self.codecs[name].code, value)
            except struct.error as error:
                return f"{name} = {value!r}: {error}"
        return "values do not fit the layout"


def temperature_c(raw: int) -> int | None:
    """Return °C; None for raw 0, which means *not given*, not -50 °C."""
    return TEMPERATURES_C[raw]


TEMPERATURES_C: Final = (None, *(raw + TEMPERATURE_OFFSET_C for raw in range(1, 256)))
"""By raw byte."""


def bms_current_da(raw: int) -> int:
    """Return the magnitude in 0.1 A. The sign is not usable: senders count both ways."""
    return abs(raw - BMS_CURRENT_ZERO_RAW)


def two_bits(value: int, index: int) -> int:
    """Return the `index`-th 2-bit field of `value`, lowest first: 0..3."""
    return value >> 2 * index & 3


def clean_text(text: str) -> str:
    """Return `text` without the padding that charge points put around it."""
    return text.strip(_PADDING)


U8 = Annotated[int, _uint(1)]
U16 = Annotated[int, _uint(2)]
U24 = Annotated[int, _uint(3)]
U32 = Annotated[int, _uint(4)]
U40 = Annotated[int, _uint(5)]
U64 = Annotated[int, _uint(8)]
Hex2 = Annotated[str, _hex(2)]
Hex3 = Annotated[str, _hex(3)]
Hex4 = Annotated[str, _hex(4)]
Hex8 = Annotated[str, _hex(8)]
Hex10 = Annotated[str, _hex(10)]
Text4 = Annotated[str, _text(4)]
Text8 = Annotated[str, _text(8)]
Text16 = Annotated[str, _text(16)]
Text32 = Annotated[str, _text(32)]
Slots = Annotated[bytes, _octets(48)]

ChargePointNo = Annotated[str, _hex(7)]  # 14 digits
TransactionNo = Annotated[str, _hex(16)]  # 32 digits, zeros = none
TariffNo = Hex2  # 4 digits, 0000 = none
ParallelNo = Annotated[str, _hex(6)]  # YYMMDDhhmmss
Card = Hex8  # 16 digits; the physical one is opaque, echo it unchanged
Connector = Annotated[int, Codec("B", 1, _BCD_VALUES.__getitem__, _write_bcd, "bcd")]  # from 1
Vin = Annotated[str, _text(17)]
ReversedVin = Annotated[str, _text(17, backwards=True)]
Time = Annotated[Cp56Time, Codec("7s", 7, Cp56Time.parse, _write_time, "time")]
