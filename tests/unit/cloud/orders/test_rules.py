"""The life of an order: no way back, and the same facts give the same state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from cloud.billing.rules import Basis, Cause, Rated, zero_bill
from cloud.orders.rules import (
    NEXT,
    EndRole,
    Known,
    OrderState,
    begins_after,
    end_role,
    failure_reason,
    is_same_transaction,
    may_follow,
    means_of,
    state_after_end,
    state_before_end,
    unreachable_since,
)
from shared.contracts.events import (
    PeriodTotals,
    Record,
    TransactionAuthorized,
    TransactionEnded,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)
from shared.contracts.words import EndKind, Outcome, StartMeans
from shared.rating import Reading

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
NAMES: dict[str, Any] = {
    "occurred_at": NOW,
    "transaction_id": UUID(int=1),
    "transaction_no": "1" * 32,
    "charge_point_no": "55031412782305",
    "connector_no": 1,
}
AUTHORIZED = TransactionAuthorized(means=StartMeans.CARD, **NAMES)
STARTED = TransactionStarted(**NAMES)
START_FAILED = TransactionStartFailed(reason="not plugged in", **NAMES)
RECORD = Record(
    transaction_no="1" * 32,
    charge_point_no="55031412782305",
    connector_no=1,
    started_at=NOW,
    ended_at=NOW,
    periods=(PeriodTotals(0, 0, 0, 0),) * 4,
    meter_start_dwh=7,
    meter_end_dwh=9,
    energy_dwh=2,
    loss_energy_dwh=2,
    amount_e4=1,
)
ENDED = TransactionEnded(
    means=StartMeans.REMOTE,
    ended_by=EndKind.RECORD,
    started_at=NOW,
    ended_at=NOW,
    record=RECORD,
    **NAMES,
)
ESTIMATE = msgspec.structs.replace(ENDED, record=None, ended_by=EndKind.ESTIMATED)


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (Known(), OrderState.REQUESTED),
        (Known(authorized=AUTHORIZED), OrderState.AUTHORISED),
        (Known(start_outcome=Outcome.ACCEPTED), OrderState.STARTING),
        (Known(authorized=AUTHORIZED, start_outcome=Outcome.DONE), OrderState.STARTING),
        (Known(start_outcome=Outcome.EXPIRED), OrderState.FAILED),
        (Known(start_outcome=Outcome.REJECTED, authorized=AUTHORIZED), OrderState.FAILED),
        (Known(start_failed=START_FAILED, authorized=AUTHORIZED), OrderState.FAILED),
        (Known(started=STARTED, start_outcome=Outcome.EXPIRED), OrderState.CHARGING),
        (Known(started=STARTED, start_failed=START_FAILED), OrderState.CHARGING),
        (Known(resumed=TransactionResumed(**NAMES)), OrderState.CHARGING),
        (Known(cancelled=True), OrderState.CANCELLED),
        (Known(cancelled=True, started=STARTED), OrderState.CHARGING),
        (Known(disputes=1, started=STARTED), OrderState.ENDED),
    ],
)
def test_the_state_before_the_end(known: Known, state: OrderState) -> None:
    assert state_before_end(known) is state


@pytest.mark.parametrize(
    ("known", "rated", "state"),
    [
        (Known(record=ENDED), Rated(basis=Basis.RECORD, bill=zero_bill()), OrderState.BILLED),
        (
            Known(estimate=ESTIMATE),
            Rated(basis=Basis.READINGS, bill=zero_bill()),
            OrderState.ESTIMATED,
        ),
        (
            Known(record=ENDED),
            Rated(basis=Basis.RECORD, bill=zero_bill(), causes=(Cause.ARITHMETIC,)),
            OrderState.IN_REVIEW,
        ),
        (Known(record=ENDED), Rated(basis=Basis.ZERO, bill=zero_bill()), OrderState.FAILED),
    ],
)
def test_the_state_after_the_end(known: Known, rated: Rated, state: OrderState) -> None:
    assert state_after_end(known, rated) is state


def test_no_order_can_come_back_to_where_it_was_before_its_bill() -> None:
    assert NEXT[OrderState.BILLED] == frozenset()
    assert set(NEXT) == set(OrderState)
    for state in OrderState:
        assert not may_follow(state, state)
    over = {OrderState.ESTIMATED, OrderState.IN_REVIEW}
    for state in over:
        assert not NEXT[state] & {OrderState.CHARGING, OrderState.ENDED, OrderState.REQUESTED}


@pytest.mark.parametrize(
    ("ended", "stands", "role"),
    [
        (ENDED, None, EndRole.RECORD),
        (ENDED, ESTIMATE, EndRole.RECORD),
        (ENDED, ENDED, EndRole.REPEAT),
        (ESTIMATE, ENDED, EndRole.ESTIMATE),
        (msgspec.structs.replace(ENDED, ended_by=EndKind.DISPUTED), None, EndRole.DISPUTE),
        (msgspec.structs.replace(ENDED, ended_by=EndKind.CORRECTED), None, EndRole.RECORD),
        (
            msgspec.structs.replace(ENDED, record=msgspec.structs.replace(RECORD, amount_e4=2)),
            ENDED,
            EndRole.DISPUTE,
        ),
    ],
)
def test_the_first_record_stands(
    ended: TransactionEnded, stands: TransactionEnded | None, role: EndRole
) -> None:
    assert end_role(ended, stands=stands) is role


def test_one_number_may_be_two_transactions() -> None:
    later = NOW + timedelta(days=1)
    other_time = msgspec.structs.replace(RECORD, started_at=later)
    other = msgspec.structs.replace(RECORD, started_at=later, meter_start_dwh=8)
    timeless = msgspec.structs.replace(other, started_at=None)
    assert is_same_transaction(RECORD, None)
    assert is_same_transaction(None, None)
    assert not is_same_transaction(None, RECORD)
    assert is_same_transaction(other_time, RECORD)
    assert is_same_transaction(msgspec.structs.replace(RECORD, meter_start_dwh=8), RECORD)
    assert not is_same_transaction(other, RECORD)
    assert not is_same_transaction(timeless, msgspec.structs.replace(RECORD, started_at=None))


def test_a_record_that_begins_after_an_estimate_is_not_the_one_it_waits_for() -> None:
    change = msgspec.structs.replace
    readings = (Reading(0, 7), Reading(1, 9))
    estimate = change(ESTIMATE, ended_at=NOW, readings=readings)
    after = change(RECORD, started_at=NOW, meter_start_dwh=9)
    assert begins_after(after, estimate)
    assert not begins_after(None, estimate)
    assert not begins_after(change(after, started_at=None), estimate)
    assert not begins_after(change(after, started_at=NOW - timedelta(seconds=1)), estimate)
    assert not begins_after(change(after, meter_start_dwh=8), estimate)
    assert not begins_after(after, change(estimate, readings=()))


def test_why_nothing_was_charged() -> None:
    assert failure_reason(Known(start_failed=START_FAILED), zero_energy=True) == "not plugged in"
    refused = Known(start_outcome=Outcome.REJECTED, start_reason="blocked")
    assert failure_reason(refused, zero_energy=False) == "blocked"
    assert failure_reason(Known(start_outcome=Outcome.EXPIRED), zero_energy=False) == "expired"
    assert failure_reason(Known(), zero_energy=True) == "zero_energy"
    assert failure_reason(Known(), zero_energy=False) == ""


def test_out_of_reach_until_seen_again_or_over() -> None:
    gone = TransactionUnreachable(**NAMES)
    back = TransactionResumed(**(NAMES | {"occurred_at": NOW + timedelta(seconds=1)}))
    before = TransactionResumed(**(NAMES | {"occurred_at": NOW - timedelta(seconds=1)}))
    assert unreachable_since(Known(unreachable=gone)) == NOW
    assert unreachable_since(Known(unreachable=gone, resumed=before)) == NOW
    assert unreachable_since(Known(unreachable=gone, resumed=back)) is None
    assert unreachable_since(Known(unreachable=gone, record=ENDED)) is None
    assert unreachable_since(Known()) is None


def test_who_started_it_comes_from_the_best_fact() -> None:
    assert means_of(Known(authorized=AUTHORIZED, record=ENDED)) is StartMeans.REMOTE
    assert means_of(Known(authorized=AUTHORIZED, started=STARTED)) is StartMeans.CARD
    assert means_of(Known(started=STARTED)) is StartMeans.UNKNOWN
