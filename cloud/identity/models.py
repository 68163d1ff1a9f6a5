"""Staff and API keys. Neither password nor key is stored, only what recognises it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import Field, SQLModel, UniqueConstraint

from cloud.core.columns import UtcDateTime, text_enum
from cloud.core.security import Role


class StaffUser(SQLModel, table=True):
    """A person who works for an operator. `username` is unique over all of them: it logs in."""

    __tablename__ = "identity_staff"
    __table_args__ = (UniqueConstraint("operator_id", "username"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID = Field(foreign_key="stations_operator.id")
    username: str = Field(unique=True, max_length=64)
    password_hash: str
    role: Role = Field(sa_type=text_enum(Role))
    active: bool = True
    token_epoch: int = Field(default=0, description="raised to end all tokens given before")
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_login_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Session(SQLModel, table=True):
    """A log-in that holds. A token names its row: without it the token lets nobody in."""

    __tablename__ = "identity_session"

    id: UUID = Field(primary_key=True)
    staff_id: UUID = Field(foreign_key="identity_staff.id", index=True)
    ends_at: datetime = Field(sa_type=UtcDateTime)


class ApiKey(SQLModel, table=True):
    """A key with which a program acts in a role."""

    __tablename__ = "identity_api_key"
    __table_args__ = (UniqueConstraint("operator_id", "name"),)

    id: UUID = Field(primary_key=True)
    operator_id: UUID = Field(foreign_key="stations_operator.id")
    name: str = Field(max_length=64)
    key_hash: str = Field(unique=True)
    role: Role = Field(sa_type=text_enum(Role))
    created_by: UUID
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class SigningSecret(SQLModel, table=True):
    """The secret that signs tokens where no file gives one; a single row."""

    __tablename__ = "identity_signing_secret"

    id: int = Field(primary_key=True)
    secret: str
    created_at: datetime = Field(sa_type=UtcDateTime)
