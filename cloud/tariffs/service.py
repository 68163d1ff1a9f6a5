"""What can be done with tariffs. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from cloud.core.commands import enqueue_command
from cloud.core.errors import BusinessError, NotFoundError
from cloud.tariffs.models import Holding, Version
from cloud.tariffs.rules import check_for_station, kind_of, missing_at_station, model_no_of
from shared.clock import to_ms
from shared.contracts.commands import PublishTariff
from shared.contracts.events import TariffConfirmed
from shared.ids import uuid7
from shared.tariff import Tariff, TariffError, TariffVersion


class InvalidTariffError(BusinessError):
    """A tariff that cannot be charged; `field` says where."""

    status = 400
    code = "invalid_tariff"


class TariffNotFoundError(NotFoundError):
    """No such version at this station."""

    code = "tariff_not_found"


async def create_version(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    tariff: Tariff,
    valid_from: datetime,
    now: datetime,
    created_by: str = "",
    note: str = "",
) -> Version:
    """Make the next version of a station's tariff and send it there.

    Raises:
        InvalidTariffError: The tariff cannot be charged; names the field.
    """
    try:
        check_for_station(tariff)
    except TariffError as error:
        raise InvalidTariffError(str(error), field=error.field) from error
    # Two who publish at once must not make the same number; station rows are lower in the order.
    await session.execute(
        sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(str(station_id), 0)))
    )
    last = await session.scalar(
        select(func.max(Version.version)).where(Version.station_id == station_id)
    )
    number = (last or 0) + 1
    version = Version(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        version=number,
        model_no=model_no_of(number),
        kind=kind_of(tariff),
        content_hash=tariff.content_hash(),
        tariff=msgspec.to_builtins(tariff),
        valid_from=valid_from,
        created_at=now,
        created_by=created_by,
        note=note,
    )
    session.add(version)
    await session.flush()
    await _send(session, version, now=now)
    return version


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
    """Return one version. Raises TariffNotFoundError."""
    found = await session.scalar(
        select(Version).where(
            Version.operator_id == operator_id,
            Version.station_id == station_id,
            Version.version == version,
        )
    )
    if found is None:
        raise TariffNotFoundError(f"no tariff version {version}", version=version)
    return found


async def find_version(
    session: AsyncSession, *, station_id: UUID, tariff_version_id: UUID | None
) -> Version | None:
    """Return a version of a station by its id, None if the station has no such one."""
    if tariff_version_id is None:
        return None
    found = await session.get(Version, tariff_version_id)
    return found if found is not None and found.station_id == station_id else None


async def current_versions(
    session: AsyncSession, *, operator_id: UUID, now: datetime
) -> dict[UUID, int]:
    """Return the number of the version that holds at each station of an operator."""
    rows = await session.execute(
        select(Version.station_id, func.max(Version.version))
        .where(Version.operator_id == operator_id, Version.valid_from <= now)
        .group_by(col(Version.station_id))
    )
    return {station_id: int(version) for station_id, version in rows}


def tariff_of(version: Version) -> Tariff:
    """Return what a version charges."""
    return msgspec.convert(version.tariff, Tariff)


async def holdings_of(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID
) -> Sequence[Holding]:
    """Return which charge point of a station has confirmed which version."""
    return (
        await session.scalars(
            select(Holding)
            .where(Holding.operator_id == operator_id, Holding.station_id == station_id)
            .order_by(col(Holding.charge_point_no))
        )
    ).all()


async def note_holding(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: TariffConfirmed,
    at: datetime,
    now: datetime,
) -> None:
    """Note what a charge point holds; a confirmation that comes late never undoes a later one.

    `at` is when it was confirmed, and not in the future.
    """
    values = {
        "tariff_version_id": event.tariff_version_id,
        "model_no": event.model_no,
        "content_hash": event.content_hash,
        "confirmed_at": at,
    }
    statement = insert(Holding).values(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        charge_point_no=event.charge_point_no,
        **values,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["operator_id", "station_id", "charge_point_no"],
            set_=values,
            where=col(Holding.confirmed_at) <= at,
        )
    )


async def send_missing(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    held_id: UUID | None,
    now: datetime,
) -> int:
    """Send a station every version that it lacks; returns how many that were."""
    versions = await versions_of(session, operator_id=operator_id, station_id=station_id)
    held = next((version for version in versions if version.id == held_id), None)
    missing = missing_at_station(versions, held, now)
    for index, version in enumerate(missing):
        # The first takes the place of whatever still waits, so that reconnects do not pile up.
        await _send(session, version, now=now, replace=index == 0)
    return len(missing)


async def _send(
    session: AsyncSession, version: Version, *, now: datetime, replace: bool = False
) -> None:
    await enqueue_command(
        session,
        version.station_id,
        PublishTariff(
            tariff=TariffVersion(
                tariff_version_id=version.id,
                version=version.version,
                model_no=version.model_no,
                tariff=tariff_of(version),
                valid_from=version.valid_from,
            )
        ),
        expires_at=None,
        now=now,
        replace_kind=replace,
    )
