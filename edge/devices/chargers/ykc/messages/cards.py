"""Offline cards: lists that the charge point keeps for the time without a platform."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from edge.devices.chargers.ykc.dialect import YKC16, Dialect
from edge.devices.chargers.ykc.fields import U8, ChargePointNo
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink
from shared.errors import MalformedMessageError

_CARD = 8
_CLEARED = _CARD + 2
_CLEARED_WITHOUT_FLAG = _CARD + 1
_QUERIED = _CARD + 1


class OfflineCard(NamedTuple):
    """A card that may charge offline; both numbers are 16 digits."""

    logical_card: str
    physical_card: str


class ClearedCard(NamedTuple):
    """One result of 0x45; `cleared` (0 failed, 1 cleared) is None if the sender leaves it out."""

    physical_card: str
    cleared: int | None
    reason: int


class QueriedCard(NamedTuple):
    """One result of 0x47: `present` is 0 or 1."""

    physical_card: str
    present: int


@downlink(0x44, "offline cards sync", "离线卡数据同步")
class OfflineCardsSync(Message, frozen=True, gc=False):
    """Insert or overwrite; at most 15 cards fit, 11 keep to the document's 200 bytes."""

    charge_point_no: ChargePointNo
    cards: tuple[OfflineCard, ...]

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        charge_point_no, items, tail = _counted(cls, body, 2 * _CARD, dialect)
        cards = tuple(OfflineCard(item[:_CARD].hex(), item[_CARD:].hex()) for item in items)
        return cls(charge_point_no, cards, tail=tail)

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent."""
        numbers = [number for card in self.cards for number in card]
        return _build_counted(self, len(self.cards), numbers)


class CardsBody(Message, frozen=True, gc=False):
    """A counted list of physical cards."""

    charge_point_no: ChargePointNo
    physical_cards: tuple[str, ...]

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        charge_point_no, items, tail = _counted(cls, body, _CARD, dialect)
        return cls(charge_point_no, tuple(item.hex() for item in items), tail=tail)

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent."""
        return _build_counted(self, len(self.physical_cards), self.physical_cards)


@downlink(0x46, "offline cards clear", "离线卡数据清除")
class OfflineCardsClear(CardsBody, frozen=True, gc=False):
    """At most 24 cards, 23 to keep to 200 bytes."""


@downlink(0x48, "offline cards query", "离线卡数据查询")
class OfflineCardsQuery(CardsBody, frozen=True, gc=False):
    """At most 26 cards, 23 to keep to 200 bytes."""


@uplink(0x43, "offline cards sync answer", "离线卡数据同步应答")
class OfflineCardsSyncAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # 0 failure, 1 success
    reason: U8 = 0  # 1 bad card number, 2 no space


@uplink(0x45, "offline cards clear answer", "离线卡数据清除应答")
class OfflineCardsClearAnswer(Message, frozen=True, gc=False):
    """No count on the wire: the size tells. `reason`: 1 bad card number."""

    charge_point_no: ChargePointNo
    cards: tuple[ClearedCard, ...]

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        del dialect
        # The table has a flag byte for each card, the document's sample leaves it out.
        sizes = (_CLEARED, _CLEARED_WITHOUT_FLAG)
        charge_point_no, items = _uncounted(cls, body, sizes)
        cards = tuple(
            ClearedCard(item[:_CARD].hex(), item[-2] if len(item) == _CLEARED else None, item[-1])
            for item in items
        )
        return cls(charge_point_no, cards)

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent.

        Nine bytes a card are ambiguous from ten cards on: ten of nine read as nine of ten.
        """
        if len({card.cleared is None for card in self.cards}) > 1:
            raise ValueError("cards: some with and some without the cleared flag")
        items = [
            _card(card.physical_card)
            + bytes((card.reason,) if card.cleared is None else (card.cleared, card.reason))
            for card in self.cards
        ]
        return _build_uncounted(self, items)


@uplink(0x47, "offline cards query answer", "离线卡数据查询应答")
class OfflineCardsQueryAnswer(Message, frozen=True, gc=False):
    """No count on the wire: the size tells."""

    charge_point_no: ChargePointNo
    cards: tuple[QueriedCard, ...]

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        del dialect
        charge_point_no, items = _uncounted(cls, body, (_QUERIED,))
        return cls(charge_point_no, tuple(QueriedCard(i[:_CARD].hex(), i[_CARD]) for i in items))

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent."""
        items = [_card(card.physical_card) + bytes((card.present,)) for card in self.cards]
        return _build_uncounted(self, items)


def _counted(
    message: type[Message], body: bytes, item_size: int, dialect: Dialect
) -> tuple[Any, list[bytes], bytes]:
    """Return the charge point number, the items and the tail of a list with a count byte."""
    size = message.LAYOUT.size
    start = size + 1
    end = start + body[size] * item_size if len(body) > size else start
    if len(body) < end or (len(body) > end and message.KIND not in dialect.long_bodies):
        raise MalformedMessageError(message.KIND, f"{len(body)} bytes, expected {end}")
    items = [body[at : at + item_size] for at in range(start, end, item_size)]
    return message.LAYOUT.read(body[:size])[0], items, body[end:]


def _uncounted(
    message: type[Message], body: bytes, item_sizes: tuple[int, ...]
) -> tuple[Any, list[bytes]]:
    """Return the charge point number and the items, of the first size that divides the rest."""
    size = message.LAYOUT.size
    rest = len(body) - size
    item_size = next((n for n in item_sizes if rest % n == 0), None)
    if rest < 0 or item_size is None:
        expected = " or ".join(f"{size}+{n}n" for n in item_sizes)
        raise MalformedMessageError(message.KIND, f"{len(body)} bytes, expected {expected}")
    items = [body[at : at + item_size] for at in range(size, len(body), item_size)]
    return message.LAYOUT.read(body[:size])[0], items


def _build_counted(message: Message, count: int, numbers: list[str] | tuple[str, ...]) -> bytes:
    if count > 0xFF:
        raise ValueError(f"{count} cards, at most 255")
    cards = b"".join(map(_card, numbers))
    return message.LAYOUT.write(message) + bytes((count,)) + cards + message.tail


def _build_uncounted(message: Message, items: list[bytes]) -> bytes:
    if message.tail:
        raise ValueError("tail: would read as another card")
    return message.LAYOUT.write(message) + b"".join(items)


def _card(number: str) -> bytes:
    raw = bytes.fromhex(number)
    if len(raw) != _CARD or len(number) != 2 * _CARD:
        raise ValueError(f"card {number!r} is not 16 digits")
    return raw
