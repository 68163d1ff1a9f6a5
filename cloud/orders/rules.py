"""The life of an order, decided from what is known of it. Pure.

Facts of one transaction come over several lanes, in any order and more than once. So a state is
never stepped by the last fact: it is worked out from all facts together, and the same facts give
the same order whatever way they came.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from cloud.billing.rules import Basis, Rated
from shared.contracts.events import (
    Record,
    TransactionAuthorized,
    TransactionEnded,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)
from shared.contracts.words import EndKind, Outcome, StartMeans


class OrderState(StrEnum):
    """Where an order is."""

    REQUESTED = "requested"
    AUTHORISED = "authorised"
    STARTING = "starting"
    CHARGING = "charging"
    ENDED = "ended"
    BILLED = "billed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ESTIMATED = "estimated"
    IN_REVIEW = "in_review"


_OVER = frozenset(
    {
        OrderState.ENDED,
        OrderState.BILLED,
        OrderState.ESTIMATED,
        OrderState.IN_REVIEW,
        OrderState.FAILED,
    }
)
NEXT: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.REQUESTED: frozenset(OrderState) - {OrderState.REQUESTED},
    OrderState.AUTHORISED: _OVER | {OrderState.STARTING, OrderState.CHARGING, OrderState.CANCELLED},
    OrderState.STARTING: _OVER | {OrderState.CHARGING, OrderState.CANCELLED},
    OrderState.CHARGING: _OVER,
    OrderState.ENDED: _OVER - {OrderState.ENDED},
    OrderState.ESTIMATED: frozenset({OrderState.BILLED, OrderState.IN_REVIEW, OrderState.FAILED}),
    OrderState.IN_REVIEW: frozenset({OrderState.BILLED, OrderState.FAILED, OrderState.ESTIMATED}),
    # A wish that was given up may still have come true; energy that flowed is always billed.
    OrderState.FAILED: (_OVER | {OrderState.CHARGING}) - {OrderState.FAILED},
    OrderState.CANCELLED: _OVER | {OrderState.CHARGING},
    OrderState.BILLED: frozenset(),
}
"""What may follow what. Nothing here leads backwards."""

OPEN = frozenset(
    {
        OrderState.REQUESTED,
        OrderState.AUTHORISED,
        OrderState.STARTING,
        OrderState.CHARGING,
        OrderState.ENDED,
    }
)
"""States in which an order still costs its token an unknown amount."""
REFUSALS = frozenset({Outcome.REJECTED, Outcome.FAILED, Outcome.EXPIRED})


class EndRole(StrEnum):
    """What a report of an end is to its order."""

    RECORD = "record"
    ESTIMATE = "estimate"
    DISPUTE = "dispute"
    REPEAT = "repeat"


class Known(Struct, kw_only=True):
    """All that is known of one order; the earliest fact of each kind.

    `start_outcome` is how the command of a remote start was settled.
    """

    authorized: TransactionAuthorized | None = None
    started: TransactionStarted | None = None
    start_failed: TransactionStartFailed | None = None
    unreachable: TransactionUnreachable | None = None
    resumed: TransactionResumed | None = None
    record: TransactionEnded | None = None
    estimate: TransactionEnded | None = None
    disputes: int = 0
    cancelled: bool = False
    start_outcome: Outcome | None = None
    start_reason: str = ""

    @property
    def end(self) -> TransactionEnded | None:
        """The report of the end that counts: the record, else an estimate."""
        return self.record or self.estimate


def may_follow(state: OrderState, after: OrderState) -> bool:
    """Whether an order may go from `state` to `after`."""
    return after in NEXT[state]


def state_before_end(known: Known) -> OrderState:
    """Return the state of an order whose end has not been reported.

    A fact beats a wish: energy that flows makes an order charge whatever became of its command.
    """
    if known.disputes:
        return OrderState.ENDED
    if known.started is not None or known.resumed is not None:
        return OrderState.CHARGING
    if known.start_failed is not None or known.start_outcome in REFUSALS:
        return OrderState.FAILED
    if known.cancelled:
        return OrderState.CANCELLED
    if known.start_outcome is not None:
        return OrderState.STARTING
    return OrderState.REQUESTED if known.authorized is None else OrderState.AUTHORISED


def state_after_end(known: Known, rated: Rated) -> OrderState:
    """Return the state of an order whose end was rated and on which nobody has decided."""
    if rated.basis is Basis.ZERO:
        return OrderState.FAILED
    if rated.causes:
        return OrderState.IN_REVIEW
    return OrderState.ESTIMATED if known.record is None else OrderState.BILLED


def failure_reason(known: Known, *, zero_energy: bool) -> str:
    """Return why nothing was charged, "" if that is not so."""
    if known.start_failed is not None:
        return known.start_failed.reason
    if known.start_outcome in REFUSALS:
        return known.start_reason or str(known.start_outcome)
    return "zero_energy" if zero_energy else ""


def end_role(ended: TransactionEnded, *, stands: TransactionEnded | None) -> EndRole:
    """Return what a report of an end is, beside the record that already stands.

    The first record stands. A repeat says the same; anything else is a dispute.
    """
    if ended.ended_by is EndKind.DISPUTED:
        return EndRole.DISPUTE
    if ended.record is None:
        return EndRole.ESTIMATE
    if stands is None or stands.record is None:
        return EndRole.RECORD
    return EndRole.REPEAT if stands.record == ended.record else EndRole.DISPUTE


def is_same_transaction(record: Record | None, standing: Record | None) -> bool:
    """Whether two accounts under one transaction number are of one transaction.

    A counter that starts again gives a number twice. The same start, by meter or by clock, is
    the same transaction. While none has ended nothing speaks against it; beside one that has,
    whatever is not its record belongs to another.
    """
    if standing is None:
        return True
    if record is None:
        return False
    same_meter = record.meter_start_dwh == standing.meter_start_dwh
    same_time = record.started_at is not None and record.started_at == standing.started_at
    return same_meter or same_time


def begins_after(record: Record | None, estimate: TransactionEnded) -> bool:
    """Whether a record is of a transaction that began after an estimated one, by clock and meter.

    A charge point's clock alone proves nothing: where the station had no readings either, the
    record is taken for the one that was waited for.
    """
    if record is None or record.started_at is None or not estimate.readings:
        return False
    first, last = estimate.readings[0], estimate.readings[-1]
    after_meter = record.meter_start_dwh >= last.meter_dwh > first.meter_dwh
    return after_meter and record.started_at >= estimate.ended_at


def unreachable_since(known: Known) -> datetime | None:
    """Return since when an open transaction is out of reach, None if it is not."""
    if known.end is not None or known.unreachable is None:
        return None
    since = known.unreachable.occurred_at
    if known.resumed is not None and known.resumed.occurred_at >= since:
        return None
    return since


def means_of(known: Known) -> StartMeans:
    """Return what started the transaction, as far as anything says."""
    for fact in (known.end, known.authorized, known.started):
        if fact is not None and fact.means is not StartMeans.UNKNOWN:
            return fact.means
    return StartMeans.UNKNOWN
