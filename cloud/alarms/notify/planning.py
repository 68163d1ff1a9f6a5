"""Which notices are due for an alarm by a rule. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct

from cloud.alarms.notify.models import NoticeKind
from cloud.alarms.rules import RANK

if TYPE_CHECKING:
    from cloud.alarms.models import Alarm
    from cloud.alarms.notify.models import Rule


class Due(Struct, frozen=True):
    """One thing about one alarm that is to be told now; `what` makes it be told once."""

    kind: NoticeKind
    channel_id: UUID
    what: str


def concerns(rule: Rule, alarm: Alarm) -> bool:
    """Whether a rule is about an alarm: bad enough, of its codes and stations, not older."""
    return (
        rule.active
        and RANK[alarm.severity] <= RANK[rule.severity]
        and (not rule.codes or alarm.code in rule.codes)
        and (not rule.station_ids or str(alarm.station_id) in rule.station_ids)
        and (rule.drills or not alarm.drill)
        and alarm.notify_from >= rule.created_at
    )


def due_now(rule: Rule, alarm: Alarm, told: Collection[str], now: datetime) -> list[Due]:
    """Return what is to be told of an alarm now and has not been told.

    The first of the chain is told in any case, also of what is over or seen already: nothing
    happens unheard of. All later ones and reminders are for what nobody has acknowledged.
    """
    return [due for due in _due(rule, alarm, told, now) if due.what not in told]


def next_at(rule: Rule, alarm: Alarm, now: datetime) -> datetime | None:
    """Return when something may become due for an alarm, None for never if nothing changes."""
    if alarm.cleared_at is not None or alarm.acknowledged_at is not None:
        return None
    if alarm.shelved_until is not None and alarm.shelved_until > now:
        return alarm.shelved_until
    times = [alarm.notify_from + timedelta(minutes=after_min) for after_min, _ in rule.chain]
    if rule.repeat_min:
        times.append(_reminder_at(rule, alarm, _reminders(rule, alarm, now) + 1))
    return min((at for at in times if at > now), default=None)


def _due(rule: Rule, alarm: Alarm, told: Collection[str], now: datetime) -> Iterator[Due]:
    waits = alarm.cleared_at is None and alarm.acknowledged_at is None
    if alarm.shelved_until is not None and alarm.shelved_until > now:
        waits = False
    reminders = _reminders(rule, alarm, now) if waits and rule.repeat_min else 0
    for place, (after_min, channel) in enumerate(rule.chain):
        channel_id = UUID(channel)
        if alarm.notify_from + timedelta(minutes=after_min) > now:
            continue
        if waits or after_min == 0:
            kind = NoticeKind.RAISED if after_min == 0 else NoticeKind.ESCALATED
            yield Due(kind, channel_id, f"step:{place}:{_state(alarm)}")
        if reminders and _reminder_at(rule, alarm, reminders) > alarm.notify_from + timedelta(
            minutes=after_min
        ):
            what = f"reminder:{place}:{reminders}:{_state(alarm)}"
            yield Due(NoticeKind.REMINDER, channel_id, what)
        was_told = any(what.startswith(f"step:{place}:") for what in told)
        if rule.on_clear and alarm.cleared_at is not None and was_told:
            yield Due(NoticeKind.CLEARED, channel_id, f"cleared:{place}")


def _state(alarm: Alarm) -> str:
    """Name what is told once: how bad it is, and how often it had to be seen anew."""
    return f"{alarm.severity.value}:{alarm.anew}" if alarm.anew else alarm.severity.value


def _reminders(rule: Rule, alarm: Alarm, now: datetime) -> int:
    """Return how many reminders have become due; those that were missed are not made up for."""
    return max((now - alarm.notify_from) // timedelta(minutes=rule.repeat_min), 0)


def _reminder_at(rule: Rule, alarm: Alarm, number: int) -> datetime:
    return alarm.notify_from + number * timedelta(minutes=rule.repeat_min)
