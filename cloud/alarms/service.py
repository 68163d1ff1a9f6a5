"""Raising and clearing alarms. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms import early, life
from cloud.alarms.early import Place
from cloud.alarms.history import add_moment
from cloud.alarms.models import Alarm, FormerId, Source, Step
from cloud.alarms.rules import OF_HQ, RANK
from cloud.core.commands import find_command
from shared.clock import to_ms
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.commands import ShelveAlarm
from shared.contracts.events import (
    AlarmCleared,
    AlarmRaised,
    CommandSettled,
    StationStateReported,
)
from shared.contracts.words import Outcome, Severity
from shared.ids import uuid7

STATION_OFFLINE = "station_offline"
FORGOTTEN = "场站已无此告警 / not open at the station any more"
_TIMED = 7
_REFUSED = frozenset({Outcome.REJECTED, Outcome.FAILED})


async def raise_alarm(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: AlarmRaised,
    now: datetime,
    place: Place | None = None,
) -> bool:
    """Open an alarm; True if it is new.

    The same cause while open is the same alarm; a fact that comes again changes nothing, nor does
    one that is older than what is known of its cause. What came before its beginning takes effect.

    Args:
        session: An open transaction.
        operator_id: Whose station it is.
        station_id: Where it is.
        event: What the station said.
        now: HQ's time.
        place: Where the fact stands in its stream; None for what HQ itself finds.
    """
    await _lock(session, station_id)
    place = place or Place(event.occurred_at)
    if await _by_id(session, station_id, event.alarm_id) is not None:
        return False
    if await early.is_former(session, station_id, event.alarm_id):
        return False
    waiting = await early.take(session, station_id, event.alarm_id)
    over_at = next(
        (fact.occurred_at for fact, _ in waiting if isinstance(fact, AlarmCleared)), None
    )
    is_over = over_at is not None
    known = None if is_over else await _newest_of(session, station_id, event)
    if known is not None and place.is_before(known, is_worse=_is_worse(known, event)):
        known.repeats += 1
        await _remember(session, known, event.alarm_id)
        return False
    is_open = known is not None and known.cleared_at is None
    if known is not None and is_open:
        alarm = known
        await _repeat(session, alarm, event, place, now)
    else:
        alarm = _alarm_of(event, operator_id=operator_id, station_id=station_id, now=now)
        _place(alarm, place)
        # Never open, not for a moment: a newer one of the same cause may be.
        alarm.cleared_at = over_at
        await _note(session, alarm, Step.RAISED, at=event.occurred_at, now=now)
    for fact, fact_place in waiting:
        await _take_in(session, alarm, fact, fact_place, now)
    return not is_open and not is_over


async def clear_alarm(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: AlarmCleared,
    now: datetime,
    place: Place | None = None,
) -> bool:
    """Close an alarm; True if it was open. Repeating is harmless.

    One of which HQ has not heard yet is over before it comes, and with it what is open of the same
    cause: a station has one alarm a cause.
    """
    await _lock(session, station_id)
    place = place or Place(event.occurred_at)
    alarm = await _by_id(session, station_id, event.alarm_id)
    if alarm is None:
        if not await early.is_former(session, station_id, event.alarm_id):
            await early.keep(
                session,
                operator_id=operator_id,
                station_id=station_id,
                event=event,
                place=place,
                now=now,
            )
        alarm = await _newest_of(session, station_id, event)
        if alarm is None or not place.may_end(alarm):
            return False
    if alarm.cleared_at is not None:
        return False
    await _take_in(session, alarm, event, place, now)
    return True


async def note_step(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: life.StepOnSite,
    now: datetime,
    place: Place,
) -> None:
    """Take over what was done about an alarm on site, now or when HQ hears of the alarm."""
    await _lock(session, station_id)
    alarm = await _by_id(session, station_id, event.alarm_id)
    if alarm is not None:
        await life.note_step(session, alarm, event, place, now)
    elif not await early.is_former(session, station_id, event.alarm_id):
        await early.keep(
            session,
            operator_id=operator_id,
            station_id=station_id,
            event=event,
            place=place,
            now=now,
        )


async def note_settled(
    session: AsyncSession, *, station_id: UUID, event: CommandSettled, now: datetime
) -> None:
    """Take an alarm back that HQ had put aside and its station would not."""
    if event.outcome not in _REFUSED:
        return
    row = await find_command(session, event.command_id)
    command = row.read_command() if row is not None and row.station_id == station_id else None
    if not isinstance(command, ShelveAlarm) or command.until is None:
        return
    await _lock(session, station_id)
    alarm = await _by_id(session, station_id, command.alarm_id)
    if alarm is not None and alarm.shelved_until == command.until:
        await life.take_back(session, alarm, at=event.occurred_at, reason=event.reason, now=now)


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
    event = _own_event(code, object_, params, now)
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
    event = _own_event(code, object_, params, now)
    alarm = _alarm_of(event, operator_id=operator_id, station_id=None, now=now)
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


def _own_event(
    code: str, object_: str, params: Mapping[str, str] | None, now: datetime
) -> AlarmRaised:
    entry = CATALOGUE.get(code)
    return AlarmRaised(
        occurred_at=now,
        alarm_id=uuid7(to_ms(now)),
        code=code,
        severity=entry.severity if entry is not None else Severity.MAJOR,
        object=object_,
        params=dict(params or {}),
    )


def _named_ms(alarm_id: UUID, otherwise_ms: int) -> int:
    """Return when a station made an id: it is a UUIDv7, and newer than its alarm if that grew."""
    return alarm_id.int >> 80 if alarm_id.version == _TIMED else otherwise_ms


def _alarm_of(
    event: AlarmRaised, *, operator_id: UUID, station_id: UUID | None, now: datetime
) -> Alarm:
    return Alarm(
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
        told_at=event.occurred_at,
        notify_from=now,
        notify_at=now,
    )


async def _repeat(
    session: AsyncSession, alarm: Alarm, event: AlarmRaised, place: Place, now: datetime
) -> None:
    """Count a cause that is open already and is told of under a new id.

    The station has begun anew, with nobody having seen it; so does HQ. What HQ itself finds again
    and again is only counted.
    """
    alarm.repeats += 1
    if alarm.code in OF_HQ:
        alarm.params = dict(event.params)
        session.add(alarm)
        return
    await _remember(session, alarm, alarm.alarm_id)
    alarm.alarm_id = event.alarm_id
    _place(alarm, place)
    if event.drill and not alarm.drill:
        # A drill never hides the real thing.
        await session.flush()
        return
    is_worse = _is_worse(alarm, event)
    details = {"from": alarm.severity.value, "to": event.severity.value} if is_worse else {}
    alarm.severity, alarm.drill = event.severity, event.drill
    alarm.params = dict(event.params)
    if not (life.begin_anew(alarm) or is_worse):
        await session.flush()
        return
    alarm.anew += 1
    alarm.notify_from = alarm.notify_at = now
    step = Step.WORSENED if is_worse else Step.RAISED
    await _note(session, alarm, step, at=event.occurred_at, now=now, details=details)


def _is_worse(alarm: Alarm, event: AlarmRaised) -> bool:
    return RANK[event.severity] < RANK[alarm.severity] or (alarm.drill and not event.drill)


async def _take_in(
    session: AsyncSession, alarm: Alarm, fact: early.Step, place: Place, now: datetime
) -> None:
    if isinstance(fact, AlarmCleared):
        _place(alarm, place)
        await _close(session, alarm, at=fact.occurred_at, reason=fact.reason, now=now)
    else:
        await life.note_step(session, alarm, fact, place, now)


def _place(alarm: Alarm, place: Place) -> None:
    alarm.told_stream, alarm.told_seq, alarm.told_at = place.stream_id, place.seq, place.at


async def _remember(session: AsyncSession, alarm: Alarm, former_id: UUID) -> None:
    """Keep an id that the station has used for an alarm and uses no more."""
    assert alarm.station_id is not None, "only stations give ids anew"
    former = FormerId(
        station_id=alarm.station_id,
        alarm_id=former_id,
        operator_id=alarm.operator_id,
        alarm_row_id=alarm.id,
    )
    session.add_all((alarm, former))
    await session.flush()


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


async def _by_id(session: AsyncSession, station_id: UUID, alarm_id: UUID) -> Alarm | None:
    """Return an alarm by the station's newest id of it."""
    return await session.scalar(
        select(Alarm)
        .where(Alarm.station_id == station_id, Alarm.alarm_id == alarm_id)
        .with_for_update()
    )


async def _newest_of(
    session: AsyncSession, station_id: UUID, event: AlarmRaised | AlarmCleared
) -> Alarm | None:
    """Return the alarm of a cause that is open, else the one of which was heard last."""
    newest = (col(Alarm.told_stream), col(Alarm.told_seq), col(Alarm.told_at))
    return await session.scalar(
        select(Alarm)
        .where(
            Alarm.station_id == station_id,
            Alarm.code == event.code,
            Alarm.object == event.object,
        )
        .order_by(col(Alarm.cleared_at).is_not(None), *(each.desc() for each in newest))
        .limit(1)
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
