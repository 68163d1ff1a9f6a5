"""Which notices are due when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.alarms.models import Alarm
from cloud.alarms.notify.models import NoticeKind, Rule
from cloud.alarms.notify.planning import concerns, due_now, next_at
from shared.contracts.words import Severity

T0 = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
FIRST, SECOND = str(UUID(int=1)), str(UUID(int=2))


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def rule(**changes: Any) -> Rule:
    fields: dict[str, Any] = {
        "id": UUID(int=5),
        "operator_id": UUID(int=6),
        "name": "night",
        "severity": Severity.MAJOR,
        "chain": [[0, FIRST], [10, SECOND]],
        "created_at": at(-60),
    }
    return Rule(**(fields | changes))


def alarm(**changes: Any) -> Alarm:
    fields: dict[str, Any] = {
        "id": UUID(int=7),
        "operator_id": UUID(int=6),
        "station_id": UUID(int=8),
        "alarm_id": UUID(int=9),
        "code": "smoke",
        "object": "zone:A",
        "severity": Severity.CRITICAL,
        "raised_at": T0,
        "received_at": T0,
        "notify_from": T0,
    }
    return Alarm(**(fields | changes))


def whats(rule_: Rule, alarm_: Alarm, minute: float, told: set[str]) -> list[str]:
    return [due.what for due in due_now(rule_, alarm_, told, at(minute))]


@pytest.mark.parametrize(
    ("of_rule", "of_alarm", "expected"),
    [
        ({}, {}, True),
        ({"severity": Severity.CRITICAL}, {"severity": Severity.MAJOR}, False),
        ({"codes": ["water"]}, {}, False),
        ({"codes": ["smoke"]}, {}, True),
        ({"station_ids": [str(UUID(int=8))]}, {}, True),
        ({"station_ids": [str(UUID(int=99))]}, {}, False),
        ({"station_ids": [str(UUID(int=8))]}, {"station_id": None}, False),
        ({}, {"drill": True}, False),
        ({"drills": True}, {"drill": True}, True),
        ({"active": False}, {}, False),
        ({"created_at": at(1)}, {}, False),
    ],
)
def test_a_rule_is_about_what_it_says(
    of_rule: dict[str, Any], of_alarm: dict[str, Any], expected: bool
) -> None:
    assert concerns(rule(**of_rule), alarm(**of_alarm)) is expected


def test_the_chain_goes_on_until_somebody_has_seen_it() -> None:
    told: set[str] = set()
    assert whats(rule(), alarm(), 0, told) == ["step:0:critical"]
    told.add("step:0:critical")
    assert whats(rule(), alarm(), 9.9, told) == []
    assert next_at(rule(), alarm(), at(5)) == at(10)
    [due] = due_now(rule(), alarm(), told, at(10))
    assert (due.kind, due.what, due.channel_id) == (
        NoticeKind.ESCALATED,
        "step:1:critical",
        UUID(SECOND),
    )
    assert next_at(rule(), alarm(), at(10)) is None
    seen = alarm(acknowledged_at=at(3))
    assert whats(rule(), seen, 10, told) == []
    assert next_at(rule(), seen, at(4)) is None


def test_what_is_over_before_anybody_heard_of_it_is_told_once() -> None:
    over = alarm(cleared_at=at(0.01))
    assert whats(rule(on_clear=True), over, 0.02, set()) == ["step:0:critical"]
    assert whats(rule(on_clear=True), over, 10, {"step:0:critical"}) == ["cleared:0"]
    assert whats(rule(), over, 10, {"step:0:critical"}) == []


def test_reminders_come_again_and_missed_ones_are_not_made_up_for() -> None:
    reminding = rule(chain=[[0, FIRST]], repeat_min=15)
    told = {"step:0:critical"}
    assert whats(reminding, alarm(), 14, told) == []
    assert next_at(reminding, alarm(), at(1)) == at(15)
    assert whats(reminding, alarm(), 15, told) == ["reminder:0:1:critical"]
    assert whats(reminding, alarm(), 47, told) == ["reminder:0:3:critical"]
    assert next_at(reminding, alarm(), at(47)) == at(60)
    assert whats(reminding, alarm(acknowledged_at=at(16)), 47, told) == []


def test_what_is_put_aside_waits_and_comes_back() -> None:
    aside = alarm(severity=Severity.MAJOR, shelved_until=at(30))
    told = {"step:0:major"}
    assert whats(rule(), aside, 20, told) == []
    assert next_at(rule(), aside, at(20)) == at(30)
    assert whats(rule(), aside, 30, told) == ["step:1:major"]


def test_what_has_become_worse_is_told_anew() -> None:
    worse = alarm(notify_from=at(20))
    assert whats(rule(), worse, 20, {"step:0:major", "step:1:major"}) == ["step:0:critical"]
