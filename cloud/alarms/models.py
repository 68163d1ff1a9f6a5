"""Tables of alarms and of what the stations' safety did by itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Field, Index, SQLModel, UniqueConstraint, text

from cloud.core.columns import Dwh, Json, UtcDateTime, text_enum
from shared.contracts.words import Severity


class Alarm(SQLModel, table=True):
    """One alarm from raised to cleared. One cause is one open row per station, code and object.

    `object` is `station`, `charge_point:NO`, `connector:NO:N` or `channel:NAME`; an alarm of HQ
    itself has no station and an object `hq:NAME`.
    """

    __tablename__ = "alarms_alarm"
    __table_args__ = (
        Index(
            "uq_alarms_alarm_open",
            "operator_id",
            "station_id",
            "code",
            "object",
            unique=True,
            postgresql_where=text("cleared_at IS NULL"),
        ),
        # Of its own, because no station is not the same as no station.
        Index(
            "uq_alarms_alarm_open_hq",
            "operator_id",
            "code",
            "object",
            unique=True,
            postgresql_where=text("cleared_at IS NULL AND station_id IS NULL"),
        ),
        UniqueConstraint("operator_id", "station_id", "alarm_id"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID | None = Field(default=None, foreign_key="stations_station.id", index=True)
    alarm_id: UUID
    code: str = Field(max_length=64)
    object: str = Field(max_length=128)
    severity: Severity = Field(sa_type=text_enum(Severity))
    params: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    drill: bool = False
    raised_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    repeats: int = 0
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str = ""


class Clearing(SQLModel, table=True):
    """An alarm's end that came before its beginning: lanes are many, and facts are repeated."""

    __tablename__ = "alarms_clearing"

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    alarm_id: UUID = Field(primary_key=True)
    operator_id: UUID
    cleared_at: datetime = Field(sa_type=UtcDateTime)


class Trip(SQLModel, table=True):
    """The station stopped connectors by itself, and how fast."""

    __tablename__ = "alarms_trip"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "trip_id"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    trip_id: UUID
    cause: str = Field(max_length=64)
    connectors: list[Any] = Field(sa_type=Json)
    stop_sent_us: int = Field(sa_type=Dwh)
    zero_current_ms: int | None = Field(default=None, sa_type=Dwh)
    drill: bool = False
    at: datetime = Field(sa_type=UtcDateTime)
