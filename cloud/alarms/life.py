"""What people do about alarms, at HQ and on site. Functions take an open transaction.

What is done at HQ holds at once and is sent to the station; what is done on site comes as a
fact. The first who saw an alarm stands; an echo of what HQ did changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from cloud.alarms.history import add_moment
from cloud.alarms.models import Alarm, Source, Step
from cloud.alarms.rules import OF_HQ, SHELVED_MAX_H
from cloud.core.commands import enqueue_command
from cloud.core.errors import BusinessError, NotFoundError
from shared.contracts.commands import AcknowledgeAlarm, Command, ShelveAlarm
from shared.contracts.events import (
    AlarmAcknowledged,
    AlarmEscalated,
    AlarmShelved,
    SirenSilenced,
)
from shared.contracts.words import Severity

_TOLD_FOR = timedelta(hours=24)
"""How long a station that is away is still to be told."""


class AlarmNotFoundError(NotFoundError):
    """No such alarm."""

    code = "alarm_not_found"


class AlarmOverError(BusinessError):
    """The alarm is cleared: there is nothing left to put aside."""

    code = "alarm_over"


class CriticalAlarmError(BusinessError):
    """A critical alarm is never put aside."""

    code = "alarm_critical"


class ShelvedTooLongError(BusinessError):
    """An alarm is put aside for more than nothing and at most 8 hours."""

    status = 422
    code = "shelved_too_long"


async def alarm_by_id(
    session: AsyncSession, *, operator_id: UUID, alarm_id: UUID, for_update: bool = False
) -> Alarm:
    """Return an alarm by HQ's id of it (`id` in lists). Raises AlarmNotFoundError."""
    alarm = await session.get(Alarm, alarm_id, with_for_update=for_update)
    if alarm is None or alarm.operator_id != operator_id:
        raise AlarmNotFoundError(f"no alarm {alarm_id}")
    return alarm


async def acknowledge(
    session: AsyncSession, *, operator_id: UUID, alarm_id: UUID, by: str, now: datetime
) -> Alarm:
    """Note that somebody at HQ saw an alarm, and tell its station; the first who did stands.

    Raises:
        AlarmNotFoundError: No such alarm.
    """
    alarm = await alarm_by_id(session, operator_id=operator_id, alarm_id=alarm_id, for_update=True)
    if alarm.acknowledged_at is not None:
        return alarm
    alarm.acknowledged_at, alarm.acknowledged_by = now, by
    await add_moment(session, alarm, Step.ACKNOWLEDGED, source=Source.HQ, at=now, now=now, by=by)
    command = AcknowledgeAlarm(alarm_id=alarm.alarm_id, by=by)
    await _tell(session, alarm, command, expires_at=now + _TOLD_FOR, now=now)
    return alarm


async def shelve(
    session: AsyncSession,
    *,
    operator_id: UUID,
    alarm_id: UUID,
    until: datetime,
    reason: str,
    by: str,
    now: datetime,
) -> Alarm:
    """Put an alarm aside until a time and tell its station.

    Raises:
        AlarmNotFoundError: No such alarm.
        AlarmOverError: It is cleared.
        CriticalAlarmError: It is critical.
        ShelvedTooLongError: `until` is past, or more than 8 hours away.
    """
    alarm = await alarm_by_id(session, operator_id=operator_id, alarm_id=alarm_id, for_update=True)
    if alarm.cleared_at is not None:
        raise AlarmOverError("this alarm is cleared")
    if alarm.severity is Severity.CRITICAL:
        raise CriticalAlarmError("a critical alarm is never put aside")
    if not now < until <= now + timedelta(hours=SHELVED_MAX_H):
        raise ShelvedTooLongError(f"at most {SHELVED_MAX_H} hours from now", field="until")
    command = ShelveAlarm(alarm_id=alarm.alarm_id, until=until, reason=reason, by=by)
    await _put_aside(session, alarm, command, source=Source.HQ, at=now, now=now)
    await _tell(session, alarm, command, expires_at=until, now=now)
    return alarm


async def unshelve(
    session: AsyncSession, *, operator_id: UUID, alarm_id: UUID, by: str, now: datetime
) -> Alarm:
    """Take an alarm back that was put aside; one that was not stays as it is.

    Raises:
        AlarmNotFoundError: No such alarm.
    """
    alarm = await alarm_by_id(session, operator_id=operator_id, alarm_id=alarm_id, for_update=True)
    if alarm.shelved_until is None:
        return alarm
    command = ShelveAlarm(alarm_id=alarm.alarm_id, until=None, reason="", by=by)
    await _put_aside(session, alarm, command, source=Source.HQ, at=now, now=now)
    await _tell(session, alarm, command, expires_at=now + _TOLD_FOR, now=now)
    return alarm


async def note_acknowledged(
    session: AsyncSession, *, station_id: UUID, event: AlarmAcknowledged, now: datetime
) -> None:
    """Take over who on site saw an alarm first."""
    alarm = await _of_station(session, station_id, event.alarm_id)
    if alarm is None or alarm.acknowledged_at is not None:
        return
    alarm.acknowledged_at, alarm.acknowledged_by = event.occurred_at, event.by
    source = Source.HQ if event.at_hq else Source.STATION
    await add_moment(
        session,
        alarm,
        Step.ACKNOWLEDGED,
        source=source,
        at=event.occurred_at,
        now=now,
        by=event.by,
    )


async def note_shelved(
    session: AsyncSession, *, station_id: UUID, event: AlarmShelved, now: datetime
) -> None:
    """Take over that an alarm was put aside on site, or taken back there."""
    alarm = await _of_station(session, station_id, event.alarm_id)
    if alarm is None or alarm.shelved_until == event.until:
        return
    if alarm.severity is Severity.CRITICAL and event.until is not None:
        # It has become worse since, on its way or here.
        return
    await _put_aside(session, alarm, event, source=Source.STATION, at=event.occurred_at, now=now)


async def note_escalated(
    session: AsyncSession, *, station_id: UUID, event: AlarmEscalated, now: datetime
) -> None:
    """Note that nobody on site acknowledged in time."""
    alarm = await _of_station(session, station_id, event.alarm_id)
    if alarm is None or alarm.escalation_level >= event.level:
        return
    alarm.escalation_level = event.level
    await add_moment(
        session,
        alarm,
        Step.ESCALATED,
        source=Source.STATION,
        at=event.occurred_at,
        now=now,
        details={"level": str(event.level)},
    )


async def note_silenced(
    session: AsyncSession, *, station_id: UUID, event: SirenSilenced, now: datetime
) -> None:
    """Note who switched the sound of an alarm off; the alarm stands."""
    alarm = await _of_station(session, station_id, event.alarm_id)
    if alarm is None or alarm.silenced_at == event.occurred_at:
        return
    alarm.silenced_at, alarm.silenced_by = event.occurred_at, event.by
    await add_moment(
        session,
        alarm,
        Step.SILENCED,
        source=Source.STATION,
        at=event.occurred_at,
        now=now,
        by=event.by,
    )


async def _put_aside(
    session: AsyncSession,
    alarm: Alarm,
    wish: ShelveAlarm | AlarmShelved,
    *,
    source: Source,
    at: datetime,
    now: datetime,
) -> None:
    alarm.shelved_until = wish.until
    alarm.shelved_by, alarm.shelved_reason = wish.by, wish.reason
    alarm.notify_at = now
    details = {"reason": wish.reason} if wish.reason else {}
    if wish.until is not None:
        details["until"] = wish.until.isoformat()
    step = Step.UNSHELVED if wish.until is None else Step.SHELVED
    await add_moment(
        session, alarm, step, source=source, at=at, now=now, by=wish.by, details=details
    )


async def _tell(
    session: AsyncSession, alarm: Alarm, command: Command, *, expires_at: datetime, now: datetime
) -> None:
    known_there = alarm.code not in OF_HQ and alarm.cleared_at is None
    if alarm.station_id is not None and known_there:
        await enqueue_command(session, alarm.station_id, command, expires_at=expires_at, now=now)


async def _of_station(session: AsyncSession, station_id: UUID, alarm_id: UUID) -> Alarm | None:
    """Return an alarm by the station's id of it, None for one that HQ never heard of."""
    return await session.scalar(
        select(Alarm)
        .where(Alarm.station_id == station_id, Alarm.alarm_id == alarm_id)
        .with_for_update()
    )
