"""Whatever happens to alarms in whatever order, what the station holds, stores and tells agree."""

from __future__ import annotations

from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.devices.chargers.reports import Moment
from edge.journal import Delete, Put
from edge.station.alarms import SHELF_MAX_MS, AlarmBook, AlarmError, OpenAlarm, severity_of
from edge.station.effects import Effects
from shared.clock import to_ms
from shared.contracts import events as e
from shared.contracts.words import Severity

CAUSES = tuple(
    (code, subject)
    for code in ("smoke", "clock_offset", "charge_point_garbage", "drill_due")
    for subject in ("station", "charge_point:1")
)
causes = st.sampled_from(CAUSES)
grades = st.sampled_from([None, *Severity])
WORST_FIRST = tuple(Severity)


class AlarmLife(RuleBasedStateMachine):
    """A station's alarms, and somebody at HQ who knows them from the facts alone."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Moment(1_800_000_000_000, 100.0)
        self.book = AlarmBook({})
        self.disk: dict[str, bytes] = {}
        self.at_hq: dict[UUID, e.AlarmRaised] = {}
        self.shelved_at_hq: dict[UUID, int] = {}
        self.seen_at_hq: set[UUID] = set()
        self.ids: set[UUID] = set()
        self.true_causes: set[tuple[str, str]] = set()
        self.gone: set[tuple[str, str]] = set()

    def do(self, effects: Effects) -> None:
        for change in effects.changes:
            if isinstance(change, Put):
                self.disk[change.key] = change.blob
            elif isinstance(change, Delete):
                del self.disk[change.key]
        for event in effects.events:
            self.hear(event)

    def hear(self, event: e.AnyEvent) -> None:
        match event:
            case e.AlarmRaised():
                assert event.alarm_id not in self.ids, "an id is never used again"
                for known in list(self.at_hq.values()):
                    if (known.code, known.object) != (event.code, event.object):
                        continue
                    worse = WORST_FIRST.index(event.severity) < WORST_FIRST.index(known.severity)
                    came_back = (event.code, event.object) in self.gone
                    assert worse or came_back or (known.drill and not event.drill)
                    assert known.alarm_id not in self.shelved_at_hq
                    del self.at_hq[known.alarm_id]
                    self.seen_at_hq.discard(known.alarm_id)
                self.ids.add(event.alarm_id)
                self.at_hq[event.alarm_id] = event
            case e.AlarmCleared():
                del self.at_hq[event.alarm_id]
                self.shelved_at_hq.pop(event.alarm_id, None)
                self.seen_at_hq.discard(event.alarm_id)
            case e.AlarmAcknowledged():
                assert event.alarm_id not in self.seen_at_hq
                self.seen_at_hq.add(event.alarm_id)
            case e.AlarmShelved(until=None):
                del self.shelved_at_hq[event.alarm_id]
            case e.AlarmShelved(until=until) if until is not None:
                self.shelved_at_hq[event.alarm_id] = to_ms(until)
            case e.AlarmEscalated():
                assert event.alarm_id not in self.seen_at_hq
                assert self.at_hq[event.alarm_id].severity is Severity.CRITICAL

    def some(self, data: st.DataObject) -> OpenAlarm:
        return data.draw(st.sampled_from(self.book.open_alarms()))

    @rule(cause=causes, severity=grades, drill=st.booleans(), value=st.text(max_size=3))
    def raise_it(
        self, cause: tuple[str, str], severity: Severity | None, drill: bool, value: str
    ) -> None:
        self.true_causes.add(cause)
        self.do(
            self.book.raise_finding(
                *cause, self.now.wall_ms, {"value": value}, severity=severity, drill=drill
            )
        )
        self.gone.discard(cause)

    @rule(cause=causes)
    def cause_goes(self, cause: tuple[str, str]) -> None:
        self.do(self.book.cause_gone(*cause))
        self.gone.add(cause)

    @rule(cause=causes)
    def clear(self, cause: tuple[str, str]) -> None:
        self.true_causes.discard(cause)
        self.do(self.book.clear_alarm(*cause, self.now.wall_ms))

    @precondition(lambda self: self.book.open_alarms())
    @rule(data=st.data(), at_hq=st.booleans())
    def acknowledge(self, data: st.DataObject, at_hq: bool) -> None:
        alarm = self.some(data)
        self.do(self.book.acknowledge(alarm.alarm_id, "Li", self.now.wall_ms, at_hq=at_hq))

    @precondition(lambda self: self.book.open_alarms())
    @rule(data=st.data())
    def silence(self, data: st.DataObject) -> None:
        self.do(self.book.silence(self.some(data).alarm_id, "Li", self.now.wall_ms))

    @precondition(lambda self: self.book.open_alarms())
    @rule(data=st.data(), minutes=st.one_of(st.none(), st.integers(-5, 500)))
    def shelve(self, data: st.DataObject, minutes: int | None) -> None:
        alarm = self.some(data)
        until_ms = None if minutes is None else self.now.wall_ms + minutes * 60_000
        try:
            self.do(self.book.shelve(alarm.alarm_id, until_ms, "x", "Li", self.now))
        except AlarmError:
            assert until_ms is not None
            too_far = not 0 < until_ms - self.now.wall_ms <= SHELF_MAX_MS
            assert alarm.is_critical or too_far

    @rule(seconds=st.integers(1, 40_000), jump_s=st.sampled_from([0, 0, 0, -86_400, 86_400]))
    def time_passes(self, seconds: int, jump_s: int) -> None:
        passed_ms = (seconds + jump_s) * 1000
        self.now = Moment(self.now.wall_ms + passed_ms, self.now.mono_s + seconds)
        self.do(self.book.tick(self.now)[0])

    @rule()
    def the_agent_restarts(self) -> None:
        self.book = AlarmBook(dict(self.disk))
        self.now = Moment(self.now.wall_ms, 5.0)

    @invariant()
    def hq_knows_what_is_open(self) -> None:
        held = {alarm.alarm_id: alarm for alarm in self.book.open_alarms()}
        assert held.keys() == self.at_hq.keys()
        assert {(alarm.code, alarm.object) for alarm in held.values()} == self.true_causes
        for alarm_id, alarm in held.items():
            assert severity_of(alarm) is self.at_hq[alarm_id].severity
            assert (alarm.acknowledged_ms is not None) == (alarm_id in self.seen_at_hq)
            assert alarm.shelved_until_ms == self.shelved_at_hq.get(alarm_id)

    @invariant()
    def no_critical_alarm_is_put_aside(self) -> None:
        for alarm in self.book.open_alarms():
            assert not (alarm.is_critical and alarm.shelved_until_ms is not None)

    @invariant()
    def a_restart_would_change_nothing_but_figures(self) -> None:
        again = AlarmBook(dict(self.disk)).open_alarms()
        facts = [(a.alarm_id, a.acknowledged_by, a.silenced, a.shelved_until_ms) for a in again]
        now = self.book.open_alarms()
        assert sorted(facts, key=str) == sorted(
            [(a.alarm_id, a.acknowledged_by, a.silenced, a.shelved_until_ms) for a in now], key=str
        )


AlarmLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAlarmLife = AlarmLife.TestCase
