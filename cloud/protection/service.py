"""Protection documents of stations: written, sent, believed when the station says so.

Functions take an open transaction and do not commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from cloud.core.commands import enqueue_command, find_command
from cloud.core.errors import BusinessError, NotFoundError
from cloud.protection.models import StationProtection, Version, VersionState
from cloud.protection.rules import Binding, InvalidDocumentError, check_binding
from cloud.stations import lookup
from shared.clock import to_ms
from shared.contracts.commands import PublishProtection
from shared.contracts.events import CommandSettled, ProtectionActivated
from shared.contracts.protection import Protection
from shared.contracts.words import Outcome
from shared.errors import ProtectionError
from shared.ids import uuid7
from shared.protection import document_hash, read_tables

_REFUSED = frozenset({Outcome.REJECTED, Outcome.FAILED})


class VersionNotFoundError(NotFoundError):
    """No such version at this station."""

    code = "protection_version_not_found"


class VersionChangedError(BusinessError):
    """Somebody else published in between: read the newest, put the change into that one."""

    status = 412
    code = "version_changed"


async def publish(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    document: Any,
    expected: int,
    by: str,
    now: datetime,
    note: str = "",
    rolled_back_to: int | None = None,
) -> Version:
    """Check a document, make it the next version and send it to its station.

    Args:
        session: An open transaction.
        operator_id: Whose.
        station_id: Of which station.
        document: `Protection` as plain data.
        expected: The version that the writer saw as the newest, 0 for none.
        by: Who publishes.
        now: HQ's time.
        note: Why.
        rolled_back_to: The version of which this is a copy.

    Raises:
        InvalidDocumentError: With the path of the first wrong field.
        VersionChangedError: Somebody else published in between.
    """
    protection = read(document)
    await _lock(session, station_id)
    newest = await newest_version(session, operator_id=operator_id, station_id=station_id)
    number = newest.version if newest is not None else 0
    if expected != number:
        raise VersionChangedError(f"the newest version is {number}", version=number)
    version = Version(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        version=number + 1,
        sha256=document_hash(protection),
        document=msgspec.to_builtins(protection),
        rolled_back_to=rolled_back_to,
        created_at=now,
        created_by=by,
        note=note,
    )
    if newest is not None and newest.state is VersionState.SENT:
        newest.state = VersionState.REPLACED
        session.add(newest)
    session.add(version)
    await session.flush()
    await _send(session, version, now=now)
    return version


def read(document: Any) -> Protection:
    """Return a document as the rest of the program knows it. Raises InvalidDocumentError."""
    try:
        return read_tables(document)
    except ProtectionError as error:
        raise InvalidDocumentError(error.path, error.why) from error


async def newest_version(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID
) -> Version | None:
    """Return the version that is to hold at a station, None if HQ has published none."""
    return await session.scalar(
        select(Version)
        .where(Version.operator_id == operator_id, Version.station_id == station_id)
        .order_by(col(Version.version).desc())
        .limit(1)
    )


async def versions_of(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID
) -> Sequence[Version]:
    """Return all versions of a station, newest first."""
    return (
        await session.scalars(
            select(Version)
            .where(Version.operator_id == operator_id, Version.station_id == station_id)
            .order_by(col(Version.version).desc())
        )
    ).all()


async def version_by_number(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, version: int
) -> Version:
    """Return one version. Raises VersionNotFoundError."""
    found = await session.scalar(
        select(Version).where(
            Version.operator_id == operator_id,
            Version.station_id == station_id,
            Version.version == version,
        )
    )
    if found is None:
        raise VersionNotFoundError(f"no protection version {version}", version=version)
    return found


async def station_row(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, for_update: bool = False
) -> StationProtection:
    """Return what a station says and what HQ keeps beside the document, made if there is none."""
    await session.execute(
        insert(StationProtection)
        .values(
            station_id=station_id,
            operator_id=operator_id,
            active_sha256="",
            bindings=[],
            bindings_version=0,
            bindings_by="",
            pins_version=0,
        )
        .on_conflict_do_nothing()
    )
    return await session.get_one(
        StationProtection, station_id, with_for_update=for_update, populate_existing=for_update
    )


async def note_activated(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: ProtectionActivated,
    now: datetime,
) -> None:
    """Take over what a station protects itself by, and send one that is behind the newest.

    A station falls behind when its disk is replaced; one that refused a version is left alone.
    """
    await _lock(session, station_id)
    row = await station_row(
        session, operator_id=operator_id, station_id=station_id, for_update=True
    )
    # A clock that once was years ahead would have the last word for as long.
    at = min(event.occurred_at, now)
    if row.activated_at is not None and row.activated_at > at:
        return
    row.active_version, row.active_sha256 = event.version, event.sha256
    row.activated_at = at
    session.add(row)
    await session.execute(
        update(Version)
        .where(col(Version.station_id) == station_id, col(Version.state) == VersionState.ACTIVE)
        .values(state=VersionState.REPLACED)
    )
    await session.execute(
        update(Version)
        .where(
            col(Version.station_id) == station_id,
            col(Version.version) == event.version,
            col(Version.sha256) == event.sha256,
        )
        .values(state=VersionState.ACTIVE, activated_at=at, refusal="")
    )
    await _heal(session, operator_id, station_id, event.version, now)


async def note_settled(session: AsyncSession, *, station_id: UUID, event: CommandSettled) -> None:
    """Note that a station refused a version, and why."""
    if event.outcome not in _REFUSED:
        return
    await session.execute(
        update(Version)
        .where(col(Version.station_id) == station_id, col(Version.command_id) == event.command_id)
        .values(state=VersionState.REFUSED, refusal=event.reason)
    )


async def set_bindings(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    bindings: Sequence[Binding],
    expected: int,
    by: str,
    now: datetime,
) -> StationProtection:
    """Replace which camera, siren and screen belong to which place.

    Raises:
        InvalidDocumentError: One names what there is not.
        VersionChangedError: Somebody else changed them in between.
    """
    newest = await newest_version(session, operator_id=operator_id, station_id=station_id)
    protection = read(newest.document) if newest is not None else Protection()
    points = await lookup.charge_points(session, station_id)
    numbers = {point.charge_point_no for point in points}
    for place, binding in enumerate(bindings):
        check_binding(binding, protection, numbers, f"bindings[{place}]")
    row = await station_row(
        session, operator_id=operator_id, station_id=station_id, for_update=True
    )
    if row.bindings_version != expected:
        raise VersionChangedError(
            f"the newest version is {row.bindings_version}", version=row.bindings_version
        )
    row.bindings = msgspec.to_builtins(list(bindings))
    row.bindings_version, row.bindings_at, row.bindings_by = expected + 1, now, by
    session.add(row)
    await session.flush()
    return row


async def _heal(
    session: AsyncSession, operator_id: UUID, station_id: UUID, active: int, now: datetime
) -> None:
    newest = await newest_version(session, operator_id=operator_id, station_id=station_id)
    if newest is None or newest.version <= active:
        return
    await session.refresh(newest)
    if newest.state is VersionState.REFUSED:
        return
    command = await find_command(session, newest.command_id) if newest.command_id else None
    if command is not None and command.settled_at is None:
        return
    newest.state = VersionState.SENT
    await _send(session, newest, now=now)


async def _send(session: AsyncSession, version: Version, *, now: datetime) -> None:
    version.command_id = await enqueue_command(
        session,
        version.station_id,
        PublishProtection(version=version.version, protection=read(version.document)),
        expires_at=None,
        now=now,
        replace_kind=True,
    )
    session.add(version)
    await session.flush()


async def _lock(session: AsyncSession, station_id: UUID) -> None:
    """Let one at a time make versions of a station."""
    key = sa.func.hashtextextended(f"protection:{station_id}", 0)
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
