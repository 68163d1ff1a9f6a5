"""Alarms over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from cloud.alarms.models import Alarm
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
    acknowledged_at: datetime | None
    acknowledged_by: str

    @classmethod
    def of(cls, alarm: Alarm, *, chinese: bool) -> AlarmRead:
        """Return a row as it goes over HTTP."""
        texts = texts_of(alarm.code, alarm.params, chinese=chinese)
        return cls(title=texts.title, advice=texts.advice, **alarm.model_dump())


class TripRead(BaseModel):
    """What a station's safety did by itself, with its figures."""

    id: UUID
    station_id: UUID
    cause: str
    connectors: list[Any]
    stop_sent_us: int
    zero_current_ms: int | None
    drill: bool
    at: datetime
