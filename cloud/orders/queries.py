"""Questions about orders: lists, the detail with its timeline, the review queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import and_, col, func, or_, select, text
from sqlmodel.sql.expression import SelectOfScalar

from cloud.billing.models import Bill
from cloud.orders.models import IN_A_GROUP, Order, Review
from cloud.orders.rules import OrderState
from cloud.stations import lookup
from shared.clock import to_ms
from shared.contracts.words import TokenKind
from shared.tokens import normalise

_LONGEST = timedelta(days=7)
"""No order is open for longer before it ends."""


class OrderFilter(Struct, frozen=True, kw_only=True):
    """Which orders are wanted; what is left empty does not restrict."""

    station_no: str = ""
    state: OrderState | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    charge_point_no: str = ""
    connector_no: int | None = None
    token: str = ""
    transaction_no: str = ""
    parallel_no: str = ""


async def filtered(
    session: AsyncSession, operator_id: UUID, wanted: OrderFilter
) -> SelectOfScalar[Order]:
    """Return the statement for a filter. Raises StationNotFoundError."""
    statement = select(Order).where(Order.operator_id == operator_id)
    if wanted.station_no:
        station = await lookup.station_by_no(session, operator_id, wanted.station_no)
        statement = statement.where(Order.station_id == station.id)
    if wanted.created_from is not None:
        statement = statement.where(Order.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        statement = statement.where(Order.created_at < wanted.created_to)
    equal = {
        col(Order.state): wanted.state,
        col(Order.charge_point_no): wanted.charge_point_no,
        col(Order.connector_no): wanted.connector_no,
        col(Order.transaction_no): wanted.transaction_no,
        col(Order.parallel_no): wanted.parallel_no,
    }
    for column, value in equal.items():
        if value not in {None, ""}:
            statement = statement.where(column == value)
    if wanted.parallel_no:
        statement = statement.where(text(IN_A_GROUP))
    return statement.where(_has_token(wanted.token)) if wanted.token else statement


def _has_token(value: str) -> ColumnElement[bool]:
    forms = {kind: normalise(kind, value) for kind in TokenKind}
    return or_(
        *(
            and_(col(Order.token_kind) == kind, col(Order.token_value) == form)
            for kind, form in forms.items()
        )
    )


async def find_order(
    session: AsyncSession, operator_id: UUID | None, reference: str
) -> Order | None:
    """Return an order by its id, its transaction's id or its transaction number.

    Without `operator_id` all operators are searched: for HQ's own command line only.
    """
    statement = select(Order)
    if operator_id is not None:
        statement = statement.where(Order.operator_id == operator_id)
    try:
        key = UUID(reference)
    except ValueError:
        by_id = []
    else:
        by_id = [Order.id == key, Order.transaction_id == key]
    # 32 digits are a transaction number and look like a UUID too.
    for condition in (*by_id, Order.transaction_no == reference):
        newest = statement.where(condition).order_by(col(Order.id).desc()).limit(1)
        found: Order | None = await session.scalar(newest)
        if found is not None:
            return found
    return None


async def open_reviews(
    session: AsyncSession, operator_id: UUID, *, cause: str, limit: int
) -> Sequence[tuple[Review, Order, Bill | None]]:
    """Return what waits for a decision, oldest first, with the order and its last bill."""
    statement = (
        select(Review, Order)
        .join(Order, col(Order.id) == col(Review.order_id))
        .where(Review.operator_id == operator_id, col(Review.decided_at).is_(None))
        .order_by(col(Review.id))
        .limit(limit)
    )
    if cause:
        statement = statement.where(col(Review.causes).contains([cause]))
    rows = (await session.execute(statement)).all()
    bills = await _last_bills(session, [order.id for _review, order in rows])
    return [(review, order, bills.get(order.id)) for review, order in rows]


async def _last_bills(session: AsyncSession, order_ids: Sequence[UUID]) -> dict[UUID, Bill]:
    rows = await session.scalars(
        select(Bill).where(col(Bill.order_id).in_(order_ids)).order_by(col(Bill.version))
    )
    return {bill.order_id: bill for bill in rows}


class DayTotals(Struct, frozen=True):
    """What ended on a day."""

    orders: int
    energy_dwh: int
    payable_fen: int


async def ended_since(
    session: AsyncSession, operator_id: UUID, since: Mapping[UUID, datetime]
) -> DayTotals:
    """Sum the orders that ended at each station at or after an instant of its own."""
    if not since:
        return DayTotals(0, 0, 0)
    by_instant: dict[datetime, list[UUID]] = {}
    for station_id, instant in since.items():
        by_instant.setdefault(instant, []).append(station_id)
    # Ids begin with HQ's time: the key itself keeps the sum from reading years of orders.
    oldest = UUID(int=to_ms(min(by_instant) - _LONGEST) << 80)
    row = (
        await session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(Order.energy_dwh), 0),
                func.coalesce(func.sum(Order.payable_fen), 0),
            ).where(
                Order.operator_id == operator_id,
                Order.id >= oldest,
                or_(
                    *(
                        and_(col(Order.station_id).in_(ids), col(Order.ended_at) >= instant)
                        for instant, ids in by_instant.items()
                    )
                ),
            )
        )
    ).one()
    return DayTotals(int(row[0]), int(row[1]), int(row[2]))


async def newest(session: AsyncSession, operator_id: UUID, *, limit: int) -> Sequence[Order]:
    """Return an operator's newest orders."""
    statement = select(Order).where(Order.operator_id == operator_id)
    return (await session.scalars(statement.order_by(col(Order.id).desc()).limit(limit))).all()
