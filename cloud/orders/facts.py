"""Facts of transactions as rows: finding their order, storing them once, reading them back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from msgspec import json, msgpack
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.ingest.handlers import Ingested
from cloud.orders.models import Fact, Order
from cloud.orders.rules import EndRole, Known, OrderState, end_role, is_same_transaction
from shared.clock import to_ms
from shared.contracts.events import (
    AnyEvent,
    CommandSettled,
    Event,
    TransactionAuthorized,
    TransactionEnded,
    TransactionEvent,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)
from shared.ids import uuid7

_encoder = msgpack.Encoder(order="deterministic")
_decoder: msgpack.Decoder[AnyEvent] = msgpack.Decoder(AnyEvent)


async def lock_orders(session: AsyncSession, station_id: UUID) -> None:
    """Let one at a time write a station's orders: two lanes may make the same order at once."""
    key = sa.func.hashtextextended(f"orders:{station_id}", 0)
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


async def find_or_make_order(
    session: AsyncSession, context: Ingested, event: TransactionEvent
) -> Order:
    """Return the order of a transaction: by order id, transaction id, transaction number.

    A transaction that nobody announced makes an order of its own.
    """
    found = await _by_order_id(session, context, event)
    if found is None:
        found = await session.scalar(
            select(Order).where(
                Order.operator_id == context.operator_id,
                Order.station_id == context.station_id,
                Order.transaction_id == event.transaction_id,
            )
        )
    reused = False
    if found is None:
        found, reused = await _by_transaction_no(session, context, event)
    if found is None:
        found = await _make_order(session, context, event, reused=reused)
    if found.transaction_id is None:
        found.transaction_id = event.transaction_id
        found.transaction_no = plain_text(event.transaction_no)
        session.add(found)
    return found


async def store_fact(session: AsyncSession, context: Ingested, order: Order, event: Event) -> bool:
    """Store a fact; False if it is there already."""
    role = None
    if isinstance(event, TransactionEnded):
        known = await known_of(session, order)
        role = end_role(event, stands=known.record)
        if role is EndRole.REPEAT:
            return False
    body = _encoder.encode(event)
    inserted = await session.execute(
        insert(Fact)
        .values(
            id=uuid7(to_ms(context.received_at)),
            operator_id=order.operator_id,
            order_id=order.id,
            kind=type(event).__name__,
            role=role,
            digest=hashlib.sha256(body).digest(),
            occurred_at=event.occurred_at,
            received_at=context.received_at,
            body=body,
        )
        .on_conflict_do_nothing()
        .returning(col(Fact.id))
    )
    return inserted.first() is not None


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
        ((read_fact(row), row.role) for row in sorted(rows, key=_canonical)),
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


def _canonical(fact: Fact) -> tuple[datetime, str, bytes]:
    return fact.occurred_at, fact.kind, fact.digest


async def _by_order_id(
    session: AsyncSession, context: Ingested, event: TransactionEvent
) -> Order | None:
    if event.order_id is None:
        return None
    order = await session.get(Order, event.order_id)
    if order is None or order.station_id != context.station_id:
        return None
    # One wish may have started two transactions; only the first of them is this order.
    return order if order.transaction_id in {None, event.transaction_id} else None


async def _by_transaction_no(
    session: AsyncSession, context: Ingested, event: TransactionEvent
) -> tuple[Order | None, bool]:
    """Return the order under the same number, and whether the number was used by another.

    A station that lost its disk gives a transaction that HQ knows a new id; its number stays.
    """
    candidates = (
        await session.scalars(
            select(Order)
            .where(
                Order.operator_id == context.operator_id,
                Order.station_id == context.station_id,
                Order.transaction_no == plain_text(event.transaction_no),
                Order.charge_point_no == event.charge_point_no,
                Order.connector_no == event.connector_no,
            )
            .order_by(col(Order.id).desc())
        )
    ).all()
    record = event.record if isinstance(event, TransactionEnded) else None
    for order in candidates:
        known = await known_of(session, order)
        standing = known.record.record if known.record is not None else None
        if is_same_transaction(record, standing):
            return order, False
    return None, bool(candidates)


async def _make_order(
    session: AsyncSession, context: Ingested, event: TransactionEvent, *, reused: bool
) -> Order:
    order_id = event.order_id
    if order_id is None or await session.get(Order, order_id) is not None:
        order_id = uuid7(to_ms(context.received_at))
    order = Order(
        id=order_id,
        operator_id=context.operator_id,
        station_id=context.station_id,
        transaction_id=event.transaction_id,
        transaction_no=plain_text(event.transaction_no),
        charge_point_no=event.charge_point_no,
        connector_no=event.connector_no,
        state=OrderState.REQUESTED,
        created_at=context.received_at,
        updated_at=context.received_at,
        flags=["transaction_no_reused"] if reused else [],
    )
    session.add(order)
    await session.flush()
    return order
