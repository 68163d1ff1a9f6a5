"""Tables of prices. A version never changes once it is written."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import CheckConstraint, Field, SQLModel, UniqueConstraint

from cloud.core.columns import Json, UtcDateTime, text_enum


class TariffKind(StrEnum):
    """What is charged for."""

    ENERGY = "energy"
    TIME = "time"
    BOTH = "both"


class Version(SQLModel, table=True):
    """One version of a station's tariff; `tariff` is `shared.tariff.Tariff` as JSON.

    `model_no` is the number under which charge points know it: 1–9999, then 1 again.
    """

    __tablename__ = "tariffs_version"
    __table_args__ = (
        UniqueConstraint("operator_id", "station_id", "version"),
        CheckConstraint("model_no BETWEEN 1 AND 9999", name="model_no"),
        CheckConstraint("version > 0", name="version"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    version: int
    model_no: int
    kind: TariffKind = Field(sa_type=text_enum(TariffKind))
    content_hash: str = Field(max_length=64)
    tariff: dict[str, Any] = Field(sa_type=Json)
    valid_from: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""
    note: str = ""


class Holding(SQLModel, table=True):
    """Which version a charge point has confirmed, last."""

    __tablename__ = "tariffs_holding"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "charge_point_no"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    charge_point_no: str = Field(max_length=32)
    tariff_version_id: UUID
    model_no: int
    content_hash: str = Field(max_length=64)
    confirmed_at: datetime = Field(sa_type=UtcDateTime)
