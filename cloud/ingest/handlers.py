"""What slices see of ingest: a fact, where it comes from, and an open transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.core.after_commit import AfterCommit
from shared.contracts.events import Event


@dataclass(frozen=True, slots=True)
class Ingested:
    """Where a fact comes from. `after` collects effects for after the commit.

    `received_at` is HQ's time. `zone` is the station's. `stream_id` and `seq` say where in a
    lane the batch stands: a batch that was set aside is handled after those that came later.
    """

    operator_id: UUID
    station_id: UUID
    station_no: str
    zone: ZoneInfo
    received_at: datetime
    stream_id: int = 0
    seq: int = 0
    after: AfterCommit = field(default_factory=AfterCommit)

    def no_later(self, at: datetime) -> datetime:
        """Return a station's time, or HQ's where the station's clock is ahead.

        For whatever the latest word decides: a clock that once was years ahead would have the
        last word for as long.
        """
        return min(at, self.received_at)


Handler = Callable[[AsyncSession, Ingested, Any], Awaitable[None]]
"""`async def on_x(session, context, event)`: idempotent, no commit. An exception parks the
whole batch, so refuse only what can never be handled."""
FactsHandler = Callable[[AsyncSession, Sequence[tuple[Ingested, Any]]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Together:
    """A handler that takes all of its facts of a transaction at once, in their order.

    A few statements for many facts instead of a few for each. It is called before those that
    take facts singly, so what it does must not depend on theirs.
    """

    handle: FactsHandler

    async def __call__(self, session: AsyncSession, context: Ingested, event: Any) -> None:
        """Handle one fact that comes alone."""
        await self.handle(session, [(context, event)])


Handlers = Mapping[type[Event], Handler]
"""A slice's table. Several slices may name one event; they are called in layer order."""


def merge(*tables: Handlers) -> dict[type[Event], tuple[Handler, ...]]:
    """Return all handlers by event, in the order of the tables."""
    merged: dict[type[Event], tuple[Handler, ...]] = {}
    for table in tables:
        for event, handler in table.items():
            merged[event] = (*merged.get(event, ()), handler)
    return merged
