"""Bills. Rows are written once and never changed; a correction is another version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import CheckConstraint, Field, SQLModel, UniqueConstraint

from cloud.billing.rules import Basis
from cloud.core.columns import Dwh, Fen, Json, Nano, UtcDateTime, text_enum
from shared.tariff import Period


class BillKind(StrEnum):
    """Why a version of a bill was written."""

    RECORD = "record"
    ESTIMATE = "estimate"
    CORRECTION = "correction"
    HELD = "held"
    REVIEW = "review"
    ZERO = "zero"


class Bill(SQLModel, table=True):
    """One version of an order's bill; the highest version holds.

    Three figures stand side by side: the charge point's (`charge_point_e4`, 1e-4 yuan), the
    station's and HQ's. `payable_fen` is what is charged after this version and `delta_fen` what
    this version changed, so the deltas of an order always add up to its last payable. A held
    version charges nothing new.
    """

    __tablename__ = "billing_bill"
    __table_args__ = (
        UniqueConstraint("operator_id", "order_id", "version"),
        CheckConstraint("payable_fen >= 0", name="payable_fen"),
        CheckConstraint("version > 0", name="version"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    order_id: UUID = Field(index=True)
    version: int
    kind: BillKind = Field(sa_type=text_enum(BillKind))
    basis: Basis = Field(sa_type=text_enum(Basis))
    payable_fen: int = Field(sa_type=Fen)
    delta_fen: int = Field(sa_type=Fen)
    charge_point_e4: int | None = Field(default=None, sa_type=Fen)
    station_fen: int | None = Field(default=None, sa_type=Fen)
    hq_fen: int | None = Field(default=None, sa_type=Fen)
    energy_dwh: int = Field(default=0, sa_type=Dwh)
    minutes: int = Field(default=0, sa_type=Fen)
    energy_fee_fen: int = Field(default=0, sa_type=Fen)
    service_fee_fen: int = Field(default=0, sa_type=Fen)
    time_fee_fen: int = Field(default=0, sa_type=Fen)
    total_nano: int = Field(default=0, sa_type=Nano)
    tariff_version_id: UUID | None = None
    tariff_hash: str = ""
    checks: list[Any] = Field(default_factory=list, sa_type=Json)
    causes: list[str] = Field(default_factory=list, sa_type=Json)
    flags: list[str] = Field(default_factory=list, sa_type=Json)
    reason: str = ""
    created_by: str = ""
    created_at: datetime = Field(sa_type=UtcDateTime)


class Line(SQLModel, table=True):
    """One line of HQ's figure in a bill: a half-hour segment, or all of one period."""

    __tablename__ = "billing_line"

    bill_id: UUID = Field(primary_key=True, foreign_key="billing_bill.id")
    number: int = Field(primary_key=True)
    operator_id: UUID
    period: Period = Field(sa_type=text_enum(Period))
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    energy_dwh: int = Field(sa_type=Dwh)
    energy_fee_nano: int = Field(sa_type=Nano)
    service_fee_nano: int = Field(sa_type=Nano)
    energy_fee_fen: int = Field(sa_type=Fen)
    service_fee_fen: int = Field(sa_type=Fen)
