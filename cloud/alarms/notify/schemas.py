"""Notices over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from cloud.alarms.notify.models import ChannelKind, Notice, NoticeKind, NoticeState, Rule
from shared.contracts.words import Severity

Name = Field(min_length=1, max_length=64)


class ChannelCreate(BaseModel):
    """A way to reach somebody: `target` is a URL, an e-mail address, or "" for HQ's log."""

    name: str = Name
    kind: ChannelKind
    target: str = Field(default="", max_length=500)
    language: Literal["zh", "en"] = "zh"


class ChannelChange(BaseModel):
    """What is to change; what is left out stays."""

    name: str | None = Field(default=None, min_length=1, max_length=64)
    target: str | None = Field(default=None, max_length=500)
    language: Literal["zh", "en"] | None = None
    active: bool | None = None


class ChannelRead(BaseModel):
    """A channel; never its secret."""

    id: UUID
    name: str
    kind: ChannelKind
    target: str
    language: str
    active: bool
    created_at: datetime
    created_by: str


class ChannelMade(ChannelRead):
    """A channel with its secret, which is not shown again; "" for what is not signed.

    A webhook's receiver checks `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over
    `ID.TIMESTAMP.BODY`, with the secret's base64 part as key; and sees a notice once by
    `webhook-id`.
    """

    secret: str


class ChainStep(BaseModel):
    """Whom to tell when nobody has acknowledged for so long; 0: at once, in any case."""

    after_min: int = Field(ge=0, le=24 * 60)
    channel_id: UUID


class RuleBody(BaseModel):
    """Which alarms are told over which channels. It counts for alarms from now on."""

    name: str = Name
    severity: Severity = Field(default=Severity.MAJOR, description="this bad or worse")
    codes: list[str] = Field(default_factory=list, max_length=100, description="empty: all")
    stations: list[str] = Field(default_factory=list, max_length=500, description="empty: all")
    drills: bool = Field(default=False, description="drills too")
    chain: list[ChainStep] = Field(min_length=1, max_length=10)
    repeat_min: int = Field(
        default=0, ge=0, le=24 * 60, description="remind while nobody acknowledged; 0: never"
    )
    on_clear: bool = Field(default=False, description="also when it is over")
    burst_s: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="one notice a station within; what is worse is told at once",
    )
    active: bool = True


class RuleRead(RuleBody):
    """A rule."""

    id: UUID
    created_at: datetime
    created_by: str

    @classmethod
    def of(cls, rule: Rule, numbers: dict[str, str]) -> RuleRead:
        """Return a row as it goes over HTTP; `numbers` are station numbers by id."""
        chain = [ChainStep(after_min=after, channel_id=UUID(id_)) for after, id_ in rule.chain]
        fields = rule.model_dump(exclude={"operator_id", "station_ids", "chain"})
        stations = [numbers[each] for each in rule.station_ids if each in numbers]
        return cls(**fields, stations=stations, chain=chain)


class DeliveryRead(BaseModel):
    """A notice and what became of it."""

    id: UUID
    channel_id: UUID
    rule_id: UUID | None
    station_id: UUID | None
    kind: NoticeKind
    severity: Severity
    alarm_ids: list[UUID]
    state: NoticeState
    tries: int
    next_try_at: datetime | None
    last_error: str
    created_at: datetime
    sent_at: datetime | None
    message: dict[str, Any]

    @classmethod
    def of(cls, notice: Notice) -> DeliveryRead:
        """Return a row as it goes over HTTP."""
        fields = notice.model_dump(exclude={"operator_id", "alarm_row_ids"})
        return cls(**fields, alarm_ids=[UUID(each) for each in notice.alarm_row_ids])
