"""Log-in, people and keys over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import AwareDatetime, BaseModel, Field
from sqlmodel import col, select

from cloud.core.audit import AuditEntry, note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.errors import (
    BusinessError,
    NotFoundError,
    TooManyError,
    UnauthorizedError,
    UnavailableError,
    error_responses,
)
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.core.security import Role
from cloud.identity import service
from cloud.identity.logging_in import token_for
from cloud.identity.models import ApiKey, StaffUser
from cloud.identity.tokens import Tokens

router = APIRouter(prefix="/api/v1", tags=["identity"])


class TokenAnswer(BaseModel):
    """A bearer token."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int = Field(description="seconds")


class StaffRead(BaseModel):
    """A person."""

    id: UUID
    username: str
    role: Role
    active: bool
    last_login_at: datetime | None


class StaffCreate(BaseModel):
    """A new person."""

    username: str = Field(min_length=1, max_length=64, pattern=r"^[\w.@-]+$")
    password: str = Field(min_length=service.PASSWORD_MIN, max_length=256)
    role: Role


class StaffChange(BaseModel):
    """What shall be different; what is left out stays."""

    password: str | None = Field(default=None, min_length=service.PASSWORD_MIN, max_length=256)
    role: Role | None = None
    active: bool | None = None


class Me(BaseModel):
    """Who is calling."""

    id: UUID
    operator_id: UUID
    name: str
    role: Role


class KeyCreate(BaseModel):
    """A new key."""

    name: str = Field(min_length=1, max_length=64)
    role: Role
    expires_at: AwareDatetime | None = None


class KeyRead(BaseModel):
    """A key without its text."""

    id: UUID
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyMade(KeyRead):
    """A key with its text, which is not shown again."""

    key: str


class AuditRead(BaseModel):
    """One call that changed something."""

    id: UUID
    staff_name: str
    role: str
    method: str
    path: str
    action: str
    address: str
    request_id: str
    details: dict[str, str]
    at: datetime


@router.post(
    "/auth/token",
    operation_id="auth_token",
    responses=error_responses(UnauthorizedError, TooManyError, UnavailableError),
)
async def log_in(
    request: Request,
    form: Annotated[OAuth2PasswordRequestForm, Depends()],
    session: SessionDep,
    clock: ClockDep,
) -> TokenAnswer:
    """Change name and password for a bearer token."""
    tokens: Tokens = request.app.state.tokens
    token = await token_for(
        request, session, username=form.username, password=form.password, now=clock.now()
    )
    return TokenAnswer(access_token=token, expires_in=int(tokens.lifetime.total_seconds()))


class NoLogInError(BusinessError):
    """Who calls with a key has not logged in; a key is revoked instead."""

    code = "no_log_in"


@router.delete(
    "/auth/session",
    operation_id="auth_log_out",
    status_code=204,
    responses=error_responses(NoLogInError),
)
async def log_out(request: Request, _staff: Reader, session: SessionDep) -> None:
    """Log out: the token of this call lets nobody in any more. Others of the person stay."""
    session_id: UUID | None = getattr(request.state, "session_id", None)
    if session_id is None:
        raise NoLogInError("a key does not log in; revoke it")
    await service.end_session(session, session_id)


@router.get("/auth/me", operation_id="auth_me")
async def me(staff: Reader) -> Me:
    """Tell who is calling."""
    return Me(id=staff.staff_id, operator_id=staff.operator_id, name=staff.name, role=staff.role)


@router.get("/staff", operation_id="staff_list")
async def list_staff(staff: Admin, session: SessionDep, page: PageDep) -> Page[StaffRead]:
    """List people, newest first."""
    rows, cursor = await newest_first(
        session,
        select(StaffUser).where(StaffUser.operator_id == staff.operator_id),
        page,
        id_column=col(StaffUser.id),
    )
    return Page(
        items=[StaffRead.model_validate(row.model_dump()) for row in rows], next_cursor=cursor
    )


@router.post(
    "/staff",
    operation_id="staff_create",
    status_code=201,
    responses=error_responses(service.NameTakenError),
)
async def create_staff(
    body: StaffCreate, request: Request, staff: Admin, session: SessionDep, clock: ClockDep
) -> StaffRead:
    """Make a person."""
    note_change(request, after=body.model_dump(exclude={"password"}))
    user = await service.create_staff(
        session, operator_id=staff.operator_id, now=clock.now(), **body.model_dump()
    )
    return StaffRead.model_validate(user.model_dump())


@router.patch(
    "/staff/{staff_id}",
    operation_id="staff_change",
    responses=error_responses(NotFoundError, service.LastAdminError),
)
async def change_staff(
    staff_id: UUID, body: StaffChange, request: Request, staff: Admin, session: SessionDep
) -> StaffRead:
    """Change role, password or access; every token the person holds ends."""
    was = await service.staff_by_id(session, operator_id=staff.operator_id, staff_id=staff_id)
    changes = body.model_dump(exclude={"password"}, exclude_none=True)
    before = {"username": was.username} | {name: getattr(was, name) for name in changes}
    if body.password is not None:
        changes["password_changed"] = True
    note_change(request, before=before, after=changes)
    user = await service.change_staff(
        session, operator_id=staff.operator_id, staff_id=staff_id, **body.model_dump()
    )
    return StaffRead.model_validate(user.model_dump())


@router.get("/api-keys", operation_id="api_keys_list")
async def list_keys(staff: Admin, session: SessionDep, page: PageDep) -> Page[KeyRead]:
    """List keys, newest first; never their texts."""
    rows, cursor = await newest_first(
        session,
        select(ApiKey).where(ApiKey.operator_id == staff.operator_id),
        page,
        id_column=col(ApiKey.id),
    )
    return Page(
        items=[KeyRead.model_validate(row.model_dump()) for row in rows], next_cursor=cursor
    )


@router.post(
    "/api-keys",
    operation_id="api_keys_create",
    status_code=201,
    responses=error_responses(service.NameTakenError),
)
async def create_key(
    body: KeyCreate, request: Request, staff: Admin, session: SessionDep, clock: ClockDep
) -> KeyMade:
    """Make a key; its text is in this answer and nowhere else."""
    note_change(request, after=body.model_dump())
    row, key = await service.create_key(session, staff=staff, now=clock.now(), **body.model_dump())
    return KeyMade.model_validate({**row.model_dump(), "key": key})


@router.delete(
    "/api-keys/{key_id}", operation_id="api_keys_revoke", responses=error_responses(NotFoundError)
)
async def revoke_key(
    key_id: UUID, request: Request, staff: Admin, session: SessionDep, clock: ClockDep
) -> KeyRead:
    """End a key for ever."""
    row = await service.revoke_key(
        session, operator_id=staff.operator_id, key_id=key_id, now=clock.now()
    )
    note_change(request, before={"name": row.name, "role": row.role}, after={"revoked": True})
    return KeyRead.model_validate(row.model_dump())


@router.get("/audit", operation_id="audit_list")
async def list_audit(staff: Admin, session: SessionDep, page: PageDep) -> Page[AuditRead]:
    """List who changed what, newest first."""
    rows, cursor = await newest_first(
        session,
        select(AuditEntry).where(AuditEntry.operator_id == staff.operator_id),
        page,
        id_column=col(AuditEntry.id),
    )
    return Page(
        items=[AuditRead.model_validate(row.model_dump()) for row in rows], next_cursor=cursor
    )
