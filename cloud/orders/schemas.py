"""Orders over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from cloud.billing.models import Bill, Line
from cloud.orders.models import Decision, Order, Review
from cloud.orders.rules import OrderState
from shared.contracts.words import EndKind, StartMeans, TokenKind


class TokenBody(BaseModel):
    """Who pays."""

    kind: TokenKind
    value: str = Field(max_length=64)


class StartBody(BaseModel):
    """A remote start. Zero limits mean none."""

    station_no: str = Field(examples=["1001"])
    charge_point_no: str = Field(examples=["55031412782305"])
    connector_no: int = Field(ge=1, le=255)
    token: TokenBody | None = None
    limit_fen: int = Field(default=0, ge=0, le=2**31 - 1)
    limit_dwh: int = Field(default=0, ge=0, le=2**31 - 1)
    limit_min: int = Field(default=0, ge=0, le=1440)
    limit_soc_percent: int = Field(default=0, ge=0, le=100)
    parallel_no: str = Field(
        default="",
        pattern=r"^([0-9]{12})?$",
        description="12 digits, the same for all connectors that charge one vehicle together",
        examples=["261122140322"],
    )


class StartRead(BaseModel):
    """The order of a remote start. Facts tell what becomes of it: look at the order."""

    order_id: UUID
    state: OrderState
    command_id: UUID | None


class StopRead(BaseModel):
    """A stop is on its way; the order ends when the station says so."""

    order_id: UUID
    state: OrderState
    stop_requested_at: datetime | None


class OrderRead(BaseModel):
    """One order, as in lists."""

    id: UUID
    station_id: UUID
    transaction_id: UUID | None
    transaction_no: str
    charge_point_no: str
    connector_no: int
    state: OrderState
    means: StartMeans
    token_kind: TokenKind | None
    token_value: str
    vin: str
    parallel_no: str
    created_at: datetime
    requested_at: datetime | None
    authorized_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    unreachable_since: datetime | None
    stop_requested_at: datetime | None
    ended_by: EndKind | None
    failure_reason: str
    start_failure: bool
    energy_dwh: int
    payable_fen: int
    limit_fen: int
    flags: list[str]
    disputes: int

    @classmethod
    def of(cls, order: Order) -> OrderRead:
        """Return a row as it goes over HTTP."""
        return cls(**order.model_dump())


class LineRead(BaseModel):
    """One line of a bill."""

    number: int
    period: str
    started_at: datetime | None
    ended_at: datetime | None
    energy_dwh: int
    energy_fee_nano: int
    service_fee_nano: int
    energy_fee_fen: int
    service_fee_fen: int


class BillRead(BaseModel):
    """One version of a bill: three figures side by side, and what is charged."""

    version: int
    kind: str
    basis: str
    charge_point_e4: int | None
    station_fen: int | None
    hq_fen: int | None
    payable_fen: int
    delta_fen: int
    energy_dwh: int
    minutes: int
    energy_fee_fen: int
    service_fee_fen: int
    time_fee_fen: int
    total_nano: int
    tariff_version_id: UUID | None
    checks: list[dict[str, Any]]
    causes: list[str]
    flags: list[str]
    reason: str
    created_by: str
    created_at: datetime
    lines: list[LineRead] = []

    @classmethod
    def of(cls, bill: Bill, lines: list[Line]) -> BillRead:
        """Return a row as it goes over HTTP."""
        parts = [LineRead(**line.model_dump()) for line in lines]
        return cls(lines=parts, **bill.model_dump())


class ReviewRead(BaseModel):
    """Why somebody must look, and how it was decided."""

    causes: list[str]
    opened_at: datetime
    decided_at: datetime | None
    decision: Decision | None
    reason: str
    decided_by: str

    @classmethod
    def of(cls, review: Review) -> ReviewRead:
        """Return a row as it goes over HTTP."""
        return cls(**review.model_dump())


class TimelineEntry(BaseModel):
    """One thing that happened, with the whole event of the station."""

    kind: str
    role: str | None
    occurred_at: datetime
    received_at: datetime
    event: dict[str, Any]


class OrderDetail(OrderRead):
    """One order with all that happened to it."""

    timeline: list[TimelineEntry]
    bills: list[BillRead]
    review: ReviewRead | None


class QueueEntry(BaseModel):
    """One order that waits for a decision, with its three figures."""

    order: OrderRead
    review: ReviewRead
    bill: BillRead | None


class DecisionBody(BaseModel):
    """What an order costs, and why."""

    decision: Decision
    reason: str = Field(min_length=1, max_length=1000)


class DecisionRead(BaseModel):
    """The order after the decision, with the new version of its bill."""

    order: OrderRead
    bill: BillRead
