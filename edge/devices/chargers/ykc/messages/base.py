"""What every message has: a kind, names, one `parse` and one `build`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Self, TypeVar

import msgspec

from edge.devices.chargers.ykc.dialect import YKC16, Dialect
from edge.devices.chargers.ykc.fields import Layout
from shared.errors import MalformedMessageError


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A message body. Field values are the wire's integers, in the unit of the name's ending:

    ``_dv`` 0.1 V, ``_cv`` 0.01 V, ``_da`` 0.1 A, ``_dwh`` 0.0001 kWh = 0.1 Wh, ``_e4`` 0.0001
    yuan, ``_e5`` 0.00001 yuan, ``_fen``, ``_min``, ``_percent``. ``_raw`` is a wire value with
    an offset; the property without the ending converts it. Codes are open: any byte is kept.
    Identifiers are digits as text, lower case.

    `tail` holds what a vendor appended to the body of the document.
    """

    KIND: ClassVar[int]
    NAME: ClassVar[str]
    NAME_ZH: ClassVar[str]
    UPLINK: ClassVar[bool]
    LAYOUT: ClassVar[Layout]

    tail: bytes = b""

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        layout = cls.LAYOUT
        if len(body) != layout.size:
            return cls._parse_long(body, dialect)
        values = list(layout.unpack(body))
        for index, read in layout.readers:
            values[index] = read(values[index])
        make: Callable[..., Self] = cls
        return make(*values)

    @classmethod
    def _parse_long(cls, body: bytes, dialect: Dialect) -> Self:
        size = cls.LAYOUT.size
        if len(body) < size or cls.KIND not in dialect.long_bodies:
            raise MalformedMessageError(cls.KIND, f"{len(body)} bytes, expected {size}")
        make: Callable[..., Self] = cls
        return make(*cls.LAYOUT.read(body[:size]), tail=body[size:])

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent."""
        return self.LAYOUT.write(self) + self.tail


MessageClass = TypeVar("MessageClass", bound=type[Message])


def uplink(kind: int, name: str, name_zh: str) -> Callable[[MessageClass], MessageClass]:
    """Make the class the message `kind`, sent by charge points."""
    return _describe(kind, name, name_zh, uplink=True)


def downlink(kind: int, name: str, name_zh: str) -> Callable[[MessageClass], MessageClass]:
    """Make the class the message `kind`, sent by the platform."""
    return _describe(kind, name, name_zh, uplink=False)


def _describe(
    kind: int, name: str, name_zh: str, *, uplink: bool
) -> Callable[[MessageClass], MessageClass]:
    def describe(message: MessageClass) -> MessageClass:
        message.KIND = kind
        message.NAME = name
        message.NAME_ZH = name_zh
        message.UPLINK = uplink
        message.LAYOUT = Layout(message)
        return message

    return describe
