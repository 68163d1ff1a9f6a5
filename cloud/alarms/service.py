"""Raising and clearing alarms. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from cloud.alarms.models import Alarm, Clearing, Trip
from cloud.core.errors import NotFoundError
from shared.clock import to_ms
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.events import AlarmCleared, AlarmRaised, SafetyTripped
from shared.contracts.words import Severity
from shared.ids import uuid7

STATION_OFFLINE = "station_offline"


class AlarmNotFoundError(NotFoundError):
    """No such alarm."""

    code = "alarm_not_found"


async def raise_alarm(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: AlarmRaised,
    now: datetime,
) -> bool:
    """Open an alarm; True if it is new.

    The same cause while open is the same alarm; a fact that comes again changes nothing, and
    one whose end came first is stored as already over.
    """
    await _lock(session, station_id)
    known = await session.scalar(
        select(Alarm.id).where(Alarm.station_id == station_id, Alarm.alarm_id == event.alarm_id)
    )
    if known is not None:
        return False
    early = await session.get(Clearing, (station_id, event.alarm_id))
    if early is None and await _count_repeat(session, station_id, event):
        return False
    session.add(
        Alarm(
            id=uuid7(to_ms(now)),
            operator_id=operator_id,
            station_id=station_id,
            alarm_id=event.alarm_id,
            code=event.code,
            object=event.object,
            severity=event.severity,
            params=dict(event.params),
            drill=event.drill,
            raised_at=event.occurred_at,
            received_at=now,
            cleared_at=None if early is None else early.cleared_at,
        )
    )
    await session.flush()
    return early is None


async def clear_alarm(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, event: AlarmCleared
) -> bool:
    """Close an alarm; True if it was open. Repeating is harmless.

    It is found by its id, else by code and object: after a lost disk the station has other ids.
    """
    await _lock(session, station_id)
    same = sa.or_(
        col(Alarm.alarm_id) == event.alarm_id,
        sa.and_(
            col(Alarm.code) == event.code,
            col(Alarm.object) == event.object,
            col(Alarm.raised_at) <= event.occurred_at,
        ),
    )
    closed = await session.execute(
        update(Alarm)
        .where(col(Alarm.station_id) == station_id, col(Alarm.cleared_at).is_(None), same)
        .values(cleared_at=event.occurred_at)
        .returning(col(Alarm.id))
    )
    if closed.first() is not None:
        return True
    known = await session.scalar(
        select(Alarm.id).where(Alarm.station_id == station_id, Alarm.alarm_id == event.alarm_id)
    )
    if known is None:
        await session.execute(
            insert(Clearing)
            .values(
                station_id=station_id,
                alarm_id=event.alarm_id,
                operator_id=operator_id,
                cleared_at=event.occurred_at,
            )
            .on_conflict_do_nothing()
        )
    return False


async def raise_station_offline(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, now: datetime
) -> bool:
    """Open the alarm that a station is away; True if it was not open yet."""
    return await raise_own(
        session, operator_id=operator_id, station_id=station_id, code=STATION_OFFLINE, now=now
    )


async def clear_station_offline(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, now: datetime
) -> bool:
    """Close the alarm that a station is away; True if it was open."""
    return await clear_own(
        session, operator_id=operator_id, station_id=station_id, code=STATION_OFFLINE, now=now
    )


async def raise_own(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    code: str,
    now: datetime,
    object_: str = "station",
    params: Mapping[str, str] | None = None,
) -> bool:
    """Open an alarm that HQ itself found, idempotently; True if it was not open yet."""
    entry = CATALOGUE.get(code)
    event = AlarmRaised(
        occurred_at=now,
        alarm_id=uuid7(to_ms(now)),
        code=code,
        severity=entry.severity if entry is not None else Severity.MAJOR,
        object=object_,
        params=dict(params or {}),
    )
    return await raise_alarm(
        session, operator_id=operator_id, station_id=station_id, event=event, now=now
    )


async def raise_of_hq(
    session: AsyncSession, *, operator_id: UUID, code: str, object_: str, now: datetime
) -> bool:
    """Open an alarm of HQ itself, of no station; True if it was not open yet.

    Args:
        session: An open transaction.
        operator_id: Who shall see it.
        code: In the catalogue.
        object_: `hq:NAME`.
        now: HQ's time.
    """
    opened = await session.execute(
        insert(Alarm)
        .values(
            id=uuid7(to_ms(now)),
            operator_id=operator_id,
            station_id=None,
            alarm_id=uuid7(to_ms(now)),
            code=code,
            object=object_,
            severity=CATALOGUE[code].severity,
            params={},
            drill=False,
            raised_at=now,
            received_at=now,
            repeats=0,
            acknowledged_by="",
        )
        .on_conflict_do_nothing()
        .returning(col(Alarm.id))
    )
    return opened.first() is not None


async def clear_own(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID | None,
    code: str,
    now: datetime,
    object_: str = "station",
) -> bool:
    """Close an alarm that HQ itself raised, idempotently; True if it was open.

    `station_id` is None for one of `raise_of_hq`.
    """
    closed = await session.execute(
        update(Alarm)
        .where(
            col(Alarm.operator_id) == operator_id,
            col(Alarm.station_id) == station_id,
            col(Alarm.code) == code,
            col(Alarm.object) == object_,
            col(Alarm.cleared_at).is_(None),
        )
        .values(cleared_at=now)
        .returning(col(Alarm.id))
    )
    return closed.first() is not None


async def acknowledge(
    session: AsyncSession, *, operator_id: UUID, alarm_id: UUID, by: str, now: datetime
) -> Alarm:
    """Note that somebody saw an alarm; the first who did stands.

    Args:
        session: An open transaction.
        operator_id: Whose.
        alarm_id: HQ's id of the alarm (`id` in lists).
        by: Who saw it.
        now: HQ's time.

    Raises:
        AlarmNotFoundError: No such alarm.
    """
    alarm = await session.get(Alarm, alarm_id, with_for_update=True)
    if alarm is None or alarm.operator_id != operator_id:
        raise AlarmNotFoundError(f"no alarm {alarm_id}")
    if alarm.acknowledged_at is None:
        alarm.acknowledged_at, alarm.acknowledged_by = now, by
        session.add(alarm)
    return alarm


async def note_trip(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: SafetyTripped,
    now: datetime,
) -> None:
    """Keep a trip; sent again with the figure of zero current, that figure is added."""
    statement = insert(Trip).values(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        trip_id=event.trip_id,
        cause=event.cause,
        connectors=[list(connector) for connector in event.connectors],
        stop_sent_us=event.stop_sent_us,
        zero_current_ms=event.zero_current_ms,
        drill=event.drill,
        at=event.occurred_at,
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["operator_id", "station_id", "trip_id"],
            set_={
                "zero_current_ms": sa.func.coalesce(
                    statement.excluded.zero_current_ms, col(Trip.zero_current_ms)
                )
            },
        )
    )


async def _count_repeat(session: AsyncSession, station_id: UUID, event: AlarmRaised) -> bool:
    """Whether the cause is open already; then it is counted and takes the newest parameters."""
    repeated = await session.execute(
        update(Alarm)
        .where(
            col(Alarm.station_id) == station_id,
            col(Alarm.code) == event.code,
            col(Alarm.object) == event.object,
            col(Alarm.cleared_at).is_(None),
        )
        .values(repeats=Alarm.repeats + 1, params=dict(event.params))
        .returning(col(Alarm.id))
    )
    return repeated.first() is not None


async def _lock(session: AsyncSession, station_id: UUID) -> None:
    """Let one at a time open and close alarms of a station: HQ's sweep is another writer."""
    key = sa.func.hashtextextended(f"alarms:{station_id}", 0)
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
