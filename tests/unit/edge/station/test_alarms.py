"""The life of an alarm: one cause is one alarm, nobody loses a worse one, people are recorded."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from edge.devices.chargers.reports import Moment
from edge.journal import Delete, Put
from edge.station.alarms import KIND, AlarmBook, AlarmError, OpenAlarm, TripFigures, severity_of
from edge.station.effects import Effects
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.words import Severity

START_MS = 1_800_000_000_000
SMOKE = ("smoke", "sensor:s1/alarm")
OFFSET = ("clock_offset", "charge_point:32010600019236")
HOUR_MS = 3_600_000


def at(seconds: float) -> Moment:
    return Moment(START_MS + int(seconds * 1000), 500.0 + seconds)


class Disk:
    """What the journal would hold after these effects."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def write(self, effects: Effects) -> None:
        for change in effects.changes:
            assert change.kind == KIND
            match change:
                case Put(key=key, blob=blob):
                    self.stored[key] = blob
                case Delete(key=key):
                    self.stored.pop(key, None)


def raised(book: AlarmBook, cause: tuple[str, str], **more: object) -> OpenAlarm:
    book.raise_finding(*cause, START_MS, {"value": "1"}, **more)  # type: ignore[arg-type]
    found = book.find(*cause)
    assert found is not None
    return found


def test_one_cause_is_one_alarm_however_often_it_is_said() -> None:
    book = AlarmBook({})
    first = book.raise_alarm(*SMOKE, START_MS, value="1")
    assert [type(event) for event in first.events] == [e.AlarmRaised]
    for second in range(100):
        again = book.raise_alarm(*SMOKE, START_MS + second, value=str(second))
        assert not again.durable
    (alarm,) = book.open_alarms()
    assert alarm.params == {"value": "99"}


def test_a_worse_cause_is_raised_once_more_as_if_nobody_had_seen_it() -> None:
    book = AlarmBook({})
    alarm = raised(book, OFFSET)
    book.acknowledge(alarm.alarm_id, "Li", START_MS)
    book.silence(alarm.alarm_id, "Li", START_MS)
    book.shelve(alarm.alarm_id, START_MS + HOUR_MS, "later", "Li", at(0))
    effects = book.raise_finding(*OFFSET, START_MS + 5, {}, severity=Severity.CRITICAL)
    assert [type(event) for event in effects.events] == [e.AlarmShelved, e.AlarmRaised]
    (worse,) = book.open_alarms()
    assert worse.alarm_id != alarm.alarm_id
    with pytest.raises(AlarmError):
        book.acknowledge(alarm.alarm_id, "Li", START_MS)
    stored = [change for change in effects.changes if isinstance(change, Put | Delete)]
    assert [(type(each), each.key) for each in stored] == [
        (Delete, str(alarm.alarm_id)),
        (Put, str(worse.alarm_id)),
    ]
    assert severity_of(worse) is Severity.CRITICAL
    assert (worse.acknowledged_ms, worse.silenced, worse.shelved_until_ms) == (None, False, None)
    better = book.raise_finding(*OFFSET, START_MS + 6, {}, severity=Severity.INFO)
    assert not better.events
    assert severity_of(book.open_alarms()[0]) is Severity.CRITICAL


def test_a_real_cause_during_a_drill_is_raised_anew() -> None:
    book = AlarmBook({})
    alarm = raised(book, SMOKE, drill=True)
    book.acknowledge(alarm.alarm_id, "Li", START_MS)
    (event,) = book.raise_alarm(*SMOKE, START_MS).events
    assert isinstance(event, e.AlarmRaised)
    assert not event.drill
    assert book.open_alarms()[0].acknowledged_ms is None


def test_a_latched_alarm_outlives_its_cause_and_counts_how_often_it_came_back() -> None:
    book, disk = AlarmBook({}), Disk()
    raised(book, SMOKE)
    for _ in range(3):
        disk.write(book.cause_gone(*SMOKE))
        assert not book.cause_gone(*SMOKE).durable
        disk.write(book.raise_alarm(*SMOKE, START_MS))
    (alarm,) = AlarmBook(disk.stored).open_alarms()
    assert (alarm.active, alarm.repeats) == (True, 3)


def test_who_acknowledged_first_stands() -> None:
    book = AlarmBook({})
    alarm = raised(book, SMOKE)
    first = book.acknowledge(alarm.alarm_id, "Li", START_MS)
    assert [type(event) for event in first.events] == [e.AlarmAcknowledged]
    assert not book.acknowledge(alarm.alarm_id, "HQ", START_MS + 1, at_hq=True).durable
    assert book.get(alarm.alarm_id).acknowledged_by == "Li"
    assert book.silence(alarm.alarm_id, "Li", START_MS).events
    assert not book.silence(alarm.alarm_id, "Li", START_MS).durable


def test_what_is_not_open_cannot_be_touched() -> None:
    book = AlarmBook({})
    with pytest.raises(AlarmError, match="unknown_alarm"):
        book.acknowledge(uuid4(), "Li", START_MS)


@pytest.mark.parametrize(
    ("cause", "until_ms", "reason", "message"),
    [
        (SMOKE, HOUR_MS, "x", "critical"),
        (OFFSET, 8 * HOUR_MS + 1, "x", "8 hours"),
        (OFFSET, 0, "x", "8 hours"),
        (OFFSET, HOUR_MS, " ", "say why"),
    ],
)
def test_what_may_not_be_put_aside(
    cause: tuple[str, str], until_ms: int, reason: str, message: str
) -> None:
    book = AlarmBook({})
    alarm = raised(book, cause)
    with pytest.raises(AlarmError, match=message):
        book.shelve(alarm.alarm_id, START_MS + until_ms, reason, "Li", at(0))


def test_the_longest_shelf_ends_by_itself_also_when_the_clock_went_back() -> None:
    book = AlarmBook({})
    alarm = raised(book, OFFSET)
    book.shelve(alarm.alarm_id, START_MS + 8 * HOUR_MS, "x", "Li", at(0))
    a_day_ago = Moment(START_MS - 24 * HOUR_MS, 500.0 + 8 * 3600 - 1)
    assert not book.tick(a_day_ago)[0].events
    a_day_ago = Moment(START_MS - 24 * HOUR_MS, 500.0 + 8 * 3600)
    (event,) = book.tick(a_day_ago)[0].events
    assert isinstance(event, e.AlarmShelved)
    assert event.until is None


def test_it_is_taken_back_from_the_shelf_once() -> None:
    book = AlarmBook({})
    alarm = raised(book, OFFSET)
    book.shelve(alarm.alarm_id, START_MS + HOUR_MS, "x", "Li", at(0))
    assert book.shelve(alarm.alarm_id, None, "sooner", "Li", at(1)).events
    assert not book.shelve(alarm.alarm_id, None, "sooner", "Li", at(1)).durable
    assert not book.tick(at(7200))[0].events


def levels(book: AlarmBook, seconds: range) -> list[tuple[int, int]]:
    """Return (second, level) of every escalation."""
    found = []
    for second in seconds:
        effects, escalated = book.tick(at(second))
        told = [event.level for event in effects.events if isinstance(event, e.AlarmEscalated)]
        assert told == [alarm.escalation for alarm in escalated]
        found += [(second, level) for level in told]
    return found


def test_a_critical_alarm_that_nobody_sees_escalates() -> None:
    book = AlarmBook({})
    alarm = raised(book, SMOKE)
    assert levels(book, range(700)) == [(60, 1), (360, 2), (660, 3)]
    book.acknowledge(alarm.alarm_id, "Li", START_MS)
    assert levels(book, range(700, 2000)) == []


def test_it_says_when_it_escalates_next() -> None:
    book = AlarmBook({})
    alarm = raised(book, SMOKE)
    mono_s = at(0).mono_s
    assert book.escalates_in_s(alarm.alarm_id, mono_s) is None
    book.tick(at(0))
    assert book.escalates_in_s(alarm.alarm_id, mono_s + 18) == 42
    assert levels(book, range(1, 61)) == [(60, 1)]
    assert book.escalates_in_s(alarm.alarm_id, mono_s + 60) == 300
    book.acknowledge(alarm.alarm_id, "Li", START_MS)
    assert book.escalates_in_s(alarm.alarm_id, mono_s + 60) is None


def test_after_a_restart_it_goes_on_to_escalate() -> None:
    book, disk = AlarmBook({}), Disk()
    disk.write(book.raise_alarm(*SMOKE, START_MS))
    for second in range(61):
        disk.write(book.tick(at(second))[0])
    assert levels(AlarmBook(disk.stored), range(100, 800)) == [(400, 2), (700, 3)]


@pytest.mark.parametrize("more", [{"drill": True}, {"severity": Severity.MAJOR}])
def test_drills_and_lesser_alarms_do_not_escalate(more: dict[str, object]) -> None:
    book = AlarmBook({})
    raised(book, SMOKE, **more)
    assert levels(book, range(1000)) == []


def test_the_figures_of_a_trip_stand_with_its_alarm() -> None:
    book, disk = AlarmBook({}), Disk()
    disk.write(book.raise_alarm(*SMOKE, START_MS))
    trip = e.SafetyTripped(
        occurred_at=from_ms(START_MS),
        trip_id=uuid4(),
        cause=SMOKE[0],
        object=SMOKE[1],
        connectors=(("32010600019236", 1),),
        stop_sent_us=900,
        siren_us=4_000,
    )
    disk.write(book.note_trip(trip))
    disk.write(book.note_trip(msgspec.structs.replace(trip, zero_current_ms=2_100)))
    (alarm,) = AlarmBook(disk.stored).open_alarms()
    assert alarm.trip == TripFigures((("32010600019236", 1),), 900, 4_000, 2_100)
    other = msgspec.structs.replace(trip, object="station")
    assert not book.note_trip(other).durable


def test_an_alarm_that_an_older_agent_stored_is_still_read() -> None:
    stored = msgspec.msgpack.encode(
        {
            "alarm_id": str(UUID(int=7)),
            "code": "smoke",
            "object": "station",
            "raised_ms": START_MS,
        }
    )
    (alarm,) = AlarmBook({"x": stored}).open_alarms()
    assert (alarm.alarm_id, severity_of(alarm), alarm.active) == (
        UUID(int=7),
        Severity.CRITICAL,
        True,
    )


def test_what_happened_once_is_over_after_an_hour_without_another() -> None:
    book = AlarmBook({})
    cause = ("charge_point_garbage", OFFSET[1])
    book.raise_alarm(*cause, START_MS)
    book.raise_alarm(*cause, START_MS + HOUR_MS)
    assert book.open_alarms()[0].repeats == 1
    assert not book.clear_past(START_MS + 2 * HOUR_MS).durable
    (event,) = book.clear_past(START_MS + 2 * HOUR_MS + 1).events
    assert isinstance(event, e.AlarmCleared)


def test_clearing_says_who_reset_it_and_why() -> None:
    book = AlarmBook({})
    raised(book, SMOKE)
    (event,) = book.clear_alarm(*SMOKE, START_MS, "no fire", "Li").events
    assert isinstance(event, e.AlarmCleared)
    assert (event.reason, event.by) == ("no fire", "Li")
    assert event.occurred_at - from_ms(START_MS) == timedelta(0)
    assert not book.clear_alarm(*SMOKE, START_MS).durable
