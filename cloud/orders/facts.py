"""Facts of transactions as rows: reading them, and what is known from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from msgspec import json, msgpack
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.orders.models import Fact, Order
from cloud.orders.rules import EndRole, Known
from shared.contracts.events import (
    AnyEvent,
    CommandSettled,
    Event,
    TransactionAuthorized,
    TransactionEnded,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)

_decoder: msgpack.Decoder[AnyEvent] = msgpack.Decoder(AnyEvent)

Canonical = tuple[datetime, str, bytes]


async def lock_orders(session: AsyncSession, *station_ids: UUID) -> None:
    """Let one at a time write a station's orders: two lanes may make the same order at once."""
    # Sorted, so that two with the same stations cannot wait for each other.
    keys = sa.literal(sorted(f"orders:{each}" for each in station_ids), sa.ARRAY(sa.Text))
    key = sa.func.unnest(keys).table_valued("key").render_derived().c.key
    lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))
    await session.execute(sa.select(lock))


async def facts_of(session: AsyncSession, order_id: UUID) -> Sequence[Fact]:
    """Return an order's facts in the order in which they happened."""
    return (
        await session.scalars(
            select(Fact)
            .where(Fact.order_id == order_id)
            .order_by(col(Fact.occurred_at), col(Fact.id))
        )
    ).all()


class Gathered:
    """What is known of an order, kept fact by fact; the same in whatever order they come.

    The earliest of each kind stands, and the latest of those that take each other's place.
    """

    def __init__(self) -> None:
        self._known = Known()
        self._places: dict[str, Canonical] = {}

    def known(self, *, cancelled: bool) -> Known:
        """Return it; it changes with the next fact."""
        self._known.cancelled = cancelled
        return self._known

    def add(self, place: Canonical, event: Event, role: EndRole | None) -> None:
        """Take in a fact that was not taken in before."""
        match event:
            case TransactionAuthorized():
                self._first("authorized", place, event)
            case TransactionStarted():
                self._first("started", place, event)
            case TransactionStartFailed():
                self._first("start_failed", place, event)
            case TransactionUnreachable():
                self._last("unreachable", place, event)
            case TransactionResumed():
                self._last("resumed", place, event)
            case CommandSettled():
                self._last("start_outcome", place, event.outcome)
                self._last("start_reason", place, event.reason)
            case TransactionEnded() if role is EndRole.RECORD:
                self._first("record", place, event)
            case TransactionEnded() if role is EndRole.ESTIMATE:
                self._first("estimate", place, event)
            case TransactionEnded() if role is EndRole.DISPUTE:
                self._known.disputes += 1

    def _first(self, name: str, place: Canonical, value: object) -> None:
        if name not in self._places or place < self._places[name]:
            self._set(name, place, value)

    def _last(self, name: str, place: Canonical, value: object) -> None:
        if name not in self._places or place > self._places[name]:
            self._set(name, place, value)

    def _set(self, name: str, place: Canonical, value: object) -> None:
        self._places[name] = place
        setattr(self._known, name, value)


async def known_of(session: AsyncSession, order: Order) -> Known:
    """Return all that is known of an order, in a form that does not depend on arrival."""
    gathered = Gathered()
    for fact in await facts_of(session, order.id):
        gathered.add(canonical(fact), read_fact(fact), fact.role)
    return gathered.known(cancelled=order.cancelled_at is not None)


def read_fact(fact: Fact) -> AnyEvent:
    """Return the event of a fact."""
    event: AnyEvent = _decoder.decode(fact.body)
    return event


def fact_as_json(fact: Fact) -> bytes:
    """Return the event of a fact as JSON, for people and programs."""
    return json.encode(read_fact(fact))


def plain_text(text: str) -> str:
    """Return text without NUL, which PostgreSQL cannot hold and a charge point can send."""
    return text.replace("\x00", "")


def canonical(fact: Fact) -> Canonical:
    """Return a fact's place among those of its order, the same in whatever order they came."""
    return fact.occurred_at, fact.kind, fact.digest
