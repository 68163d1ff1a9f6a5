"""Writes the notices that have become due; what sends them is another part.

One planner of all workers at a time. A notice is written together with what it tells, so that
nothing is told twice and nothing is lost between the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.models import Alarm
from cloud.alarms.notify.messages import message_of
from cloud.alarms.notify.models import Channel, Notice, NoticeKind, Rule, Told
from cloud.alarms.notify.planning import Due, concerns, due_now, next_at
from cloud.alarms.rules import RANK, worst
from cloud.core.commands import TIME_SCALE
from cloud.protection.titles import titles_of
from cloud.stations import lookup
from shared.clock import to_ms
from shared.contracts.words import Severity
from shared.ids import uuid7

_LOCK = 0x76774E6F
_ALARMS_AT_ONCE = 500
_HELD = frozenset({NoticeKind.RAISED, NoticeKind.CLEARED})
"""Kinds that a burst gathers; escalations and reminders are rare by themselves."""


class _Wish(Struct, frozen=True):
    rule: Rule
    alarm: Alarm
    due: Due


_Key = tuple[UUID, UUID, UUID | None, NoticeKind, bool]


async def plan(session: AsyncSession, now: datetime) -> int:
    """Write what is due; returns how many notices. Takes an open transaction."""
    lock = sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))
    if not await session.scalar(lock):
        return 0
    alarms = (
        await session.scalars(
            select(Alarm)
            .where(col(Alarm.notify_at) <= now)
            .order_by(col(Alarm.notify_at))
            .limit(_ALARMS_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
    ).all()
    if not alarms:
        return 0
    rules = await _rules(session, {alarm.operator_id for alarm in alarms})
    channels = await _channels(session, rules)
    told = await _told(session, [alarm.id for alarm in alarms])
    groups: dict[_Key, list[_Wish]] = defaultdict(list)
    for alarm in alarms:
        mine = [rule for rule in rules[alarm.operator_id] if concerns(rule, alarm)]
        alarm.notify_at = min(
            filter(None, (next_at(rule, alarm, now) for rule in mine)), default=None
        )
        session.add(alarm)
        for rule in mine:
            for due in due_now(rule, alarm, told[alarm.id, rule.id], now):
                if _usable(channels.get(due.channel_id), alarm):
                    key = (rule.id, due.channel_id, alarm.station_id, due.kind, alarm.drill)
                    groups[key].append(_Wish(rule, alarm, due))
    return sum([await _write(session, wishes, now) for wishes in groups.values()])


async def _write(session: AsyncSession, wishes: Sequence[_Wish], now: datetime) -> bool:
    """Write one notice for a group, or hold it back until its burst is over."""
    first = wishes[0]
    alarms = [wish.alarm for wish in wishes]
    held_until = await _held_until(session, first, alarms, now)
    if held_until is not None:
        for alarm in alarms:
            alarm.notify_at = min(filter(None, (alarm.notify_at, held_until)))
        return False
    operator_id, station_id = first.alarm.operator_id, first.alarm.station_id
    station = None
    if station_id is not None:
        station = await lookup.station_by_id(session, operator_id, station_id)
    titles = await titles_of(session, operator_id, {station_id})
    notice = Notice(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        channel_id=first.due.channel_id,
        rule_id=first.rule.id,
        station_id=station_id,
        kind=first.due.kind,
        severity=worst(alarm.severity for alarm in alarms),
        alarm_row_ids=[str(alarm.id) for alarm in alarms],
        message=message_of(first.due.kind, alarms, station, now, titles.get(station_id)),
        next_try_at=now,
        created_at=now,
    )
    session.add(notice)
    await session.flush()
    session.add_all(
        Told(
            alarm_row_id=wish.alarm.id,
            rule_id=wish.rule.id,
            what=wish.due.what,
            notice_id=notice.id,
            at=now,
        )
        for wish in wishes
    )
    await session.flush()
    return True


async def _held_until(
    session: AsyncSession, wish: _Wish, alarms: Iterable[Alarm], now: datetime
) -> datetime | None:
    """Return until when a group is gathered: something as bad was just told. None: tell it now."""
    if wish.due.kind not in _HELD:
        return None
    burst = timedelta(seconds=wish.rule.burst_s) * session.info.get(TIME_SCALE, 1.0)
    rows = await session.execute(
        select(Notice.severity, Notice.created_at).where(
            Notice.rule_id == wish.rule.id,
            Notice.channel_id == wish.due.channel_id,
            col(Notice.station_id).is_not_distinct_from(wish.alarm.station_id),
            Notice.kind == wish.due.kind,
            # A drill must not hold back the real thing.
            col(Notice.message)["drill"].as_boolean().is_(wish.alarm.drill),
            col(Notice.created_at) > now - burst,
        )
    )
    rank = RANK[worst(alarm.severity for alarm in alarms)]
    as_bad = [created_at for severity, created_at in rows if RANK[Severity(severity)] <= rank]
    return max(as_bad) + burst if as_bad else None


def _usable(channel: Channel | None, alarm: Alarm) -> bool:
    """Whether a channel can tell an alarm: not that it does not work itself."""
    return channel is not None and channel.active and alarm.object != failing_object(channel)


def failing_object(channel: Channel) -> str:
    """Return the object of the alarm that a channel does not work."""
    return f"hq:channel:{channel.name}"


async def _rules(session: AsyncSession, operator_ids: set[UUID]) -> dict[UUID, list[Rule]]:
    found: dict[UUID, list[Rule]] = defaultdict(list)
    rows = await session.scalars(
        select(Rule).where(col(Rule.operator_id).in_(operator_ids), col(Rule.active).is_(True))
    )
    for rule in rows:
        found[rule.operator_id].append(rule)
    return found


async def _channels(session: AsyncSession, rules: dict[UUID, list[Rule]]) -> dict[UUID, Channel]:
    operators = list(rules)
    rows = await session.scalars(select(Channel).where(col(Channel.operator_id).in_(operators)))
    return {channel.id: channel for channel in rows}


async def _told(
    session: AsyncSession, alarm_ids: Sequence[UUID]
) -> dict[tuple[UUID, UUID], set[str]]:
    found: dict[tuple[UUID, UUID], set[str]] = defaultdict(set)
    rows = await session.scalars(select(Told).where(col(Told.alarm_row_id).in_(alarm_ids)))
    for row in rows:
        found[row.alarm_row_id, row.rule_id].add(row.what)
    return found
