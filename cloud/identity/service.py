"""Logging in, finding out who calls, and making people and keys."""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

from pwdlib import PasswordHash
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, select

from cloud.core.errors import BusinessError, NotFoundError, UnauthorizedError
from cloud.core.security import Role, Staff, hash_secret, new_secret
from cloud.identity.models import ApiKey, Session, SigningSecret, StaffUser
from cloud.identity.tokens import Claims
from shared.clock import to_ms
from shared.ids import uuid7

PASSWORD_MIN = 12
KEY_PREFIX = "vwk_"

_hasher = PasswordHash.recommended()
# Checked against for unknown names, so that they take as long as known ones.
_nobody = _hasher.hash(new_secret())


class NameTakenError(BusinessError):
    """Somebody has this name already."""

    code = "name_taken"


class WeakPasswordError(BusinessError):
    """The password is too short."""

    status = 400
    code = "weak_password"


async def create_staff(
    session: AsyncSession,
    *,
    operator_id: UUID,
    username: str,
    password: str,
    role: Role,
    now: datetime,
) -> StaffUser:
    """Make a person.

    Raises:
        WeakPasswordError: Fewer than 12 characters.
        NameTakenError: The name is in use.
    """
    if len(password) < PASSWORD_MIN:
        raise WeakPasswordError(f"a password has at least {PASSWORD_MIN} characters")
    if await _by_name(session, username) is not None:
        raise NameTakenError(f"the name {username} is taken", username=username)
    user = StaffUser(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        username=username,
        password_hash=await asyncio.to_thread(_hasher.hash, password),
        role=role,
        created_at=now,
    )
    session.add(user)
    await session.flush()
    return user


class LastAdminError(BusinessError):
    """Nobody would be left who may administer."""

    code = "last_admin"


async def log_in(
    session: AsyncSession, *, username: str, password: str, now: datetime
) -> StaffUser:
    """Return who this is. Raises UnauthorizedError, the same for each thing that may be wrong."""
    user = await _by_name(session, username)
    known = user.password_hash if user is not None else _nobody
    right = await asyncio.to_thread(_hasher.verify, password, known)
    if user is None or not right or not user.active:
        raise UnauthorizedError("name or password is wrong")
    user.last_login_at = now
    session.add(user)
    return user


async def begin_session(
    session: AsyncSession, user: StaffUser, *, now: datetime, ends_at: datetime
) -> UUID:
    """Note that somebody is logged in, and forget their log-ins that are over."""
    await session.execute(
        delete(Session).where(col(Session.staff_id) == user.id, col(Session.ends_at) <= now)
    )
    begun = Session(id=uuid7(to_ms(now)), staff_id=user.id, ends_at=ends_at)
    session.add(begun)
    await session.flush()
    return begun.id


async def end_session(session: AsyncSession, session_id: UUID) -> None:
    """End a log-in: its token lets nobody in from now on. Repeating is harmless."""
    await session.execute(delete(Session).where(col(Session.id) == session_id))


async def staff_of_token(session: AsyncSession, claims: Claims) -> Staff:
    """Return whom a token is for, as they are now. Raises UnauthorizedError."""
    user = await session.scalar(
        select(StaffUser)
        .join(Session, col(Session.staff_id) == col(StaffUser.id))
        .where(col(Session.id) == claims.session_id, col(StaffUser.id) == claims.staff_id)
    )
    if user is None or not user.active or user.token_epoch != claims.token_epoch:
        raise UnauthorizedError("this log-in was ended; log in again")
    return Staff(user.id, user.operator_id, user.username, user.role)


async def staff_of_key(session: AsyncSession, key: str, now: datetime) -> Staff:
    """Return as whom a key acts. Raises UnauthorizedError."""
    found = await session.scalar(select(ApiKey).where(ApiKey.key_hash == hash_secret(key)))
    if (
        found is None
        or found.revoked_at is not None
        or (found.expires_at is not None and found.expires_at <= now)
    ):
        raise UnauthorizedError("not a valid API key")
    return Staff(found.id, found.operator_id, f"key:{found.name}", found.role)


async def create_key(
    session: AsyncSession,
    *,
    staff: Staff,
    name: str,
    role: Role,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Make a key. Returns it and its text, which is shown once. Raises NameTakenError."""
    taken = await session.scalar(
        select(ApiKey.id).where(ApiKey.operator_id == staff.operator_id, ApiKey.name == name)
    )
    if taken is not None:
        raise NameTakenError(f"the name {name} is taken", name=name)
    key = KEY_PREFIX + new_secret()
    row = ApiKey(
        id=uuid7(to_ms(now)),
        operator_id=staff.operator_id,
        name=name,
        key_hash=hash_secret(key),
        role=role,
        created_by=staff.staff_id,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    await session.flush()
    return row, key


async def revoke_key(
    session: AsyncSession, *, operator_id: UUID, key_id: UUID, now: datetime
) -> ApiKey:
    """End a key for ever. Raises NotFoundError."""
    row = await session.get(ApiKey, key_id)
    if row is None or row.operator_id != operator_id:
        raise NotFoundError("no such key")
    row.revoked_at = row.revoked_at or now
    session.add(row)
    return row


async def staff_by_id(session: AsyncSession, *, operator_id: UUID, staff_id: UUID) -> StaffUser:
    """Return a person. Raises NotFoundError."""
    user = await session.get(StaffUser, staff_id)
    if user is None or user.operator_id != operator_id:
        raise NotFoundError("no such person")
    return user


async def change_staff(
    session: AsyncSession,
    *,
    operator_id: UUID,
    staff_id: UUID,
    role: Role | None,
    active: bool | None,
    password: str | None,
) -> StaffUser:
    """Change a person; every token they hold ends.

    Raises:
        NotFoundError: No such person.
        WeakPasswordError: The password is too short.
        LastAdminError: Nobody would be left who may administer.
    """
    user = await staff_by_id(session, operator_id=operator_id, staff_id=staff_id)
    stays = active is not False and role in {None, Role.ADMIN}
    if user.role is Role.ADMIN and user.active and not stays:
        await _refuse_last_admin(session, user)
    if role is not None:
        user.role = role
    if active is not None:
        user.active = active
    if password is not None:
        if len(password) < PASSWORD_MIN:
            raise WeakPasswordError(f"a password has at least {PASSWORD_MIN} characters")
        user.password_hash = await asyncio.to_thread(_hasher.hash, password)
    user.token_epoch += 1
    session.add(user)
    await session.flush()
    return user


async def _refuse_last_admin(session: AsyncSession, leaving: StaffUser) -> None:
    # All are locked, so that two who lock each other out at once do not both succeed.
    admins = await session.scalars(
        select(StaffUser.id)
        .where(
            StaffUser.operator_id == leaving.operator_id,
            StaffUser.role == Role.ADMIN,
            col(StaffUser.active).is_(True),
        )
        .order_by(col(StaffUser.id))
        .with_for_update()
    )
    if set(admins.all()) <= {leaving.id}:
        raise LastAdminError("nobody would be left who may administer")


async def signing_secret(session: AsyncSession, now: datetime) -> str:
    """Return the secret in the database, made on first use; two first users agree on one."""
    await session.execute(
        insert(SigningSecret)
        .values(id=1, secret=new_secret(), created_at=now)
        .on_conflict_do_nothing()
    )
    row = await session.get(SigningSecret, 1)
    assert row is not None, "just written"
    return row.secret


async def _by_name(session: AsyncSession, username: str) -> StaffUser | None:
    return await session.scalar(select(StaffUser).where(StaffUser.username == username))
