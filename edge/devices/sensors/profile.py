"""A model of a Modbus device, from one TOML file: where its values stand and what they mean.

Pure: reading files apart, nothing here does I/O. `decode` turns what the wire gave into a value
with its quality, `encode` is its inverse, for whoever plays a device.
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.devices.sensors.lines import BAUDS
from shared.contracts.protection import CONTACTS, NAME_MAX, OF_CONNECTORS, Quality, Quantity
from shared.errors import ConfigError

ADDRESS_MAX = 0xFFFF
_DIGITS = 6
"""A scaled value is rounded to so many decimals: 0.1 × 305 is 30.5, not 30.500000000000004."""


class Table(StrEnum):
    """One of the four tables of a Modbus device."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


BIT_TABLES = frozenset({Table.COIL, Table.DISCRETE})


class ValueType(StrEnum):
    """How a raw value is laid out; each 16 bits take a register."""

    BIT = "bit"
    UINT16 = "uint16"
    INT16 = "int16"
    UINT32 = "uint32"
    INT32 = "int32"
    FLOAT32 = "float32"
    UINT64 = "uint64"
    INT64 = "int64"
    FLOAT64 = "float64"


_FORMATS = {
    ValueType.UINT16: ">H",
    ValueType.INT16: ">h",
    ValueType.UINT32: ">I",
    ValueType.INT32: ">i",
    ValueType.FLOAT32: ">f",
    ValueType.UINT64: ">Q",
    ValueType.INT64: ">q",
    ValueType.FLOAT64: ">d",
}
_FLOATS = frozenset({ValueType.FLOAT32, ValueType.FLOAT64})


class WordOrder(StrEnum):
    """Which register of a wide value comes first on the wire."""

    HIGH_FIRST = "high_first"
    LOW_FIRST = "low_first"


class Parity(StrEnum):
    """As pyserial names them."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where it is written: every field is required, because a guessed register is a hazard."""

    title: str
    url: str
    page: str


class SerialDefaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the model leaves the factory; what holds on site stands with the line."""

    baud: int = 9600
    parity: Parity = Parity.NONE
    stop_bits: int = 1


class Point(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value of a device.

    `address` counts from 0, as on the wire. A number is `raw × scale + offset`. A contact is 1
    when its raw value (or `bit` of the register) is one of `alarm_values` (a bit that is set,
    unless told otherwise) or, with `normal_values` alone, none of those; with both, what is in
    neither is invalid. `invalid` are raw values that mean that there is none;
    outside `min`…`max` (in the quantity's unit) a value cannot be. Safety points are read in
    every round of their line, the others every `period_s`.
    """

    name: str
    quantity: Quantity
    table: Table
    address: int
    type: ValueType
    word_order: WordOrder = WordOrder.HIGH_FIRST
    scale: float = 1.0
    offset: float = 0.0
    bit: int | None = None
    alarm_values: tuple[int, ...] = ()
    normal_values: tuple[int, ...] = ()
    invalid: tuple[int, ...] = ()
    min: float | None = None
    max: float | None = None
    safety: bool = False
    writable: bool = False
    period_s: float = 5.0
    title_zh: str
    title_en: str

    @property
    def width(self) -> int:
        """Registers (or bits, in a table of bits) that the value takes."""
        return 1 if self.type is ValueType.BIT else struct.calcsize(_FORMATS[self.type]) // 2

    @property
    def is_contact(self) -> bool:
        """Whether the value is 0 or 1."""
        return self.quantity in CONTACTS


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model. `model` is its name in the protection document and that of its file."""

    model: str
    maker: str
    title_zh: str
    title_en: str
    source: Source
    points: tuple[Point, ...] = msgspec.field(name="point")
    serial: SerialDefaults = SerialDefaults()

    def find(self, name: str) -> Point | None:
        """Return the point of that name, or None."""
        return next((point for point in self.points if point.name == name), None)


def load_profiles(extra: Path | None = None) -> dict[str, Profile]:
    """Return all models by name: those that ship, and those of the folder `extra`.

    A model of `extra` takes the place of one that ships under the same name.

    Raises:
        ConfigError: A file is wrong, or `extra` is no folder; the message names file and field.
    """
    profiles = dict(_read_folder(files(__package__).joinpath("profiles")))
    if extra is not None:
        if not extra.is_dir():
            raise ConfigError(f"sensors.profile_dir: {extra} is no folder")
        profiles.update(_read_folder(extra))
    return profiles


def _read_folder(folder: Traversable) -> Iterator[tuple[str, Profile]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".toml"):
            try:
                text = entry.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{entry}: cannot be read: {error}") from error
            profile = parse_profile(text, str(entry))
            if f"{profile.model}.toml" != entry.name:
                raise ConfigError(f"{entry}: model: {profile.model!r} must be the file's name")
            yield profile.model, profile


def parse_profile(text: str, file: str) -> Profile:
    """Return the model that a TOML text describes; `file` is named in errors.

    Raises:
        ConfigError: Not TOML, or a field is missing, unknown or wrong.
    """
    try:
        profile = msgspec.convert(tomllib.loads(text), Profile)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {_in_words(error)}") from error
    for field, why in _faults(profile):
        raise ConfigError(f"{file}: {field}: {why}")
    return profile


def _in_words(error: msgspec.ValidationError) -> str:
    """Put the field first: `point[2].address: Expected `int`, got `str``."""
    why, at, where = str(error).partition(" - at `$")
    return f"{where.strip('`').lstrip('.')}: {why}" if at else why


def _faults(profile: Profile) -> Iterator[tuple[str, str]]:
    for field in ("model", "maker", "title_zh", "title_en"):
        if not getattr(profile, field).strip():
            yield field, "must not be empty"
    for field in Source.__struct_fields__:
        if not getattr(profile.source, field).strip():
            yield f"source.{field}", "must say where the registers are written down"
    if profile.serial.baud not in BAUDS:
        yield "serial.baud", f"use one of {', '.join(map(str, BAUDS))}"
    if profile.serial.stop_bits not in (1, 2):
        yield "serial.stop_bits", "use 1 or 2"
    if not profile.points:
        yield "point", "a model has at least one"
    names = [point.name for point in profile.points]
    for index, point in enumerate(profile.points):
        if names.index(point.name) != index:
            yield f"point[{index}].name", f"{point.name!r} is used twice"
        for field, why in _point_faults(point):
            yield f"point[{index}].{field}", f"{why} (point {point.name!r})"


def _point_faults(point: Point) -> Iterator[tuple[str, str]]:
    if not 0 < len(point.name) <= NAME_MAX or "/" in point.name:
        yield "name", f"1 to {NAME_MAX} letters without /"
    if not point.title_zh.strip() or not point.title_en.strip():
        yield "title_zh", "both titles must be given"
    if point.quantity in OF_CONNECTORS:
        yield "quantity", f"{point.quantity} comes from charge points, not from sensors"
    if not 0 <= point.address <= ADDRESS_MAX + 1 - point.width:
        yield "address", f"0 to {ADDRESS_MAX}, counted from 0 as on the wire"
    if not 0.05 <= point.period_s <= 3600:
        yield "period_s", "0.05 to 3600 seconds"
    if point.min is not None and point.max is not None and point.min > point.max:
        yield "min", "is above max"
    yield from _layout_faults(point)


def _layout_faults(point: Point) -> Iterator[tuple[str, str]]:
    is_bit = point.type is ValueType.BIT
    if is_bit != (point.table in BIT_TABLES):
        yield "type", f"a {point.table} cannot be {point.type}"
    if point.bit is not None and (is_bit or point.type is not ValueType.UINT16):
        yield "bit", "only a uint16 register has bits to pick"
    if point.bit is not None and not 0 <= point.bit <= 15:
        yield "bit", "0 to 15, from the lowest"
    if point.writable and point.table is not Table.COIL:
        yield "writable", "only coils are written"
    if point.scale == 0:
        yield "scale", "must not be 0"
    if not point.is_contact:
        if is_bit or point.bit is not None or point.alarm_values or point.normal_values:
            yield "quantity", f"{point.quantity} is a number, not a contact"
        return
    if point.type in _FLOATS:
        yield "type", "a contact is a whole number"
    if not (is_bit or point.bit is not None or point.alarm_values or point.normal_values):
        yield "alarm_values", "say which raw values of the register mean 1"
    if both := set(point.alarm_values) & set(point.normal_values):
        yield "normal_values", f"{sorted(both)} cannot be alarm and normal at once"


def decode(point: Point, raw: Sequence[int | bool]) -> tuple[float | None, Quality]:
    """Return the value of a point and its quality; None unless it is good.

    `raw` are the registers (or the bit) from the point's address on; too few are invalid.
    """
    if len(raw) < point.width:
        return None, Quality.INVALID
    number = _number(point, raw)
    if isinstance(number, float) and not math.isfinite(number):
        return None, Quality.INVALID
    if number in point.invalid:
        return None, Quality.INVALID
    if point.is_contact:
        return _contact(point, int(number))
    value = round(number * point.scale + point.offset, _DIGITS)
    if (point.min is not None and value < point.min) or (
        point.max is not None and value > point.max
    ):
        return None, Quality.INVALID
    return value, Quality.GOOD


def _number(point: Point, raw: Sequence[int | bool]) -> int | float:
    if point.type is ValueType.BIT:
        return int(bool(raw[0]))
    if point.type is ValueType.UINT16:
        register = int(raw[0])
        return register if point.bit is None else register >> point.bit & 1
    words = [int(word) for word in raw[: point.width]]
    if point.word_order is WordOrder.LOW_FIRST:
        words.reverse()
    number: int | float = struct.unpack(
        _FORMATS[point.type], struct.pack(f">{len(words)}H", *words)
    )[0]
    return number


def _contact(point: Point, number: int) -> tuple[float | None, Quality]:
    if point.normal_values and not point.alarm_values:
        return float(number not in point.normal_values), Quality.GOOD
    if number in (point.alarm_values or (1,)):
        return 1.0, Quality.GOOD
    if point.normal_values and number not in point.normal_values:
        return None, Quality.INVALID
    return 0.0, Quality.GOOD


def encode(point: Point, value: float | None, held: Sequence[int] = ()) -> list[int]:
    """Return the registers (or the bit) in which a device says `value`; None: it has none.

    `held` is what the registers hold now: of a point that is one bit, the others are kept.

    Raises:
        ValueError: The value does not fit, or the model has no way to say that it has none.
    """
    number = _raw(point, value)
    if point.type is ValueType.BIT:
        return [int(number)]
    if point.bit is not None:
        others = (held[0] if held else 0) & ~(1 << point.bit)
        return [others | int(number) << point.bit]
    try:
        packed = struct.pack(_FORMATS[point.type], number)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{point.name}: {value} does not fit a {point.type}") from error
    words = list(struct.unpack(f">{point.width}H", packed))
    return words[::-1] if point.word_order is WordOrder.LOW_FIRST else words


def _raw(point: Point, value: float | None) -> int | float:
    if value is None:
        if point.invalid:
            return point.invalid[0]
        if point.type in _FLOATS:
            return math.nan
        raise ValueError(f"{point.name}: this model cannot say that it has no value")
    if point.is_contact:
        return _raw_contact(point, on=bool(value))
    number = (value - point.offset) / point.scale
    return number if point.type in _FLOATS else round(number)


def _raw_contact(point: Point, *, on: bool) -> int:
    normal = point.normal_values
    if on and normal and not point.alarm_values:
        return next(number for number in range(len(normal) + 1) if number not in normal)
    alarms = point.alarm_values or (1,)
    if on:
        return alarms[0]
    if normal:
        return normal[0]
    return next(number for number in range(len(alarms) + 1) if number not in alarms)
