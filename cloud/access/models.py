"""Tables of access: tokens, where they hold, what they owe, and each station's list."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import CheckConstraint, Field, Index, SQLModel, UniqueConstraint

from cloud.core.columns import Fen, UtcDateTime, text_enum
from shared.contracts.words import TokenKind


class AccessToken(SQLModel, table=True):
    """Somebody who may charge, post-paid up to `limit_fen` (0 = no limit).

    `value` is a card's physical number (16 hex digits), a VIN or an account. Without rows in
    `access_scope` it holds at all stations of its operator.
    """

    __tablename__ = "access_token"
    __table_args__ = (
        UniqueConstraint("operator_id", "kind", "value"),
        CheckConstraint("limit_fen >= 0", name="limit_fen"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    kind: TokenKind = Field(sa_type=text_enum(TokenKind))
    value: str = Field(max_length=64)
    logical_card_no: str = Field(default="", max_length=32)
    password_md5: str = Field(default="", max_length=16)
    holder: str = ""
    frozen: bool = False
    limit_fen: int = Field(default=0, sa_type=Fen)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class Scope(SQLModel, table=True):
    """A token holds at this station; with any row it holds nowhere else."""

    __tablename__ = "access_scope"

    token_id: UUID = Field(primary_key=True, foreign_key="access_token.id", ondelete="CASCADE")
    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    operator_id: UUID


class Exposure(SQLModel, table=True):
    """What one open or unsettled order may still cost its token; written by orders."""

    __tablename__ = "access_exposure"
    __table_args__ = (Index("ix_access_exposure_token", "operator_id", "kind", "value"),)

    order_id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID
    kind: TokenKind = Field(sa_type=text_enum(TokenKind))
    value: str = Field(max_length=64)
    amount_fen: int = Field(sa_type=Fen)
    is_open: bool
    """Whether its station has it open and so counts it itself."""


class Reservation(SQLModel, table=True):
    """What HQ has just allowed at a connector of which the station has yet to report the start."""

    __tablename__ = "access_reservation"
    __table_args__ = (Index("ix_access_reservation_token", "operator_id", "kind", "value"),)

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    charge_point_no: str = Field(primary_key=True, max_length=64)
    connector_no: int = Field(primary_key=True)
    operator_id: UUID
    kind: TokenKind = Field(sa_type=text_enum(TokenKind))
    value: str = Field(max_length=64)
    amount_fen: int = Field(sa_type=Fen)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class ListVersion(SQLModel, table=True):
    """The number of a station's current allow-list."""

    __tablename__ = "access_list"

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    operator_id: UUID
    version: int = 0
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
