"""Working out an order from its facts: state, figures, bill, review, exposure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.access import service as access
from cloud.access.service import Exposed
from cloud.billing import service as billing
from cloud.billing.models import Bill, BillKind
from cloud.billing.rules import Basis, Cause, Rated, after_decision, held, rate_order
from cloud.core.commands import enqueue_command
from cloud.ingest.handlers import Ingested
from cloud.orders import groups
from cloud.orders.book import Book, Story
from cloud.orders.facts import plain_text
from cloud.orders.models import Order, Review
from cloud.orders.rules import (
    OPEN,
    Known,
    OrderState,
    failure_reason,
    may_follow,
    means_of,
    state_after_end,
    state_before_end,
    unreachable_since,
)
from shared.clock import to_ms
from shared.contracts.commands import StopTransaction
from shared.contracts.events import Event, Token, TransactionEnded
from shared.contracts.words import EndKind
from shared.ids import uuid7
from shared.tokens import normalise

logger = logging.getLogger(__name__)


async def take_fact(book: Book, context: Ingested, story: Story, event: Event) -> None:
    """Take in a fact and work its order out anew; a fact that comes again changes nothing."""
    order, stood = story.order, story.known().end
    fact = story.hear(event, now=context.received_at)
    if fact is None:
        return
    book.add_fact(fact)
    known = story.known()
    _take_over(order, known)
    bill = None
    if known.end is not None and known.end != stood:
        bill = await _settle_end(book, context, story, known, known.end)
    elif known.end is None:
        move(order, state_before_end(known))
        order.start_failure = order.state is OrderState.FAILED
    order.failure_reason = _failure_reason(order, known)
    if known.disputes > order.disputes and isinstance(event, TransactionEnded):
        order.disputes = known.disputes
        await _dispute(book, context, story, event)
    if order.cancelled_at is not None and order.state is OrderState.CHARGING:
        await _stop_cancelled(book.session, context, order)
    if bill is not None:
        order.payable_fen, order.energy_dwh = bill.payable_fen, max(bill.energy_dwh, 0)
    order.updated_at = context.received_at
    book.expose(exposure_of(order))
    await _settle_group(book, order)


async def _settle_group(book: Book, order: Order) -> None:
    """Move on those of a parallel charge that waited for this order."""
    if not order.parallel_no:
        return
    await book.session.flush()
    members = await groups.members_of(book.session, order)
    for member in filter(groups.waits, members):
        move(member, groups.state_in_group(members))
        book.session.add(member)
        book.expose(exposure_of(member))


def move(order: Order, state: OrderState) -> None:
    """Move an order on; a step that nothing allows is logged and not taken."""
    if state is order.state:
        return
    if not may_follow(order.state, state):
        logger.info("order stays order=%s state=%s wanted=%s", order.id, order.state, state)
        return
    order.state = state


async def note_exposure(session: AsyncSession, order: Order) -> None:
    """Tell access what the order may still cost its token."""
    exposed = exposure_of(order)
    if exposed is not None:
        await access.set_exposures(session, [exposed])


def exposure_of(order: Order) -> Exposed | None:
    """Return what an order may still cost its token, None without a token."""
    if order.token_kind is None:
        return None
    is_open = order.state in OPEN
    unsettled = is_open or order.state in {OrderState.ESTIMATED, OrderState.IN_REVIEW}
    amount_fen = max(order.limit_fen if is_open else order.payable_fen, 0)
    return Exposed(
        operator_id=order.operator_id,
        station_id=order.station_id,
        order_id=order.id,
        token=Token(order.token_kind, order.token_value),
        amount_fen=amount_fen if unsettled else 0,
        is_open=is_open,
    )


def open_review(book: Book, context: Ingested, story: Story, causes: Sequence[Cause]) -> None:
    """Put an order into the queue, or add causes to its open entry."""
    review = story.review
    if review is None:
        review = Review(
            id=uuid7(to_ms(context.received_at)),
            operator_id=story.order.operator_id,
            order_id=story.order.id,
            causes=[],
            opened_at=context.received_at,
        )
        book.add_review(story, review)
    review.causes = list(dict.fromkeys([*review.causes, *map(str, causes)]))


async def find_open_review(session: AsyncSession, order_id: UUID) -> Review | None:
    """Return what is to be decided about an order, None if nothing is."""
    found: Review | None = await session.scalar(
        select(Review).where(Review.order_id == order_id, col(Review.decided_at).is_(None))
    )
    return found


async def _settle_end(
    book: Book, context: Ingested, story: Story, known: Known, ended: TransactionEnded
) -> Bill:
    """Rate the end of a transaction, make its bill and move the order on."""
    rated = await _rate(book, context, ended)
    before = story.bill
    if before is not None and before.kind is BillKind.REVIEW:
        rated = after_decision(rated, decided_fen=before.payable_fen)
    bill = _add_bill(book, context, story, ended, rated)
    _note_rated(story.order, known, rated)
    _review_or_close(book, context, story, rated)
    return bill


async def _dispute(book: Book, context: Ingested, story: Story, ended: TransactionEnded) -> None:
    """Have somebody decide between two accounts, with the figures of the only one if need be."""
    open_review(book, context, story, [Cause.DISPUTED])
    if story.bill is None:
        rated = held(await _rate(book, context, ended), Cause.DISPUTED)
        _add_bill(book, context, story, ended, rated)


async def _rate(book: Book, context: Ingested, ended: TransactionEnded) -> Rated:
    tariff = await book.tariff(context.station_id, ended.tariff_version_id)
    return rate_order(ended, tariff=tariff, zone=context.zone)


def _add_bill(
    book: Book, context: Ingested, story: Story, ended: TransactionEnded, rated: Rated
) -> Bill:
    bill = billing.rated_bill(
        operator_id=story.order.operator_id,
        order_id=story.order.id,
        before=story.bill,
        ended=ended,
        rated=rated,
        now=context.received_at,
    )
    book.add_bill(story, bill, rated)
    return bill


def _note_rated(order: Order, known: Known, rated: Rated) -> None:
    zero = rated.basis is Basis.ZERO
    corrected = known.record is not None and known.estimate is not None
    if known.record is None:
        order.ended_by = EndKind.ESTIMATED
    else:
        order.ended_by = EndKind.CORRECTED if corrected else EndKind.RECORD
    order.start_failure = zero
    order.flags = list(dict.fromkeys([*_own_flags(order), *rated.flags]))
    state = state_after_end(known, rated)
    # Whoever charged in parallel is billed with the others: `_settle_group` says when.
    # Not one that was in review: the others have gone on without it.
    waits = (
        state is OrderState.BILLED and order.parallel_no and order.state is not OrderState.IN_REVIEW
    )
    move(order, OrderState.ENDED if waits else state)


def _failure_reason(order: Order, known: Known) -> str:
    if not order.start_failure:
        return ""
    reason = failure_reason(known, zero_energy=known.end is not None)
    return reason or order.failure_reason


def _own_flags(order: Order) -> list[str]:
    return [flag for flag in order.flags if flag == "transaction_no_reused"]


def _review_or_close(book: Book, context: Ingested, story: Story, rated: Rated) -> None:
    """Open a review where rating asks for one; close what a better fact has made pointless."""
    if rated.causes:
        open_review(book, context, story, rated.causes)
        return
    review = story.review
    if review is None or str(Cause.DISPUTED) in review.causes:
        return
    review.decided_at, review.reason = context.received_at, "settled by a later record"
    story.review = None


def _take_over(order: Order, known: Known) -> None:
    """Copy what the facts say into the order's columns; the end says it best."""
    order.means = means_of(known)
    best = [fact for fact in (known.end, known.started, known.authorized) if fact is not None]
    token = next((fact.token for fact in best if fact.token is not None), None)
    if token is not None:
        order.token_kind = token.kind
        order.token_value = normalise(token.kind, plain_text(token.value))
    version_ids = (fact.tariff_version_id for fact in best)
    order.tariff_version_id = next(filter(None, version_ids), order.tariff_version_id)
    vins = (fact.vin for fact in (known.end, known.started) if fact is not None)
    order.vin = plain_text(next(filter(None, vins), order.vin))
    if known.authorized is not None:
        if order.authorized_at is None:  # afterwards HQ may have changed it
            order.limit_fen = known.authorized.limit_fen or order.limit_fen
        order.authorized_at = known.authorized.occurred_at
        order.parallel_no = plain_text(known.authorized.parallel_no)
    if known.started is not None:
        order.started_at = known.started.occurred_at
    if known.end is not None:
        order.started_at, order.ended_at = known.end.started_at, known.end.ended_at
        order.parallel_no = plain_text(known.end.parallel_no) or order.parallel_no
    order.unreachable_since = unreachable_since(known)


async def _stop_cancelled(session: AsyncSession, context: Ingested, order: Order) -> None:
    """Stop a transaction that started although its order had been cancelled."""
    if order.stop_requested_at is not None or order.transaction_id is None:
        return
    order.stop_requested_at = context.received_at
    await enqueue_command(
        session,
        context.station_id,
        StopTransaction(transaction_id=order.transaction_id),
        expires_at=None,
        now=context.received_at,
    )
