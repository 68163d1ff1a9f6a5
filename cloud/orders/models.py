"""Tables of orders: the order itself, every fact about it, and what waits for a decision."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import CheckConstraint, Field, Index, SQLModel, UniqueConstraint, text

from cloud.core.columns import Dwh, Fen, Json, UtcDateTime, text_enum
from cloud.orders.rules import EndRole, OrderState
from shared.contracts.words import EndKind, StartMeans, TokenKind


class Decision(StrEnum):
    """How somebody decided an order in review."""

    HQ = "accept_hq"
    CHARGE_POINT = "accept_charge_point"
    WAIVE = "waive"


IN_A_GROUP = "parallel_no <> ''"
"""Said as it stands here, so that the index of the few such orders is used."""


class Order(SQLModel, table=True):
    """One charging order. Everything but the wishes is worked out from its facts.

    `payable_fen` is a copy of the bill's, for lists. `start_failure` counts an order on which no
    energy flowed.
    """

    __tablename__ = "orders_order"
    __table_args__ = (
        UniqueConstraint("operator_id", "station_id", "transaction_id"),
        Index("ix_orders_order_no", "operator_id", "station_id", "transaction_no"),
        # State first: the job that looks for unanswered starts asks over all operators.
        Index("ix_orders_order_state", "state", "operator_id"),
        Index("ix_orders_order_ended", "station_id", "ended_at"),
        Index("ix_orders_order_created", "operator_id", "created_at"),
        Index("ix_orders_order_charge_point", "operator_id", "charge_point_no", "id"),
        Index(
            "ix_orders_order_parallel",
            "parallel_no",
            "station_id",
            postgresql_where=text(IN_A_GROUP),
        ),
        CheckConstraint("payable_fen >= 0", name="payable_fen"),
        CheckConstraint("energy_dwh >= 0", name="energy_dwh"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id")
    transaction_id: UUID | None = None
    transaction_no: str = Field(default="", max_length=64)
    charge_point_no: str = Field(max_length=32)
    connector_no: int
    state: OrderState = Field(sa_type=text_enum(OrderState))
    means: StartMeans = Field(default=StartMeans.UNKNOWN, sa_type=text_enum(StartMeans))
    token_kind: TokenKind | None = Field(default=None, sa_type=text_enum(TokenKind))
    token_value: str = Field(default="", index=True)
    vin: str = ""
    parallel_no: str = ""
    tariff_version_id: UUID | None = None
    limit_fen: int = Field(default=0, sa_type=Fen)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    requested_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    requested_by: str = ""
    start_command_id: UUID | None = Field(default=None, index=True)
    authorized_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unreachable_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    stop_requested_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cancelled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_by: EndKind | None = Field(default=None, sa_type=text_enum(EndKind))
    failure_reason: str = ""
    start_failure: bool = False
    energy_dwh: int = Field(default=0, sa_type=Dwh)
    payable_fen: int = Field(default=0, sa_type=Fen)
    flags: list[str] = Field(default_factory=list, sa_type=Json)
    disputes: int = 0


class Fact(SQLModel, table=True):
    """One thing that happened to an order. `body` is the event in msgpack, whole.

    `digest` makes a fact that comes again visible: a second row cannot be written.
    """

    __tablename__ = "orders_fact"
    __table_args__ = (UniqueConstraint("operator_id", "order_id", "digest"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    order_id: UUID = Field(foreign_key="orders_order.id", index=True)
    kind: str = Field(max_length=64)
    role: EndRole | None = Field(default=None, sa_type=text_enum(EndRole))
    digest: bytes
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    body: bytes


class Review(SQLModel, table=True):
    """Why somebody must look at an order, and how it was decided. One is open at most."""

    __tablename__ = "orders_review"
    __table_args__ = (
        Index(
            "uq_orders_review_open",
            "order_id",
            unique=True,
            postgresql_where=text("decided_at IS NULL"),
        ),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    order_id: UUID = Field(foreign_key="orders_order.id", index=True)
    causes: list[Any] = Field(sa_type=Json)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    decided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    decision: Decision | None = Field(default=None, sa_type=text_enum(Decision))
    reason: str = ""
    decided_by: str = ""
