"""Writing bills. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, Uuid, any_, insert, literal
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.billing.models import Bill, BillKind, Line
from cloud.billing.rules import Basis, Cause, Rated, claimed_dwh
from shared import rating
from shared.clock import from_ms, to_ms
from shared.contracts.events import TransactionEnded
from shared.ids import uuid7
from shared.money import NANO_PER_E4, NANO_PER_FEN, divide_half_up

COLUMN_MAX = 2**63 - 1


async def current_bill(session: AsyncSession, order_id: UUID) -> Bill | None:
    """Return the version of an order's bill that holds, None before the first."""
    found: Bill | None = await session.scalar(
        select(Bill).where(Bill.order_id == order_id).order_by(col(Bill.version).desc()).limit(1)
    )
    return found


async def current_bills(session: AsyncSession, order_ids: Sequence[UUID]) -> dict[UUID, Bill]:
    """Return the versions that hold, by order; those without a bill are left out."""
    rows = await session.scalars(
        select(Bill)
        .where(col(Bill.order_id) == any_(literal(order_ids, ARRAY(Uuid))))
        .ext(distinct_on(col(Bill.order_id)))
        .order_by(col(Bill.order_id), col(Bill.version).desc())
    )
    return {bill.order_id: bill for bill in rows}


async def bills_of(session: AsyncSession, order_id: UUID) -> Sequence[Bill]:
    """Return all versions of an order's bill, oldest first."""
    return (
        await session.scalars(
            select(Bill).where(Bill.order_id == order_id).order_by(col(Bill.version))
        )
    ).all()


async def lines_of(session: AsyncSession, bill_id: UUID) -> Sequence[Line]:
    """Return the lines of one version."""
    return (
        await session.scalars(
            select(Line).where(Line.bill_id == bill_id).order_by(col(Line.number))
        )
    ).all()


def rated_bill(
    *,
    operator_id: UUID,
    order_id: UUID,
    before: Bill | None,
    ended: TransactionEnded,
    rated: Rated,
    now: datetime,
) -> Bill:
    """Return the version that follows from a rated transaction: charged, or held for review.

    An earlier charge (an estimate) stays while its correction is held. Nothing is written:
    hand it to `write_rated`.
    """
    charged_fen = 0 if before is None else before.payable_fen
    payable_fen = charged_fen if rated.causes or rated.hq_fen is None else rated.hq_fen
    bill = _new_version(
        operator_id=operator_id, order_id=order_id, before=before, payable_fen=payable_fen, now=now
    )
    bill.kind = _kind_of(ended, rated, before)
    bill.basis = rated.basis
    bill.charge_point_e4 = None if ended.record is None else _fit(ended.record.amount_e4)
    bill.station_fen = None if ended.station_bill is None else _fit(ended.station_bill.payable_fen)
    bill.tariff_version_id, bill.tariff_hash = ended.tariff_version_id, ended.tariff_hash
    bill.checks = [
        {"name": c.name, "value": str(c.value), "limit": str(c.limit), "ok": c.ok}
        for c in rated.checks
    ]
    bill.causes, bill.flags = [str(cause) for cause in rated.causes], list(rated.flags)
    if rated.bill is not None:
        _take_figures(bill, rated.bill)
    else:
        bill.energy_dwh = min(max(claimed_dwh(ended), 0), COLUMN_MAX)
    return bill


def unknown_bill(*, operator_id: UUID, order_id: UUID, cause: Cause, now: datetime) -> Bill:
    """Return the first version for an order of which nobody knows what it costs: nothing charged.

    Nothing is written: add it to a session.
    """
    bill = _new_version(
        operator_id=operator_id, order_id=order_id, before=None, payable_fen=0, now=now
    )
    bill.kind, bill.causes = BillKind.HELD, [str(cause)]
    return bill


async def write_rated(session: AsyncSession, bills: Sequence[tuple[Bill, Rated]]) -> None:
    """Write new versions with their lines, many in a few statements."""
    if not bills:
        return
    session.add_all(bill for bill, _ in bills)
    await session.flush()
    lines = [
        line for bill, rated in bills if rated.bill is not None for line in _lines(bill, rated.bill)
    ]
    if lines:
        await session.execute(insert(Line).execution_options(render_nulls=True), lines)


async def write_decision(
    session: AsyncSession,
    *,
    before: Bill,
    kind: BillKind,
    payable_fen: int,
    reason: str,
    created_by: str,
    now: datetime,
) -> Bill:
    """Write the version that follows from somebody's decision, with the same figures beside it.

    `kind` is that of `before` where somebody only says that it holds.
    """
    bill = _new_version(
        operator_id=before.operator_id,
        order_id=before.order_id,
        before=before,
        payable_fen=payable_fen,
        now=now,
    )
    kept = {"id", "version", "kind", "payable_fen", "delta_fen", "reason", "created_by"}
    for name, value in before.model_dump(exclude=kept | {"created_at"}).items():
        setattr(bill, name, value)
    bill.kind, bill.reason, bill.created_by = kind, reason, created_by
    session.add(bill)
    await session.flush()
    for line in await lines_of(session, before.id):
        session.add(Line(**(line.model_dump() | {"bill_id": bill.id})))
    await session.flush()
    return bill


def charge_point_fen(bill: Bill) -> int | None:
    """Return the charge point's own figure in fen, None without a record."""
    if bill.charge_point_e4 is None:
        return None
    return divide_half_up(bill.charge_point_e4 * NANO_PER_E4, NANO_PER_FEN)


def _new_version(
    *, operator_id: UUID, order_id: UUID, before: Bill | None, payable_fen: int, now: datetime
) -> Bill:
    return Bill(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        order_id=order_id,
        version=1 if before is None else before.version + 1,
        kind=BillKind.RECORD,
        basis=Basis.NONE,
        payable_fen=payable_fen,
        delta_fen=payable_fen - (0 if before is None else before.payable_fen),
        created_at=now,
    )


def _kind_of(ended: TransactionEnded, rated: Rated, before: Bill | None) -> BillKind:
    if rated.causes or rated.hq_fen is None:
        return BillKind.HELD
    if rated.basis is Basis.ZERO:
        return BillKind.ZERO
    if ended.record is None:
        return BillKind.ESTIMATE
    return BillKind.RECORD if before is None else BillKind.CORRECTION


def _take_figures(bill: Bill, figures: rating.Bill) -> None:
    bill.hq_fen = figures.payable_fen
    bill.energy_dwh, bill.minutes = figures.energy_dwh, figures.minutes
    bill.energy_fee_fen = figures.energy_fee_fen
    bill.service_fee_fen = figures.service_fee_fen
    bill.time_fee_fen = figures.time_fee_fen
    bill.total_nano = figures.total_nano


def _lines(bill: Bill, figures: rating.Bill) -> list[dict[str, Any]]:
    return [
        {
            "bill_id": bill.id,
            "number": number,
            "operator_id": bill.operator_id,
            "started_at": None if line.from_ms is None else from_ms(line.from_ms),
            "ended_at": None if line.to_ms is None else from_ms(line.to_ms),
            **{
                name: value
                for name, value in msgspec.structs.asdict(line).items()
                if name not in {"from_ms", "to_ms"}
            },
        }
        for number, line in enumerate(figures.lines, start=1)
    ]


def _fit(value: int) -> int | None:
    """Return a figure from the wire, None where not even the column could hold it."""
    return value if abs(value) <= COLUMN_MAX else None
