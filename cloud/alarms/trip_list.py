"""Lists of trips: by filter, each with the alarm that it is about."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Alarm, Trip
from cloud.alarms.rules import texts_of
from cloud.alarms.trips import AROUND

_AROUND = sa.literal(AROUND, sa.Interval())
_UNKNOWN = re.compile(r"\s*(?:\{\w+\}|…)(?: °C)?")


class TripFilter(Struct, frozen=True, kw_only=True):
    """What a list of trips is narrowed to; None and "": not at all. Times are when it tripped."""

    station_id: UUID | None = None
    cause: str = ""
    drill: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class TripSeen(Struct, frozen=True):
    """A trip and the alarm that it is about, if HQ has it."""

    trip: Trip
    alarm: Alarm | None

    def title(self, *, chinese: bool) -> str:
        """Return what tripped, in words."""
        params = self.alarm.params if self.alarm is not None else {}
        return title_of(self.trip.cause, params, chinese=chinese)


def title_of(cause: str, params: Mapping[str, str] | None = None, *, chinese: bool) -> str:
    """Return what a cause is called; values that are not known are left out."""
    title = texts_of(cause, params or {}, chinese=chinese).title
    return _UNKNOWN.sub("", title).rstrip(":：,， ")


def matching_trips(operator_id: UUID, wanted: TripFilter) -> SelectOfScalar[Trip]:
    """Return the statement of a list, without an order."""
    found = select(Trip).where(Trip.operator_id == operator_id)
    if wanted.station_id is not None:
        found = found.where(Trip.station_id == wanted.station_id)
    if wanted.cause:
        found = found.where(Trip.cause == wanted.cause)
    if wanted.drill is not None:
        found = found.where(col(Trip.drill).is_(wanted.drill))
    if wanted.since is not None:
        found = found.where(col(Trip.at) >= wanted.since)
    if wanted.until is not None:
        found = found.where(col(Trip.at) < wanted.until)
    return found


async def latest_trips(
    session: AsyncSession, operator_id: UUID, wanted: TripFilter, *, limit: int
) -> Sequence[Trip]:
    """Return the newest trips of a list, oldest first."""
    statement = matching_trips(operator_id, wanted).order_by(col(Trip.id).desc()).limit(limit)
    return sorted((await session.scalars(statement)).all(), key=lambda trip: trip.at)


async def count_trips(session: AsyncSession, operator_id: UUID, wanted: TripFilter) -> int:
    """Return how many trips a list has."""
    statement = matching_trips(operator_id, wanted).with_only_columns(sa.func.count())
    return await session.scalar(statement) or 0


async def last_trips(session: AsyncSession, operator_id: UUID) -> dict[UUID, Trip]:
    """Return the newest trip of each station that ever tripped; drills are none."""
    rows = await session.scalars(
        select(Trip)
        .where(Trip.operator_id == operator_id, col(Trip.drill).is_(False))
        .ext(distinct_on(col(Trip.station_id)))
        .order_by(col(Trip.station_id), col(Trip.at).desc())
    )
    return {trip.station_id: trip for trip in rows}


async def with_alarms(session: AsyncSession, trips: Sequence[Trip]) -> list[TripSeen]:
    """Return trips with what they are about, in the same order."""
    about = (
        sa.select(col(Alarm.id))
        .where(
            col(Alarm.station_id) == col(Trip.station_id),
            col(Alarm.code) == col(Trip.cause),
            sa.or_(col(Trip.object) == "", col(Alarm.object) == col(Trip.object)),
            col(Alarm.raised_at) <= col(Trip.at) + _AROUND,
            sa.or_(
                col(Alarm.cleared_at).is_(None), col(Alarm.cleared_at) >= col(Trip.at) - _AROUND
            ),
        )
        .order_by(col(Alarm.raised_at).desc())
        .limit(1)
        .correlate(Trip)
        .scalar_subquery()
    )
    rows = await session.execute(
        sa.select(col(Trip.id), Alarm)
        .join(Alarm, col(Alarm.id) == about)
        .where(col(Trip.id).in_([trip.id for trip in trips]))
    )
    alarms = {row[0]: row[1] for row in rows}
    return [TripSeen(trip, alarms.get(trip.id)) for trip in trips]
