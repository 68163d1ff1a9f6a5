"""The station's alarms: one cause is one alarm, known by its code and its object.

An alarm is raised, may be acknowledged, silenced and shelved by people, escalates while nobody
has seen it, and is cleared when its cause is gone or, where a latch stands, when it is reset.
Pure: time comes as an argument, and what happens leaves as effects.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from edge.devices.chargers.reports import Moment
from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.stored import decode_all
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.alarm_codes import entry_of
from shared.contracts.words import Severity
from shared.errors import RefusedError
from shared.ids import uuid7

KIND = "alarm"
STATION = "station"
SHELF_MAX_MS = 8 * 3_600_000
"""No alarm is put aside for longer."""
ESCALATE_FIRST_S = 60.0
ESCALATE_AGAIN_S = 300.0
_PAST = frozenset(
    {
        "charge_point_garbage",
        "duplicate_charge_point",
        "encryption_unsupported",
        "facts_lost",
        "record_disputed",
        "record_foreign",
        "record_unreadable",
        "telemetry_dropped",
    }
)
"""Alarms about something that happened: over when it has not happened for a while."""
_PAST_MS = 3_600_000
_WORST_FIRST = tuple(Severity)


class TripFigures(Struct, frozen=True, omit_defaults=True):
    """What a trip stopped and how fast, in the units of `SafetyTripped`."""

    connectors: tuple[tuple[str, int], ...]
    stop_us: int | None
    siren_us: int | None = None
    zero_ms: int | None = None
    contactors: tuple[str, ...] = ()


class OpenAlarm(Struct, frozen=True, omit_defaults=True):
    """An alarm that has been raised and not cleared.

    `severity` None is the catalogue's. `active` is false when the cause is gone and only a latch
    stands. `repeats` counts how often the cause came again while the alarm stood.
    """

    alarm_id: UUID
    code: str
    object: str
    raised_ms: int
    severity: Severity | None = None
    params: dict[str, str] = {}
    active: bool = True
    drill: bool = False
    repeats: int = 0
    acknowledged_by: str = ""
    acknowledged_ms: int | None = None
    silenced: bool = False
    shelved_until_ms: int | None = None
    shelved_reason: str = ""
    shelved_by: str = ""
    escalation: int = 0
    trip: TripFigures | None = None

    @property
    def is_critical(self) -> bool:
        """Whether it interrupts people."""
        return severity_of(self) is Severity.CRITICAL


def severity_of(alarm: OpenAlarm) -> Severity:
    """Return how bad an alarm is: what its rule says, else what the catalogue says."""
    return alarm.severity or entry_of(alarm.code).severity


class AlarmError(RefusedError):
    """Something that may not be done to an alarm."""


class AlarmBook:
    """Raises and clears; doing either twice changes nothing."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        alarms = decode_all(stored, OpenAlarm).values()
        self._open = {(alarm.code, alarm.object): alarm for alarm in alarms}
        self._again_ms: dict[tuple[str, str], int] = {}
        # Monotonic: when an alarm escalates next, when it leaves the shelf.
        self._escalate_s: dict[UUID, float] = {}
        self._unshelve_s: dict[UUID, float] = {}

    # Reading

    def open_alarms(self) -> list[OpenAlarm]:
        """Return what is raised now, oldest first."""
        return sorted(self._open.values(), key=lambda alarm: alarm.raised_ms)

    @property
    def none_open(self) -> bool:
        """Whether no alarm is raised now."""
        return not self._open

    def is_open(self, code: str, subject: str) -> bool:
        """Whether this cause is raised now."""
        return (code, subject) in self._open

    def find(self, code: str, subject: str) -> OpenAlarm | None:
        """Return the alarm of a cause, None when it is not raised."""
        return self._open.get((code, subject))

    def get(self, alarm_id: UUID) -> OpenAlarm:
        """Return an open alarm. Raises AlarmError when it is not open."""
        for alarm in self._open.values():
            if alarm.alarm_id == alarm_id:
                return alarm
        raise AlarmError(
            "unknown_alarm", "unknown_alarm: it is not open, perhaps it was cleared meanwhile"
        )

    def raised_anew(self) -> list[e.AlarmRaised]:
        """Return all open alarms as HQ may have missed them; which it knows, it knows by its id."""
        return [_raised(alarm, alarm.raised_ms) for alarm in self.open_alarms()]

    def everything(self) -> list[Change]:
        """Return the stored form of all open alarms."""
        return [_stored(alarm) for alarm in self._open.values()]

    # The cause

    def raise_alarm(self, code: str, subject: str, now_ms: int, **params: str) -> Effects:
        """Raise an alarm as bad as the catalogue says; see `raise_finding`."""
        return self.raise_finding(code, subject, now_ms, params)

    def raise_finding(
        self,
        code: str,
        subject: str,
        now_ms: int,
        params: dict[str, str],
        *,
        severity: Severity | None = None,
        drill: bool = False,
    ) -> Effects:
        """Raise an alarm of the catalogue about an object, named as in `AlarmRaised.object`.

        One that is open already is only counted and shows the newer values; when it became worse,
        or comes back after somebody saw it go, it is raised once more under a new id, as if nobody
        had seen it: what somebody says of the old one is not said of this.

        Args:
            code: In the catalogue.
            subject: What it is about.
            now_ms: The station's time.
            params: Fill the texts; `value` and `limit` are shown as figures.
            severity: What the rule says, None takes the catalogue's.
            drill: Nothing is wrong, it is tried.
        """
        self._again_ms[code, subject] = now_ms
        known = self._open.get((code, subject))
        if known is not None:
            return self._raise_again(known, severity, params, now_ms, drill=drill)
        alarm = OpenAlarm(
            uuid7(now_ms), code, subject, now_ms, severity=severity, params=params, drill=drill
        )
        return self._keep(alarm, _raised(alarm, now_ms))

    def _raise_again(
        self,
        known: OpenAlarm,
        severity: Severity | None,
        params: dict[str, str],
        now_ms: int,
        *,
        drill: bool,
    ) -> Effects:
        came_back = not known.active
        alarm = structs.replace(
            known,
            params=params or known.params,
            active=True,
            repeats=known.repeats + (came_back or known.code in _PAST),
            drill=known.drill and drill,
            severity=severity,
        )
        if _is_worse(alarm, known) or (known.drill and not drill):
            return self._start_over(alarm, now_ms)
        alarm = structs.replace(alarm, severity=known.severity)
        was_seen = known.acknowledged_ms is not None or known.silenced
        if came_back and was_seen and known.shelved_until_ms is None:
            return self._start_over(alarm, now_ms)
        if came_back:
            return self._keep(alarm)
        # A newer figure alone is not worth a commit.
        self._open[alarm.code, alarm.object] = alarm
        return Effects()

    def _start_over(self, alarm: OpenAlarm, now_ms: int) -> Effects:
        self._forget_timers(alarm.alarm_id)
        effects = Effects()
        effects.changes.append(Delete(KIND, str(alarm.alarm_id)))
        if alarm.shelved_until_ms is not None:
            effects.events.append(_unshelved(alarm, now_ms))
        fresh = structs.replace(
            alarm,
            alarm_id=uuid7(now_ms),
            acknowledged_by="",
            acknowledged_ms=None,
            silenced=False,
            shelved_until_ms=None,
            shelved_reason="",
            shelved_by="",
            escalation=0,
        )
        effects.add(self._keep(fresh, _raised(fresh, now_ms)))
        return effects

    def cause_gone(self, code: str, subject: str) -> Effects:
        """The cause is gone, but a latch keeps the alarm until somebody resets it."""
        alarm = self._open.get((code, subject))
        if alarm is None or not alarm.active:
            return Effects()
        return self._keep(structs.replace(alarm, active=False))

    def clear_alarm(
        self, code: str, subject: str, now_ms: int, reason: str = "", by: str = ""
    ) -> Effects:
        """Clear an alarm; `reason` and `by` are given when a person says that it is over."""
        effects = Effects()
        alarm = self._open.pop((code, subject), None)
        if alarm is None:
            return effects
        self._again_ms.pop((code, subject), None)
        self._forget_timers(alarm.alarm_id)
        effects.events.append(
            e.AlarmCleared(
                occurred_at=from_ms(now_ms),
                alarm_id=alarm.alarm_id,
                code=code,
                object=subject,
                reason=reason,
                by=by,
            )
        )
        effects.changes.append(Delete(KIND, str(alarm.alarm_id)))
        return effects

    def clear_past(self, now_ms: int) -> Effects:
        """Clear what happened once and has not happened again for an hour."""
        effects = Effects()
        for key, alarm in list(self._open.items()):
            last_ms = self._again_ms.get(key, alarm.raised_ms)
            if alarm.code in _PAST and abs(now_ms - last_ms) > _PAST_MS:
                effects.add(self.clear_alarm(alarm.code, alarm.object, now_ms))
        return effects

    def clear_all(
        self, charge_point_no: str, now_ms: int, *, but: Collection[tuple[str, str]]
    ) -> Effects:
        """Clear everything about a charge point that is no longer ours, `but` what still blocks."""
        effects = Effects()
        for code, subject in list(self._open):
            if subject.split(":")[1:2] == [charge_point_no] and (code, subject) not in but:
                effects.add(self.clear_alarm(code, subject, now_ms))
        return effects

    def note_trip(self, tripped: e.SafetyTripped) -> Effects:
        """Show a trip's figures with its alarm, which is raised before; later ones fill it up."""
        alarm = self._open.get((tripped.cause, tripped.object))
        if alarm is None:
            return Effects()
        figures = TripFigures(
            tripped.connectors,
            tripped.stop_sent_us,
            tripped.siren_us,
            tripped.zero_current_ms,
            tripped.contactors,
        )
        return self._keep(structs.replace(alarm, trip=figures))

    def escalates_in_s(self, alarm_id: UUID, mono_s: float) -> float | None:
        """Return after how many seconds an alarm escalates, None while no time runs for it."""
        at_s = self._escalate_s.get(alarm_id)
        return None if at_s is None else max(0.0, at_s - mono_s)

    # People

    def acknowledge(self, alarm_id: UUID, by: str, now_ms: int, *, at_hq: bool = False) -> Effects:
        """Note that somebody saw an alarm; who was first stands. Raises AlarmError."""
        alarm = self.get(alarm_id)
        if alarm.acknowledged_ms is not None:
            return Effects()
        self._escalate_s.pop(alarm_id, None)
        event = e.AlarmAcknowledged(
            occurred_at=from_ms(now_ms), alarm_id=alarm_id, by=by, at_hq=at_hq
        )
        return self._keep(structs.replace(alarm, acknowledged_by=by, acknowledged_ms=now_ms), event)

    def silence(self, alarm_id: UUID, by: str, now_ms: int) -> Effects:
        """Note that the sound of an alarm was switched off. Raises AlarmError."""
        alarm = self.get(alarm_id)
        if alarm.silenced:
            return Effects()
        event = e.SirenSilenced(occurred_at=from_ms(now_ms), alarm_id=alarm_id, by=by)
        return self._keep(structs.replace(alarm, silenced=True), event)

    def shelve(
        self, alarm_id: UUID, until_ms: int | None, reason: str, by: str, now: Moment
    ) -> Effects:
        """Put an alarm aside until a time; None takes it back.

        Raises:
            AlarmError: It is not open, is critical, no reason is given, or the time is not
                within the next 8 hours.
        """
        alarm = self.get(alarm_id)
        if until_ms is None:
            return self._unshelve(alarm, now.wall_ms, reason, by)
        if alarm.is_critical:
            raise AlarmError("critical", "critical: an alarm of this severity cannot be put aside")
        if not reason.strip():
            raise AlarmError("reason", "reason: say why it may wait")
        if not 0 < until_ms - now.wall_ms <= SHELF_MAX_MS:
            raise AlarmError("until", "until: within the next 8 hours")
        self._unshelve_s[alarm_id] = now.mono_s + (until_ms - now.wall_ms) / 1000
        shelved = structs.replace(
            alarm, shelved_until_ms=until_ms, shelved_reason=reason, shelved_by=by
        )
        event = e.AlarmShelved(
            occurred_at=from_ms(now.wall_ms),
            alarm_id=alarm_id,
            until=from_ms(until_ms),
            reason=reason,
            by=by,
        )
        return self._keep(shelved, event)

    def _unshelve(self, alarm: OpenAlarm, now_ms: int, reason: str = "", by: str = "") -> Effects:
        if alarm.shelved_until_ms is None:
            return Effects()
        self._unshelve_s.pop(alarm.alarm_id, None)
        back = structs.replace(alarm, shelved_until_ms=None, shelved_reason="", shelved_by="")
        return self._keep(back, _unshelved(alarm, now_ms, reason, by))

    # Time

    def tick(self, now: Moment) -> tuple[Effects, list[OpenAlarm]]:
        """Let alarms escalate and come back from the shelf; call this once a second.

        Returns:
            What is to be stored and told, and which alarms escalated now.
        """
        effects, escalated = Effects(), []
        for alarm in list(self._open.values()):
            if alarm.shelved_until_ms is not None and self._shelf_is_over(alarm, now):
                effects.add(self._unshelve(alarm, now.wall_ms))
            elif self._is_due(alarm, now.mono_s):
                higher = structs.replace(alarm, escalation=alarm.escalation + 1)
                escalated.append(higher)
                event = e.AlarmEscalated(
                    occurred_at=from_ms(now.wall_ms),
                    alarm_id=alarm.alarm_id,
                    level=higher.escalation,
                )
                effects.add(self._keep(higher, event))
        return effects, escalated

    def _is_due(self, alarm: OpenAlarm, mono_s: float) -> bool:
        if not alarm.is_critical or alarm.drill or alarm.acknowledged_ms is not None:
            return False
        # Seen for the first time, or again after a restart: the time runs from now.
        wait_s = ESCALATE_AGAIN_S if alarm.escalation else ESCALATE_FIRST_S
        if mono_s < self._escalate_s.setdefault(alarm.alarm_id, mono_s + wait_s):
            return False
        self._escalate_s[alarm.alarm_id] = mono_s + ESCALATE_AGAIN_S
        return True

    def _shelf_is_over(self, alarm: OpenAlarm, now: Moment) -> bool:
        # A wall clock that jumps back, or was wrong at a restart, shelves for 8 hours at most.
        left_ms = min((alarm.shelved_until_ms or 0) - now.wall_ms, SHELF_MAX_MS)
        deadline_s = self._unshelve_s.setdefault(alarm.alarm_id, now.mono_s + left_ms / 1000)
        return left_ms <= 0 or now.mono_s >= deadline_s

    # Keeping

    def _keep(self, alarm: OpenAlarm, *events: e.AnyEvent) -> Effects:
        self._open[alarm.code, alarm.object] = alarm
        effects = Effects()
        effects.events.extend(events)
        effects.changes.append(_stored(alarm))
        return effects

    def _forget_timers(self, alarm_id: UUID) -> None:
        self._escalate_s.pop(alarm_id, None)
        self._unshelve_s.pop(alarm_id, None)


def _is_worse(alarm: OpenAlarm, known: OpenAlarm) -> bool:
    return _WORST_FIRST.index(severity_of(alarm)) < _WORST_FIRST.index(severity_of(known))


def _raised(alarm: OpenAlarm, now_ms: int) -> e.AlarmRaised:
    return e.AlarmRaised(
        occurred_at=from_ms(now_ms),
        alarm_id=alarm.alarm_id,
        code=alarm.code,
        severity=severity_of(alarm),
        object=alarm.object,
        params=alarm.params,
        drill=alarm.drill,
    )


def _unshelved(alarm: OpenAlarm, now_ms: int, reason: str = "", by: str = "") -> e.AlarmShelved:
    return e.AlarmShelved(
        occurred_at=from_ms(now_ms), alarm_id=alarm.alarm_id, until=None, reason=reason, by=by
    )


def _stored(alarm: OpenAlarm) -> Put:
    return Put(KIND, str(alarm.alarm_id), msgspec.msgpack.encode(alarm))


def charge_point(charge_point_no: str) -> str:
    """Return the object name of a charge point."""
    return f"charge_point:{charge_point_no}"


def connector(charge_point_no: str, connector_no: int) -> str:
    """Return the object name of a connector."""
    return f"connector:{charge_point_no}:{connector_no}"
