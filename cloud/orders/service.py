"""What can be done with orders. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from cloud.access import service as access
from cloud.billing import service as billing
from cloud.billing.models import Bill, BillKind
from cloud.billing.rules import Cause
from cloud.core.commands import CommandRow, enqueue_command
from cloud.core.errors import BusinessError, NotFoundError
from cloud.core.security import Staff
from cloud.orders import groups
from cloud.orders.facts import lock_orders
from cloud.orders.models import Decision, Order, Review
from cloud.orders.rules import OrderState, may_follow
from cloud.orders.settling import find_open_review, move, note_exposure
from cloud.stations import lookup
from shared.clock import to_ms
from shared.contracts.commands import StartTransaction, StopTransaction
from shared.contracts.events import Token
from shared.contracts.words import StartMeans
from shared.ids import uuid7

START_LIFE = timedelta(seconds=30)
"""A start that reaches the station later never runs."""


_LOST_AFTER = timedelta(days=8)
"""A day is the longest charge, and a station may be away for a week."""
_RUNNING = (OrderState.AUTHORISED, OrderState.STARTING, OrderState.CHARGING)
RECORD_WAIT = timedelta(days=7)
"""A charge point that has not given its record by then has lost it, as a rule."""


class OrderNotFoundError(NotFoundError):
    """No such order."""

    code = "order_not_found"


class OrderOverError(BusinessError):
    """The order is over: there is nothing to stop."""

    code = "order_over"


class TokenRefusedError(BusinessError):
    """The token may not charge here; `reason` says why."""

    status = 403
    code = "token_refused"


class NotInReviewError(BusinessError):
    """Nothing is to be decided about this order."""

    code = "not_in_review"


class NoFigureError(BusinessError):
    """The figure that was chosen does not exist for this order."""

    code = "no_figure"


class StartWish(Struct, frozen=True, kw_only=True):
    """What a remote start asks for. Zero limits mean none."""

    charge_point_no: str
    connector_no: int
    token: Token | None = None
    limit_fen: int = 0
    limit_dwh: int = 0
    limit_min: int = 0
    limit_soc_percent: int = 0
    parallel_no: str = ""


async def request_start(
    session: AsyncSession, *, staff: Staff, station_no: str, wish: StartWish, now: datetime
) -> Order:
    """Make an order and ask the station to start it. What becomes of it is told by facts.

    Raises:
        StationNotFoundError, ChargePointNotFoundError: No such connector.
        TokenRefusedError: The token that is named may not charge there.
    """
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    connector = await lookup.connector(session, station.id, wish.charge_point_no, wish.connector_no)
    await lock_orders(session, station.id)
    limit_fen, card_no, logical_no = await _permission(session, staff, station.id, wish, now)
    order = Order(
        id=uuid7(to_ms(now)),
        operator_id=staff.operator_id,
        station_id=station.id,
        charge_point_no=connector.charge_point_no,
        connector_no=connector.connector_no,
        state=OrderState.REQUESTED,
        means=StartMeans.REMOTE,
        token_kind=None if wish.token is None else wish.token.kind,
        token_value="" if wish.token is None else wish.token.value,
        limit_fen=limit_fen,
        parallel_no=wish.parallel_no,
        created_at=now,
        updated_at=now,
        requested_at=now,
        requested_by=staff.name,
    )
    session.add(order)
    await session.flush()
    order.start_command_id = await enqueue_command(
        session,
        station.id,
        StartTransaction(
            order_id=order.id,
            charge_point_no=wish.charge_point_no,
            connector_no=wish.connector_no,
            token=wish.token,
            physical_card_no=card_no,
            logical_card_no=logical_no,
            limit_fen=limit_fen,
            limit_dwh=wish.limit_dwh,
            limit_min=wish.limit_min,
            limit_soc_percent=wish.limit_soc_percent,
            parallel_no=wish.parallel_no,
        ),
        expires_at=now + START_LIFE,
        now=now,
    )
    session.add(order)
    await note_exposure(session, order)
    return order


async def request_stop(
    session: AsyncSession, *, operator_id: UUID, order_id: UUID, now: datetime
) -> Order:
    """Ask the station to stop an order's transaction, or give up a wish that has none yet.

    The order stays as it is until a fact says that it ended.

    Raises:
        OrderNotFoundError: No such order.
        OrderOverError: It is over.
    """
    order = await locked_order(session, operator_id=operator_id, order_id=order_id)
    if order.transaction_id is None:
        if not may_follow(order.state, OrderState.CANCELLED):
            raise OrderOverError("this order is over", state=order.state)
        order.cancelled_at = now
        move(order, OrderState.CANCELLED)
        await note_exposure(session, order)
    elif order.state in {OrderState.AUTHORISED, OrderState.STARTING, OrderState.CHARGING}:
        order.stop_requested_at = order.stop_requested_at or now
        await enqueue_command(
            session,
            order.station_id,
            StopTransaction(transaction_id=order.transaction_id),
            expires_at=None,
            now=now,
        )
    else:
        raise OrderOverError("this order is over", state=order.state)
    order.updated_at = now
    session.add(order)
    return order


async def decide(
    session: AsyncSession,
    *,
    staff: Staff,
    order_id: UUID,
    decision: Decision,
    reason: str,
    now: datetime,
) -> tuple[Order, Bill]:
    """Decide what an order costs that waits for it; writes the next version of its bill.

    It waits in the review queue, or is an estimate. An estimate that is accepted as it is stays
    one: a late record still corrects it.

    Raises:
        OrderNotFoundError: No such order.
        NotInReviewError: Nothing is to be decided about it.
        NoFigureError: The figure that was chosen does not exist.
    """
    order = await locked_order(session, operator_id=staff.operator_id, order_id=order_id)
    review = await find_open_review(session, order.id)
    before = await billing.current_bill(session, order.id)
    is_estimate = review is None and order.state is OrderState.ESTIMATED
    if before is None or (review is None and not is_estimate):
        raise NotInReviewError("nothing is to be decided about this order", state=order.state)
    payable_fen = _chosen_fen(before, decision)
    if payable_fen is None or payable_fen < 0:
        raise NoFigureError(f"there is no figure for {decision}", decision=decision)
    bill = await billing.write_decision(
        session,
        before=before,
        kind=before.kind if is_estimate and decision is Decision.HQ else BillKind.REVIEW,
        payable_fen=payable_fen,
        reason=reason,
        created_by=staff.name,
        now=now,
    )
    if review is not None:
        review.decided_at, review.decided_by = now, staff.name
        review.decision, review.reason = decision, reason
        session.add(review)
    order.payable_fen, order.updated_at = bill.payable_fen, now
    move(order, OrderState.BILLED)
    session.add(order)
    await note_exposure(session, order)
    return order, bill


async def fail_unanswered(session: AsyncSession, *, now: datetime, limit: int = 200) -> int:
    """Fail orders whose start command ended without the station's word; returns how many.

    A command that expires at HQ makes no fact, so a job looks for it.
    """
    unanswered = (
        select(Order, CommandRow)
        .join(CommandRow, col(CommandRow.id) == col(Order.start_command_id))
        .where(
            Order.state == OrderState.REQUESTED,
            col(Order.transaction_id).is_(None),
            col(CommandRow.settled_at).is_not(None),
            col(CommandRow.outcome).in_(["rejected", "failed", "expired"]),
        )
        .limit(limit)
    )
    found = (await session.execute(unanswered)).all()
    if not found:
        return 0
    station_ids = await _lock_stations(session, [order for order, _ in found])
    # Looked at again: until the lock was ours, a fact may have come.
    fresh = unanswered.where(col(Order.station_id).in_(station_ids))
    rows = (await session.execute(fresh.execution_options(populate_existing=True))).all()
    for order, command in rows:
        move(order, OrderState.FAILED)
        order.failure_reason = command.reason or str(command.outcome)
        order.start_failure, order.updated_at = True, now
        session.add(order)
        await note_exposure(session, order)
    return len(rows)


async def release_held(session: AsyncSession, *, now: datetime, limit: int = 200) -> int:
    """Have orders count as estimated whose parallel charge has not ended in time; how many."""
    found = await groups.held_too_long(session, now=now, limit=limit)
    station_ids = await _lock_stations(session, found)
    # Looked at again: until the lock was ours, a fact may have come.
    again = await groups.held_too_long(session, now=now, limit=limit) if found else []
    held = [order for order in again if order.station_id in station_ids]
    for order in held:
        move(order, OrderState.ESTIMATED)
        session.add(order)
        await note_exposure(session, order)
    return len(held)


async def bill_estimates(session: AsyncSession, *, now: datetime, limit: int = 200) -> int:
    """Let estimates count as bills whose record has not come in time; returns how many.

    Otherwise their customers' limits would stay used up for ever. A record that comes after all
    still corrects the bill.
    """
    held = await session.scalars(
        select(Order)
        .where(
            Order.state == OrderState.ESTIMATED,
            # The first is the station's time, which may be years ahead.
            func.least(Order.ended_at, Order.updated_at) < now - RECORD_WAIT,
        )
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    orders = held.all()
    for order in orders:
        move(order, OrderState.BILLED)
        order.updated_at = now
        session.add(order)
        await note_exposure(session, order)
    return len(orders)


async def review_lost(session: AsyncSession, *, now: datetime, limit: int = 200) -> int:
    """Have somebody look at orders of which nothing is heard any more; returns how many.

    A station whose disk was replaced knows nothing of what ran before. Otherwise its customers'
    limits would stay used up for ever; a record that comes after all still bills them.
    """
    lost = (
        select(Order)
        .where(
            col(Order.state).in_(_RUNNING),
            col(Order.ended_by).is_(None),
            Order.updated_at < now - _LOST_AFTER,
        )
        .limit(limit)
    )
    found = (await session.scalars(lost)).all()
    if not found:
        return 0
    station_ids = await _lock_stations(session, found)
    # Looked at again: until the lock was ours, a fact may have come.
    fresh = lost.where(col(Order.station_id).in_(station_ids))
    orders = (await session.scalars(fresh.execution_options(populate_existing=True))).all()
    for order in orders:
        bill = billing.unknown_bill(
            operator_id=order.operator_id, order_id=order.id, cause=Cause.NO_END, now=now
        )
        review = Review(
            id=uuid7(to_ms(now)),
            operator_id=order.operator_id,
            order_id=order.id,
            causes=[str(Cause.NO_END)],
            opened_at=now,
        )
        session.add_all([bill, review])
        move(order, OrderState.IN_REVIEW)
        order.updated_at = now
        session.add(order)
        await note_exposure(session, order)
    await session.flush()
    return len(orders)


async def _lock_stations(session: AsyncSession, orders: Sequence[Order]) -> set[UUID]:
    station_ids = {order.station_id for order in orders}
    for station_id in sorted(station_ids):
        await lock_orders(session, station_id)
    return station_ids


async def order_by_id(session: AsyncSession, *, operator_id: UUID, order_id: UUID) -> Order:
    """Return an order. Raises OrderNotFoundError."""
    order = await session.get(Order, order_id)
    if order is None or order.operator_id != operator_id:
        raise OrderNotFoundError(f"no order {order_id}")
    return order


async def locked_order(session: AsyncSession, *, operator_id: UUID, order_id: UUID) -> Order:
    """Return an order that nobody else changes until the transaction ends.

    Raises:
        OrderNotFoundError: No such order.
    """
    order = await order_by_id(session, operator_id=operator_id, order_id=order_id)
    await lock_orders(session, order.station_id)
    await session.refresh(order)
    return order


async def order_of_transaction(
    session: AsyncSession, *, station_id: UUID, transaction_id: UUID
) -> Order | None:
    """Return the order of a transaction, which nobody else changes until this one of ours ends."""
    await lock_orders(session, station_id)
    order: Order | None = await session.scalar(
        select(Order)
        .where(Order.station_id == station_id, Order.transaction_id == transaction_id)
        .execution_options(populate_existing=True)
    )
    return order


async def set_limit(session: AsyncSession, order: Order, limit_fen: int, *, now: datetime) -> None:
    """Note what a locked order may cost at most, 0 without limit, and tell access."""
    order.limit_fen, order.updated_at = limit_fen, now
    session.add(order)
    await note_exposure(session, order)


async def _permission(
    session: AsyncSession, staff: Staff, station_id: UUID, wish: StartWish, now: datetime
) -> tuple[int, str, str]:
    """Return how much may be spent, and both numbers of a card."""
    if wish.token is None:
        return wish.limit_fen, "", ""
    decision, token = await access.authorize(
        session,
        operator_id=staff.operator_id,
        station_id=station_id,
        token=wish.token,
        now=now,
    )
    if not decision.accepted or token is None:
        raise TokenRefusedError("this token may not charge here", reason=decision.reason)
    limits = [limit for limit in (wish.limit_fen, decision.limit_fen) if limit]
    card_no = token.value if token.kind == "card" else ""
    return min(limits, default=0), card_no, token.logical_card_no


def _chosen_fen(bill: Bill, decision: Decision) -> int | None:
    match decision:
        case Decision.HQ:
            return bill.hq_fen
        case Decision.CHARGE_POINT:
            return billing.charge_point_fen(bill)
        case Decision.WAIVE:
            return 0


async def review_of(session: AsyncSession, order_id: UUID) -> Review | None:
    """Return the newest review of an order, open or decided."""
    found: Review | None = await session.scalar(
        select(Review).where(Review.order_id == order_id).order_by(col(Review.id).desc()).limit(1)
    )
    return found
