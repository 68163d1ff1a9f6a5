"""Frames as plain objects for people and programs that read a log: hex in, dicts out.

No frame is skipped and no byte is lost: what is no frame comes out as garbage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from edge.devices.chargers.ykc.dialect import YKC16, Dialect
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.frames import (
    BAD_CRC,
    HEADER_SIZE,
    INCOMPLETE,
    NO_START,
    OVERHEAD,
    SHORT_LENGTH,
    START,
    crc_order,
)
from edge.devices.chargers.ykc.messages import MESSAGES, Message, parse
from shared.errors import MalformedMessageError

_LOG_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\S+)\s+(?P<direction>[<>!])\s*(?P<hex>\S*)(?P<mark>.*)"
)
_DIRECTIONS = {"<": "in", ">": "out", "!": "garbage"}
_SEPARATORS = str.maketrans("", "", " \t\r\n:,-")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_NOT_HEX = "not hexadecimal"


def decode_lines(
    lines: Iterable[str | bytes] | str | bytes, dialect: Dialect = YKC16
) -> Iterator[dict[str, Any]]:
    """Return one object a frame, in order, with the garbage between them.

    A text line holds hex: a frame, a stream of frames, or a line of the frame log, whose time
    and direction are then added as ``at`` and ``direction`` and whose mark, if any, as ``mark``.
    Empty lines and lines that begin with ``#`` are passed over. Bytes are the frames themselves.
    Frames do not continue on the next line.
    """
    if isinstance(lines, bytes):
        yield from decode_bytes(lines, dialect)
        return
    for line in lines.splitlines() if isinstance(lines, str) else lines:
        if isinstance(line, bytes):
            yield from decode_bytes(line, dialect)
        else:
            yield from _decode_text(line.strip(), dialect)


def decode_bytes(data: bytes, dialect: Dialect = YKC16) -> Iterator[dict[str, Any]]:
    """Return one object a frame in `data`, in order, with the garbage between them."""
    position = garbage_from = 0
    reason = ""
    while position < len(data):
        end, bad = _frame_at(data, position)
        if end is not None:
            if garbage_from < position:
                yield _garbage(data[garbage_from:position], reason)
            yield _decode_frame(data[position:end], dialect)
            position = garbage_from = end
            continue
        if position == garbage_from:
            reason = bad
        position += 1
    if garbage_from < position:
        yield _garbage(data[garbage_from:], reason)


def is_good(item: dict[str, Any]) -> bool:
    """Return whether `item` is a frame with a good CRC and a body that could be read."""
    return "garbage" not in item and "error" not in item and item["crc"] != "bad"


def fields_of(message: Message) -> dict[str, Any]:
    """Return the fields of `message` and what its properties derive from them, as plain values.

    Numbers are in the unit that the name ends with; identifiers and texts are text; a time is
    ISO 8601 without zone, None if impossible, and ``<name>_flags`` tells what else it carries.
    """
    plain: dict[str, Any] = {}
    for name in message.__struct_fields__:
        _add(plain, name, getattr(message, name))
    if not message.tail:
        del plain["tail"]
    for name in _derived(type(message)):
        value = getattr(message, name)
        if not isinstance(value, tuple):  # a second view of fields that are there already
            plain[name] = value
    return plain


def _decode_text(line: str, dialect: Dialect) -> Iterator[dict[str, Any]]:
    if not line or line.startswith("#"):
        return
    extra: dict[str, Any] = {}
    logged = _LOG_LINE.fullmatch(line)
    digits = line
    if logged:
        digits = logged["hex"]
        extra = {"at": logged["at"], "direction": _DIRECTIONS[logged["direction"]]}
        if mark := logged["mark"].strip():
            extra["mark"] = mark
    digits = digits.translate(_SEPARATORS).removeprefix("0x")
    if not _HEX_DIGITS.issuperset(digits):
        yield {"garbage": line.encode().hex(), "reason": _NOT_HEX}
        return
    # A line that was cut in the middle of a byte still shows what came before.
    whole = len(digits) // 2 * 2
    for item in decode_bytes(bytes.fromhex(digits[:whole]), dialect):
        yield item | extra
    if digits[whole:]:
        yield {"garbage": digits[whole:], "reason": "half a byte"} | extra


def _frame_at(data: bytes, position: int) -> tuple[int | None, str]:
    """Return where the frame at `position` ends, or None and why there is none.

    A frame with a bad CRC counts as one if its length leads to the end of the data or to the
    next start byte and no good frame begins inside it.
    """
    if data[position] != START:
        return None, NO_START
    if position + 1 == len(data):
        return None, INCOMPLETE
    length = data[position + 1]
    if length < HEADER_SIZE:
        return None, SHORT_LENGTH
    end = position + length + OVERHEAD
    if end > len(data):
        return None, INCOMPLETE
    if crc_order(data[position:end]):
        return end, ""
    fits = end == len(data) or data[end] == START
    if fits and not any(_is_good_frame(data, inside) for inside in range(position + 1, end)):
        return end, ""
    return None, BAD_CRC


def _is_good_frame(data: bytes, position: int) -> bool:
    if data[position] != START or position + 1 >= len(data) or data[position + 1] < HEADER_SIZE:
        return False
    end = position + data[position + 1] + OVERHEAD
    return end <= len(data) and crc_order(data[position:end]) is not None


def _decode_frame(raw: bytes, dialect: Dialect) -> dict[str, Any]:
    kind, body, encryption = raw[5], raw[6:-2], raw[4]
    known = MESSAGES.get(kind) if kind not in dialect.foreign_kinds else None
    item: dict[str, Any] = {
        "kind": f"0x{kind:02X}",
        "name": known.NAME if known else "unknown",
        "crc": crc_order(raw) or "bad",
        "sequence": raw[2:4].hex(),
        "encryption": encryption,
        "fields": {},
    }
    try:
        # Cipher text has no fields; the document does not say how it is made.
        message = parse(kind, body, dialect) if encryption == 0 else None
    except MalformedMessageError as error:
        item["error"] = error.reason
        message = None
    item["fields"] = {"body": body.hex()} if message is None else fields_of(message)
    return item


def _garbage(data: bytes, reason: str) -> dict[str, Any]:
    return {"garbage": data.hex(), "reason": reason}


def _derived(message: type[Message]) -> Iterator[str]:
    for owner in reversed(message.__mro__):
        if issubclass(owner, Message):
            yield from (name for name, value in vars(owner).items() if isinstance(value, property))


def _add(plain: dict[str, Any], name: str, value: object) -> None:
    match value:
        case Cp56Time():
            local = value.to_local()
            plain[name] = None if local is None else local.isoformat(timespec="milliseconds")
            flags = value.flags if local else f"raw={value.build().hex()}"
            if flags:
                plain[f"{name}_flags"] = flags
        case bytes():
            plain[name] = value.hex()
        case tuple():
            plain[name] = msgspec.to_builtins([_row(part) for part in value])
        case _:
            plain[name] = value


def _row(part: object) -> object:
    """Return a named row of a list as a dict; plain text stays."""
    as_dict = getattr(part, "_asdict", None)
    return as_dict() if as_dict is not None else part
