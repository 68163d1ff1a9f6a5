"""Tables of notices: channels, rules, what was told, and every notice with what became of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import Field, Index, SQLModel, UniqueConstraint, text

from cloud.core.columns import Json, UtcDateTime, text_enum
from shared.contracts.words import Severity


class ChannelKind(StrEnum):
    """How a notice travels."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    LOG = "log"


class NoticeKind(StrEnum):
    """Why somebody is told."""

    RAISED = "raised"
    ESCALATED = "escalated"
    REMINDER = "reminder"
    CLEARED = "cleared"
    TEST = "test"


class NoticeState(StrEnum):
    """What became of a notice."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"


class Channel(SQLModel, table=True):
    """One way to reach somebody. `secret` signs webhooks: never in an answer, never in a log.

    `target` is a URL, an e-mail address, or "" for the log.
    """

    __tablename__ = "alarms_channel"
    __table_args__ = (UniqueConstraint("operator_id", "name"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    name: str = Field(max_length=64)
    kind: ChannelKind = Field(sa_type=text_enum(ChannelKind))
    target: str = Field(default="", max_length=500)
    secret: str = Field(default="", repr=False)
    language: str = Field(default="zh", max_length=2)
    active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""


class Rule(SQLModel, table=True):
    """Which alarms, raised after the rule was made, are told over which channels.

    `codes` and `station_ids` empty: all of them. `chain` is `[[after_min, channel_id], …]`:
    the first at once, the others while nobody has acknowledged. `repeat_min` 0: no reminders.
    """

    __tablename__ = "alarms_rule"
    __table_args__ = (UniqueConstraint("operator_id", "name"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    name: str = Field(max_length=64)
    severity: Severity = Field(sa_type=text_enum(Severity))
    codes: list[Any] = Field(default_factory=list, sa_type=Json)
    station_ids: list[Any] = Field(default_factory=list, sa_type=Json)
    drills: bool = False
    chain: list[Any] = Field(sa_type=Json)
    repeat_min: int = 0
    on_clear: bool = False
    burst_s: int = 60
    active: bool = True
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""


class Told(SQLModel, table=True):
    """One thing about one alarm that a rule has had told, so that it is told once.

    `what` is `step:PLACE:STATE`, `reminder:PLACE:N:STATE` or `cleared:PLACE`: PLACE in the chain,
    STATE the severity, and how often the alarm had to be seen anew.
    """

    __tablename__ = "alarms_told"

    alarm_row_id: UUID = Field(primary_key=True, foreign_key="alarms_alarm.id")
    rule_id: UUID = Field(primary_key=True)
    what: str = Field(primary_key=True, max_length=64)
    notice_id: UUID
    at: datetime = Field(sa_type=UtcDateTime)


class Notice(SQLModel, table=True):
    """One message, written before it is sent; its id is what receivers see it once by.

    `message` is what is sent, the same at every try. `next_try_at` is empty once it is over.
    """

    __tablename__ = "alarms_notice"
    __table_args__ = (
        Index(
            "ix_alarms_notice_due", "next_try_at", postgresql_where=text("next_try_at IS NOT NULL")
        ),
        Index("ix_alarms_notice_list", "operator_id", "id"),
        Index("ix_alarms_notice_burst", "rule_id", "station_id", "created_at"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    channel_id: UUID = Field(foreign_key="alarms_channel.id", index=True)
    rule_id: UUID | None = None
    station_id: UUID | None = None
    kind: NoticeKind = Field(sa_type=text_enum(NoticeKind))
    severity: Severity = Field(sa_type=text_enum(Severity))
    alarm_row_ids: list[Any] = Field(default_factory=list, sa_type=Json)
    message: dict[str, Any] = Field(sa_type=Json)
    state: NoticeState = Field(default=NoticeState.WAITING, sa_type=text_enum(NoticeState))
    tries: int = 0
    next_try_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str = Field(default="", max_length=500)
    created_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
