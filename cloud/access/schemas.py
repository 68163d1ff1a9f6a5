"""Tokens over HTTP. A password goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from cloud.access.models import AccessToken
from shared.contracts.words import TokenKind

PasswordMd5 = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{16})?$")]


class TokenChange(BaseModel):
    """What can be changed of a token; what is left out stays."""

    frozen: bool | None = None
    limit_fen: int | None = Field(default=None, ge=0, le=2**53, description="0 = no limit")
    expires_at: AwareDatetime | None = None
    holder: str | None = Field(default=None, max_length=200)
    logical_card_no: str | None = Field(default=None, max_length=32)
    password_md5: PasswordMd5 | None = None
    station_nos: list[str] | None = Field(default=None, description="Empty = all stations")


class TokenCreate(BaseModel):
    """A new token."""

    kind: TokenKind
    value: str = Field(max_length=64, description="Physical card number (16 hex), VIN or account")
    frozen: bool = False
    limit_fen: int = Field(default=0, ge=0, le=2**53, description="0 = no limit")
    expires_at: AwareDatetime | None = None
    holder: str = Field(default="", max_length=200)
    logical_card_no: str = Field(default="", max_length=32)
    password_md5: PasswordMd5 = ""
    station_nos: list[str] = Field(default=[], description="Empty = all stations")


class TokenRead(BaseModel):
    """A token."""

    id: UUID
    kind: TokenKind
    value: str
    logical_card_no: str
    has_password: bool
    holder: str
    frozen: bool
    limit_fen: int
    expires_at: datetime | None
    station_ids: list[UUID]
    exposure_fen: int

    @classmethod
    def of(cls, token: AccessToken, station_ids: set[UUID], exposure_fen: int) -> TokenRead:
        """Return a row as it goes over HTTP."""
        return cls(
            has_password=bool(token.password_md5),
            station_ids=sorted(station_ids),
            exposure_fen=exposure_fen,
            **token.model_dump(exclude={"password_md5"}),
        )


class ImportDone(BaseModel):
    """What became of a file."""

    created: int
    changed: int
