"""Raising and clearing alarms. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.history import add_moment
from cloud.alarms.models import Alarm, Clearing, Source, Step
from cloud.alarms.rules import OF_HQ, RANK
from shared.clock import to_ms
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.events import AlarmCleared, AlarmRaised, StationStateReported
from shared.contracts.words import Severity
from shared.ids import uuid7

STATION_OFFLINE = "station_offline"
FORGOTTEN = "not open at the station any more"
_TIMED = 7


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
    if early is None and (open_ := await _open_of(session, station_id, event)) is not None:
        await _repeat(session, open_, event, now)
        return False
    alarm = Alarm(
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
        notify_from=now,
        notify_at=now,
    )
    await _note(session, alarm, Step.RAISED, at=event.occurred_at, now=now)
    if early is not None:
        await _close(session, alarm, at=early.cleared_at, reason="", now=now)
    return early is None


async def clear_alarm(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: AlarmCleared,
    now: datetime,
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
    found = (
        await session.scalars(
            select(Alarm)
            .where(Alarm.station_id == station_id, col(Alarm.cleared_at).is_(None), same)
            .with_for_update()
        )
    ).all()
    for alarm in found:
        await _close(session, alarm, at=event.occurred_at, reason=event.reason, now=now)
    if found:
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


async def close_forgotten(
    session: AsyncSession, *, station_id: UUID, event: StationStateReported, now: datetime
) -> int:
    """Close what a station, when it told of itself, no longer had open; returns how many.

    After a lost disk nobody else would: a station tells only the end of what it knows. An alarm
    is left alone unless the station named it before that moment.
    """
    await _lock(session, station_id)
    told_ms = to_ms(event.occurred_at)
    found = await session.scalars(
        select(Alarm)
        .where(
            Alarm.station_id == station_id,
            col(Alarm.cleared_at).is_(None),
            col(Alarm.code).not_in(OF_HQ),
            col(Alarm.alarm_id).not_in(event.open_alarm_ids),
        )
        .with_for_update()
    )
    forgotten = [alarm for alarm in found if _named_ms(alarm.alarm_id, told_ms) < told_ms]
    for alarm in forgotten:
        await _close(session, alarm, at=event.occurred_at, reason=FORGOTTEN, now=now)
    return len(forgotten)


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
    session: AsyncSession,
    *,
    operator_id: UUID,
    code: str,
    object_: str,
    now: datetime,
    params: Mapping[str, str] | None = None,
) -> bool:
    """Open an alarm of HQ itself, of no station; True if it was not open yet.

    Args:
        session: An open transaction.
        operator_id: Who shall see it.
        code: In the catalogue.
        object_: `hq:NAME`.
        now: HQ's time.
        params: What its texts name.
    """
    await _lock(session, operator_id)
    if await _open_of_hq(session, operator_id, code, object_) is not None:
        return False
    alarm = Alarm(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=None,
        alarm_id=uuid7(to_ms(now)),
        code=code,
        object=object_,
        severity=CATALOGUE[code].severity,
        params=dict(params or {}),
        raised_at=now,
        received_at=now,
        notify_from=now,
        notify_at=now,
    )
    await _note(session, alarm, Step.RAISED, at=now, now=now)
    return True


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
    found = await session.scalar(
        select(Alarm)
        .where(
            Alarm.operator_id == operator_id,
            col(Alarm.station_id) == station_id,
            Alarm.code == code,
            Alarm.object == object_,
            col(Alarm.cleared_at).is_(None),
        )
        .with_for_update()
    )
    if found is None:
        return False
    await _close(session, found, at=now, reason="", now=now)
    return True


def _named_ms(alarm_id: UUID, otherwise_ms: int) -> int:
    """Return when a station made an id: it is a UUIDv7, and newer than its alarm if that grew."""
    return alarm_id.int >> 80 if alarm_id.version == _TIMED else otherwise_ms


async def _repeat(session: AsyncSession, alarm: Alarm, event: AlarmRaised, now: datetime) -> None:
    """Count a cause that is open already; what has become worse has to be seen anew."""
    worse = RANK[event.severity] < RANK[alarm.severity] or (alarm.drill and not event.drill)
    alarm.repeats += 1
    if event.occurred_at >= alarm.raised_at:
        # The station's newest id: with it the station is told who has seen it.
        alarm.alarm_id = event.alarm_id
    if not event.drill or alarm.drill:
        alarm.params = dict(event.params)
    session.add(alarm)
    if not worse:
        await session.flush()
        return
    details = {"from": alarm.severity.value, "to": event.severity.value}
    alarm.severity = min(alarm.severity, event.severity, key=RANK.__getitem__)
    alarm.drill = alarm.drill and event.drill
    alarm.acknowledged_at, alarm.acknowledged_by = None, ""
    alarm.shelved_until = None
    alarm.notify_from = alarm.notify_at = now
    await _note(session, alarm, Step.WORSENED, at=event.occurred_at, now=now, details=details)


async def _close(
    session: AsyncSession, alarm: Alarm, *, at: datetime, reason: str, now: datetime
) -> None:
    alarm.cleared_at, alarm.cleared_reason = at, reason
    alarm.notify_at = now
    details = {"reason": reason} if reason else {}
    await _note(session, alarm, Step.CLEARED, at=at, now=now, details=details)


async def _note(
    session: AsyncSession,
    alarm: Alarm,
    step: Step,
    *,
    at: datetime,
    now: datetime,
    details: Mapping[str, str] | None = None,
) -> None:
    source = Source.HQ if alarm.code in OF_HQ else Source.STATION
    await add_moment(session, alarm, step, source=source, at=at, now=now, details=details)


async def _open_of(session: AsyncSession, station_id: UUID, event: AlarmRaised) -> Alarm | None:
    return await session.scalar(
        select(Alarm)
        .where(
            Alarm.station_id == station_id,
            Alarm.code == event.code,
            Alarm.object == event.object,
            col(Alarm.cleared_at).is_(None),
        )
        .with_for_update()
    )


async def _open_of_hq(
    session: AsyncSession, operator_id: UUID, code: str, object_: str
) -> Alarm | None:
    return await session.scalar(
        select(Alarm).where(
            Alarm.operator_id == operator_id,
            col(Alarm.station_id).is_(None),
            Alarm.code == code,
            Alarm.object == object_,
            col(Alarm.cleared_at).is_(None),
        )
    )


async def _lock(session: AsyncSession, owner_id: UUID) -> None:
    """Let one at a time open and close alarms of a station: HQ's sweep is another writer."""
    key = sa.func.hashtextextended(f"alarms:{owner_id}", 0)
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
