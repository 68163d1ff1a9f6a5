"""Protection over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, model_validator

from cloud.core.commands import CommandRow
from cloud.protection.models import Instruction, PinHolder, Version, VersionState
from cloud.protection.rules import BoundKind
from shared.contracts.words import Outcome


class VersionRead(BaseModel):
    """A version of a station's document and what became of it there."""

    version: int
    sha256: str
    state: VersionState
    refusal: str = Field(description="what the station says against it: path and reason")
    rolled_back_to: int | None = Field(description="the version of which it is a copy")
    activated_at: datetime | None
    created_at: datetime
    created_by: str
    note: str

    @classmethod
    def of(cls, version: Version) -> VersionRead:
        """Return a row as it goes over HTTP."""
        return cls.model_validate(version.model_dump(exclude={"document"}))


class VersionFull(VersionRead):
    """A version with its document."""

    document: dict[str, Any]

    @classmethod
    def of(cls, version: Version) -> VersionFull:
        """Return a row as it goes over HTTP."""
        return cls.model_validate(version.model_dump())


class Active(BaseModel):
    """What a station says it protects itself by; version 0 is its own file."""

    version: int | None = Field(description="null: it has not said yet")
    sha256: str
    at: datetime | None


class ProtectionRead(BaseModel):
    """What is to hold at a station, and what does. `version` 0: HQ has published nothing."""

    version: int
    state: VersionState | None
    refusal: str
    document: dict[str, Any]
    active: Active
    in_force: bool = Field(description="the station protects itself by exactly this document")


class BuiltIn(BaseModel):
    """The rules and the interlock matrix of a document that names none."""

    rules: list[dict[str, Any]]
    interlocks: list[dict[str, Any]]


class Difference(BaseModel):
    """One value that differs between two versions; "" where there is none."""

    path: str
    before: Any
    after: Any


class BindingBody(BaseModel):
    """A camera, siren or screen and where it belongs."""

    kind: BoundKind
    name: str = Field(min_length=1, max_length=64)
    target: str = Field(max_length=64, examples=["station", "zone:A", "charge_point:5503…"])


class BindingsBody(BaseModel):
    """All bindings of a station."""

    bindings: list[BindingBody] = Field(max_length=500)


class BindingsRead(BindingsBody):
    """All bindings of a station and who set them."""

    version: int
    changed_at: datetime | None
    changed_by: str


class PinWanted(BaseModel):
    """Somebody who may act at the screen; `renew` makes a new PIN for who has one."""

    name: str = Field(min_length=1, max_length=64)
    role: Literal["staff", "chief"] = "staff"
    renew: bool = False


class PinsBody(BaseModel):
    """All who may act at a station's screen; whoever is left out loses the PIN."""

    pins: list[PinWanted] = Field(max_length=50)

    @model_validator(mode="after")
    def _each_once(self) -> PinsBody:
        names = [pin.name for pin in self.pins]
        if len(set(names)) != len(names):
            raise ValueError("a name stands twice")
        return self


class PinRead(BaseModel):
    """Somebody who may act at the screen. `pin` is shown in the answer that made it only."""

    name: str
    role: str
    created_at: datetime
    created_by: str
    pin: str | None = None

    @classmethod
    def of(cls, holder: PinHolder, pin: str | None = None) -> PinRead:
        """Return a row as it goes over HTTP; never its hash."""
        return cls(
            name=holder.name,
            role=holder.role,
            created_at=holder.created_at,
            created_by=holder.created_by,
            pin=pin,
        )


class InstructionBody(BaseModel):
    """What people at a station are to do, in both languages."""

    text_zh: str = Field(min_length=1, max_length=400)
    text_en: str = Field(min_length=1, max_length=400)


class InstructionRead(BaseModel):
    """An instruction, whether it arrived and who read it."""

    id: UUID
    text_zh: str
    text_en: str
    by: str
    created_at: datetime
    outcome: Outcome | None = Field(description="null: on its way")
    acknowledged_at: datetime | None
    acknowledged_by: str

    @classmethod
    def of(cls, instruction: Instruction, command: CommandRow | None) -> InstructionRead:
        """Return a row as it goes over HTTP."""
        fields = instruction.model_dump(exclude={"operator_id", "station_id", "command_id"})
        return cls(**fields, outcome=command.outcome if command is not None else None)
