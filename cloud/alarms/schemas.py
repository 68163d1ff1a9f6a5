"""Alarms over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from cloud.alarms.models import Alarm, Moment, Source, Step
from cloud.alarms.queries import Group
from cloud.alarms.rules import texts_of
from shared.contracts.words import Severity


class AlarmRead(BaseModel):
    """An alarm, with its texts in the reader's language."""

    id: UUID
    station_id: UUID | None = Field(description="null: an alarm of HQ itself")
    code: str
    object: str
    severity: Severity
    title: str
    advice: str
    params: dict[str, Any]
    drill: bool
    raised_at: datetime
    repeats: int
    cleared_at: datetime | None
    cleared_reason: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    shelved_until: datetime | None = Field(description="put aside while this is to come")
    shelved_by: str
    shelved_reason: str
    escalation_level: int
    silenced_at: datetime | None
    silenced_by: str

    @classmethod
    def of(cls, alarm: Alarm, *, chinese: bool) -> AlarmRead:
        """Return a row as it goes over HTTP."""
        texts = texts_of(alarm.code, alarm.params, chinese=chinese)
        return cls(title=texts.title, advice=texts.advice, **alarm.model_dump())


class MomentRead(BaseModel):
    """One step in the life of an alarm."""

    id: UUID
    step: Step
    source: Source
    by: str
    details: dict[str, str]
    at: datetime

    @classmethod
    def of(cls, moment: Moment) -> MomentRead:
        """Return a row as it goes over HTTP."""
        return cls.model_validate(moment.model_dump())


class GroupRead(BaseModel):
    """All alarms of one code at one station; `severity` is the worst of them."""

    station_id: UUID | None
    station_no: str
    code: str
    title: str
    severity: Severity
    count: int
    unseen: int
    repeats: int
    objects: list[str]
    first_raised_at: datetime
    last_raised_at: datetime
    drill: bool = Field(description="all of them are drills")

    @classmethod
    def of(cls, group: Group, station_no: str, *, chinese: bool) -> GroupRead:
        """Return a group as it goes over HTTP; its title has the values of the worst."""
        return cls(
            station_id=group.station_id,
            station_no=station_no,
            code=group.code,
            title=texts_of(group.code, group.params, chinese=chinese).title,
            severity=group.severity,
            count=group.count,
            unseen=group.unseen,
            repeats=group.repeats,
            objects=list(group.objects),
            first_raised_at=group.first_raised_at,
            last_raised_at=group.last_raised_at,
            drill=group.drill,
        )


class ShelveBody(BaseModel):
    """Put aside until when, and why."""

    until: AwareDatetime = Field(description="at most 8 hours from now")
    reason: str = Field(min_length=3, max_length=500)


class TripRead(BaseModel):
    """What a station's safety did by itself, with its figures."""

    id: UUID
    station_id: UUID
    cause: str
    object: str
    zone: str
    connectors: list[Any]
    stop_sent_us: int | None = Field(
        description="deciding frame to last stop frame, microseconds; null where none was sent"
    )
    siren_us: int | None = Field(description="deciding frame to siren coil answered")
    contactors: list[str] = Field(description="outputs that were opened")
    contactor_us: int | None
    zero_current_ms: int | None = Field(description="last stop frame to first reading below 1 A")
    drill: bool
    at: datetime


class DrillRead(BaseModel):
    """Sirens and their read-back were tried at a station."""

    id: UUID
    station_id: UUID
    by: str
    ok: bool
    outputs: list[dict[str, Any]]
    at: datetime
