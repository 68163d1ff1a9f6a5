"""Tables of alarms, of their lives, and of what the stations' safety did by itself."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger
from sqlmodel import Field, Index, SQLModel, UniqueConstraint, text

from cloud.core.columns import Json, UtcDateTime, text_enum
from shared.contracts.words import Severity


class Step(StrEnum):
    """What can happen to an alarm."""

    RAISED = "raised"
    WORSENED = "worsened"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    ESCALATED = "escalated"
    SILENCED = "silenced"
    CLEARED = "cleared"


class Source(StrEnum):
    """Where it happened."""

    STATION = "station"
    HQ = "hq"


class Alarm(SQLModel, table=True):
    """One alarm from raised to cleared. One cause is one open row per station, code and object.

    `object` is as in `AlarmRaised`; an alarm of HQ itself has no station and an object `hq:NAME`.
    `alarm_id` is the station's own, the newest that it gave to this cause. `notify_at` is when
    the notices of this alarm are to be thought over next, None for never; they are timed from
    `notify_from`, when HQ heard of it or of what has to be seen anew; `anew` counts that.
    `told_stream`, `told_seq`, `told_at` say which fact began or ended it last, and
    `shelved_seq` which one put it aside, so that a late one does not undo a newer one.
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
        Index("ix_alarms_alarm_list", "operator_id", "id"),
        Index("ix_alarms_alarm_cause", "station_id", "code", "object"),
        Index(
            "ix_alarms_alarm_notify", "notify_at", postgresql_where=text("notify_at IS NOT NULL")
        ),
        UniqueConstraint("operator_id", "station_id", "alarm_id"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID | None = Field(default=None, foreign_key="stations_station.id")
    alarm_id: UUID
    code: str = Field(max_length=64)
    object: str = Field(max_length=128)
    severity: Severity = Field(sa_type=text_enum(Severity))
    params: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    drill: bool = False
    raised_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    told_stream: int = 0
    told_seq: int = Field(default=0, sa_type=BigInteger)
    told_at: datetime = Field(sa_type=UtcDateTime)
    repeats: int = 0
    anew: int = 0
    cleared_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    cleared_reason: str = ""
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str = ""
    shelved_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    shelved_by: str = ""
    shelved_reason: str = ""
    shelved_seq: int = Field(default=0, sa_type=BigInteger)
    escalation_level: int = 0
    silenced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    silenced_by: str = ""
    notify_from: datetime = Field(sa_type=UtcDateTime)
    notify_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Moment(SQLModel, table=True):
    """One step in the life of an alarm: what, when, who, where. Rows are only ever added.

    `at` is when it happened, `id` (UUIDv7) when HQ learned of it.
    """

    __tablename__ = "alarms_history"
    __table_args__ = (Index("ix_alarms_history_operator", "operator_id", "id"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    alarm_row_id: UUID = Field(foreign_key="alarms_alarm.id", index=True)
    step: Step = Field(sa_type=text_enum(Step))
    source: Source = Field(sa_type=text_enum(Source))
    by: str = ""
    details: dict[str, str] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(sa_type=UtcDateTime)


class FormerId(SQLModel, table=True):
    """An id under which a station told of a cause before; what still comes of it is over."""

    __tablename__ = "alarms_former_id"

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    alarm_id: UUID = Field(primary_key=True)
    operator_id: UUID
    alarm_row_id: UUID = Field(foreign_key="alarms_alarm.id", index=True)


class Early(SQLModel, table=True):
    """A fact about an alarm of which HQ has not heard yet, the newest of its kind, as it came."""

    __tablename__ = "alarms_early"

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    alarm_id: UUID = Field(primary_key=True)
    kind: str = Field(primary_key=True, max_length=32)
    operator_id: UUID
    fact: bytes
    stream_id: int
    seq: int = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)


class Trip(SQLModel, table=True):
    """The station stopped connectors by itself, and how fast; figures as in `SafetyTripped`."""

    __tablename__ = "alarms_trip"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "trip_id"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    trip_id: UUID
    cause: str = Field(max_length=64)
    object: str = Field(default="", max_length=128)
    zone: str = Field(default="", max_length=64)
    connectors: list[Any] = Field(sa_type=Json)
    stop_sent_us: int | None = Field(default=None, sa_type=BigInteger)
    siren_us: int | None = Field(default=None, sa_type=BigInteger)
    contactors: list[Any] = Field(default_factory=list, sa_type=Json)
    contactor_us: int | None = Field(default=None, sa_type=BigInteger)
    zero_current_ms: int | None = Field(default=None, sa_type=BigInteger)
    drill: bool = False
    at: datetime = Field(sa_type=UtcDateTime)


class Drill(SQLModel, table=True):
    """Sirens and their read-back were tried at a station; `outputs` as in `DrillFinished`."""

    __tablename__ = "alarms_drill"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "drill_id"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    drill_id: UUID
    by: str
    ok: bool
    outputs: list[Any] = Field(sa_type=Json)
    at: datetime = Field(sa_type=UtcDateTime)
