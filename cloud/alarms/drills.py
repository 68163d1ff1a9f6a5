"""Drills of stations: had, due, under way, and started from HQ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.models import Alarm, Drill
from cloud.core.commands import CommandRow, enqueue_command, find_command
from cloud.core.errors import BusinessError
from shared.contracts.commands import StartDrill

RUNNING, DUE = "siren_drill", "drill_due"
"""Alarms by which a station says that a drill is under way, and that one is due."""
_BEGINS_WITHIN = timedelta(seconds=60)
"""Later than this nobody waits for the sirens any more."""
_SHOWN_MAX = 100


class DrillAskedError(BusinessError):
    """A drill was asked for a moment ago and the station has not answered yet."""

    code = "drill_asked"


async def start_drill(
    session: AsyncSession, *, station_id: UUID, by: str, now: datetime
) -> CommandRow:
    """Have a station try its sirens, strobes and loudspeaker, within a minute or not at all.

    Raises:
        DrillAskedError: One was asked for that is neither begun nor refused yet.
    """
    last = await last_asked(session, station_id)
    if last is not None and last.settled_at is None and (last.expires_at or now) > now:
        raise DrillAskedError("a drill was asked for already; wait for the station's answer")
    command_id = await enqueue_command(
        session, station_id, StartDrill(by=by), expires_at=now + _BEGINS_WITHIN, now=now
    )
    row = await find_command(session, command_id)
    assert row is not None
    return row


async def last_asked(session: AsyncSession, station_id: UUID) -> CommandRow | None:
    """Return the command by which HQ last asked a station for a drill."""
    return await session.scalar(
        select(CommandRow)
        .where(CommandRow.station_id == station_id, CommandRow.kind == StartDrill.__name__)
        .order_by(col(CommandRow.id).desc())
        .limit(1)
    )


async def drills_of(session: AsyncSession, station_id: UUID) -> Sequence[Drill]:
    """Return the last drills of a station, newest first."""
    statement = select(Drill).where(Drill.station_id == station_id).order_by(col(Drill.id).desc())
    return (await session.scalars(statement.limit(_SHOWN_MAX))).all()


async def last_drills(session: AsyncSession, operator_id: UUID) -> dict[UUID, Drill]:
    """Return the last drill of each station that ever had one."""
    rows = await session.scalars(
        select(Drill)
        .where(Drill.operator_id == operator_id)
        .ext(distinct_on(col(Drill.station_id)))
        .order_by(col(Drill.station_id), col(Drill.at).desc())
    )
    return {drill.station_id: drill for drill in rows}


async def stations_saying(
    session: AsyncSession, operator_id: UUID, code: str
) -> Collection[UUID | None]:
    """Return the stations with an open alarm of a code, `RUNNING` or `DUE`."""
    return set(
        await session.scalars(
            select(Alarm.station_id).where(
                Alarm.operator_id == operator_id,
                Alarm.code == code,
                col(Alarm.cleared_at).is_(None),
            )
        )
    )
