"""Parallel charging: one vehicle on several connectors, an order each, settled together.

Orders of a station with one charge point and one `parallel_no` are a group. An order whose record
is in stays `ended` until the others have ended too; then all are billed, or estimated while one
of them is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, text

from cloud.orders.models import IN_A_GROUP, Order
from cloud.orders.rules import OrderState
from shared.contracts.words import EndKind

SPAN = timedelta(hours=24)
"""Charge points count a short number of groups: those further apart in time are others."""
HOLD_MAX = timedelta(hours=24, minutes=10)
"""How long an order waits for its group: a station closes by estimate what is unreachable for
24 hours, so who has not ended by then will not be heard of."""
_RECORDED = frozenset({EndKind.RECORD, EndKind.CORRECTED})
_WITHOUT_END = frozenset({OrderState.FAILED, OrderState.CANCELLED})


def state_in_group(members: Collection[Order]) -> OrderState:
    """Return the state of those of a group that would be billed on their own."""
    if any(each.ended_by is None and each.state not in _WITHOUT_END for each in members):
        return OrderState.ENDED
    if any(each.ended_by is EndKind.ESTIMATED for each in members):
        return OrderState.ESTIMATED
    return OrderState.BILLED


def waits(order: Order) -> bool:
    """Whether an order has its record and is only held by its group."""
    held = order.state in {OrderState.ENDED, OrderState.ESTIMATED}
    return bool(order.parallel_no) and held and order.ended_by in _RECORDED


async def members_of(session: AsyncSession, order: Order) -> Sequence[Order]:
    """Return the group of an order, itself among them; alone without a number of a group."""
    if not order.parallel_no:
        return [order]
    found = await session.scalars(
        select(Order).where(
            Order.operator_id == order.operator_id,
            Order.station_id == order.station_id,
            Order.charge_point_no == order.charge_point_no,
            Order.parallel_no == order.parallel_no,
            text(IN_A_GROUP),
            col(Order.created_at).between(order.created_at - SPAN, order.created_at + SPAN),
        )
    )
    return list({each.id: each for each in (order, *found)}.values())


async def held_too_long(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[Order]:
    """Return orders whose group has not ended in time, as they are now."""
    return (
        await session.scalars(
            select(Order)
            .where(
                Order.state == OrderState.ENDED,
                Order.parallel_no != "",
                col(Order.ended_by).in_(_RECORDED),
                Order.updated_at < now - HOLD_MAX,
            )
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    ).all()
