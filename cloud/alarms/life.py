"""What people do about alarms, at HQ and on site. Functions take an open transaction.

What is done at HQ holds at once and is sent to the station; what is done on site comes as a
fact. The first who saw an alarm stands; an echo of what HQ did changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms.early import Place
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

StepOnSite = AlarmAcknowledged | AlarmShelved | AlarmEscalated | SirenSilenced
"""What is done about an alarm at its station."""
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


async def take_back(
    session: AsyncSession, alarm: Alarm, *, at: datetime, reason: str, now: datetime
) -> None:
    """Have an alarm not be put aside, because its station says why it is not."""
    wish = ShelveAlarm(alarm_id=alarm.alarm_id, until=None, reason=reason, by="")
    await _put_aside(session, alarm, wish, source=Source.STATION, at=at, now=now)


def begin_anew(alarm: Alarm) -> bool:
    """Let an alarm be one that nobody has seen, silenced or put aside; True if somebody had."""
    was_handled = any((alarm.acknowledged_at, alarm.silenced_at, alarm.shelved_until))
    alarm.acknowledged_at, alarm.acknowledged_by = None, ""
    alarm.silenced_at, alarm.silenced_by = None, ""
    alarm.shelved_until, alarm.shelved_by, alarm.shelved_reason = None, "", ""
    alarm.shelved_seq = alarm.escalation_level = 0
    return was_handled


async def note_step(
    session: AsyncSession, alarm: Alarm, event: StepOnSite, place: Place, now: datetime
) -> None:
    """Take over what was done about an alarm on site; repeating is harmless."""
    match event:
        case AlarmAcknowledged():
            await _note_acknowledged(session, alarm, event, now)
        case AlarmShelved():
            await _note_shelved(session, alarm, event, place, now)
        case AlarmEscalated():
            await _note_escalated(session, alarm, event, now)
        case SirenSilenced():
            await _note_silenced(session, alarm, event, now)


async def _note_acknowledged(
    session: AsyncSession, alarm: Alarm, event: AlarmAcknowledged, now: datetime
) -> None:
    if alarm.acknowledged_at is not None:
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


async def _note_shelved(
    session: AsyncSession, alarm: Alarm, event: AlarmShelved, place: Place, now: datetime
) -> None:
    if place.seq < alarm.shelved_seq:
        return
    alarm.shelved_seq = place.seq
    session.add(alarm)
    if alarm.shelved_until == event.until:
        return
    if alarm.severity is Severity.CRITICAL and event.until is not None:
        # Whatever a station says: a critical alarm is in sight.
        return
    await _put_aside(session, alarm, event, source=Source.STATION, at=event.occurred_at, now=now)


async def _note_escalated(
    session: AsyncSession, alarm: Alarm, event: AlarmEscalated, now: datetime
) -> None:
    if alarm.escalation_level >= event.level:
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


async def _note_silenced(
    session: AsyncSession, alarm: Alarm, event: SirenSilenced, now: datetime
) -> None:
    if alarm.silenced_at == event.occurred_at:
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
