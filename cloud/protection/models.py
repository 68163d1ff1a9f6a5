"""Tables of protection. A version of a document never changes, only what became of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlmodel import CheckConstraint, Field, SQLModel, UniqueConstraint

from cloud.core.columns import Json, UtcDateTime, text_enum


class VersionState(StrEnum):
    """What became of a version at its station."""

    SENT = "sent"
    ACTIVE = "active"
    REFUSED = "refused"
    REPLACED = "replaced"


class Version(SQLModel, table=True):
    """One version of a station's document, `shared.contracts.protection.Protection` as JSON.

    `refusal` is what the station says against it: the path of the first wrong field.
    """

    __tablename__ = "protection_version"
    __table_args__ = (
        UniqueConstraint("operator_id", "station_id", "version"),
        CheckConstraint("version > 0", name="version"),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    version: int
    sha256: str = Field(max_length=64)
    document: dict[str, Any] = Field(sa_type=Json)
    state: VersionState = Field(default=VersionState.SENT, sa_type=text_enum(VersionState))
    refusal: str = ""
    command_id: UUID | None = Field(default=None, index=True)
    rolled_back_to: int | None = None
    activated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""
    note: str = ""


class StationProtection(SQLModel, table=True):
    """What a station protects itself by now, as it says, and what HQ keeps beside the document.

    `active_version` 0 is the station's own file; None: it has not said anything yet.
    """

    __tablename__ = "protection_station"

    station_id: UUID = Field(primary_key=True, foreign_key="stations_station.id")
    operator_id: UUID
    active_version: int | None = None
    active_sha256: str = Field(default="", max_length=64)
    activated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    bindings: list[Any] = Field(default_factory=list, sa_type=Json)
    bindings_version: int = 0
    bindings_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    bindings_by: str = ""
    pins_version: int = 0
    pins_command_id: UUID | None = None


class PinHolder(SQLModel, table=True):
    """Somebody who may act at a station's screen. `hash` is argon2id's text."""

    __tablename__ = "protection_pin"
    __table_args__ = (UniqueConstraint("operator_id", "station_id", "name"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    name: str = Field(max_length=64)
    role: str = Field(max_length=16)
    hash: str = Field(repr=False)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""


class Instruction(SQLModel, table=True):
    """What HQ asked people at a station to do, and who there has read it."""

    __tablename__ = "protection_instruction"

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    text_zh: str
    text_en: str
    by: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    command_id: UUID | None = None
    acknowledged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    acknowledged_by: str = ""
