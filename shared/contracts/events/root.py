"""What all facts have in common, and what several of them carry."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.contracts.topics import Lane
from shared.contracts.words import TokenKind

Instant = Annotated[datetime, Meta(tz=True)]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=True):
    """Root of all facts. `occurred_at` is the station's time."""

    lane: ClassVar[Lane] = Lane.STATE

    occurred_at: Instant


class Token(Struct, frozen=True):
    """Who asks to charge: a card's physical number (16 hex digits), a VIN or an account."""

    kind: TokenKind
    value: str


class FrameReference(Struct, frozen=True):
    """Where raw frames stand in the station's frame log, and what they must hash to."""

    file: str
    first_line: int
    last_line: int
    sha256: str
