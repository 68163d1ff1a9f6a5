"""Facts of transactions as rows: reading them, and what is known from all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


async def known_of(session: AsyncSession, order: Order) -> Known:
    """Return all that is known of an order, in a form that does not depend on arrival."""
    rows = await facts_of(session, order.id)
    return gather(
        ((read_fact(row), row.role) for row in sorted(rows, key=canonical)),
        cancelled=order.cancelled_at is not None,
    )


def gather(facts: Iterable[tuple[Event, EndRole | None]], *, cancelled: bool) -> Known:
    """Sort facts, in canonical order, into what is known: the earliest of each kind stands."""
    known = Known(cancelled=cancelled)
    for event, role in facts:
        match event:
            case TransactionAuthorized():
                known.authorized = known.authorized or event
            case TransactionStarted():
                known.started = known.started or event
            case TransactionStartFailed():
                known.start_failed = known.start_failed or event
            case TransactionUnreachable():
                known.unreachable = event
            case TransactionResumed():
                known.resumed = event
            case CommandSettled():
                known.start_outcome, known.start_reason = event.outcome, event.reason
            case TransactionEnded() if role is EndRole.RECORD:
                known.record = known.record or event
            case TransactionEnded() if role is EndRole.ESTIMATE:
                known.estimate = known.estimate or event
            case TransactionEnded() if role is EndRole.DISPUTE:
                known.disputes += 1
    return known


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
