"""What the station makes of danger after the engine acted: latches, alarms, facts of trips."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edge.devices.chargers.reports import Moment
from edge.journal import Change, Journal, Put
from edge.safety import latches as latch_book
from edge.safety.causes import Cause, Connector, Trip
from edge.safety.hands import ISOLATED
from edge.safety.latches import UNREADABLE, Latch, Latches
from edge.station import alarms
from edge.station.alarms import OpenAlarm
from edge.station.effects import Effects
from edge.station.protection import DOCUMENT
from edge.station.stored import decode_one
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import OutputKind, Reset

if TYPE_CHECKING:
    from edge.station.core import Station

logger = logging.getLogger(__name__)

KIND = "drill"
_DRILL, _DRILL_DUE = "siren_drill", "drill_due"
_DRILL_EVERY_MS = 31 * 86_400_000
_KEY = "last"
_SOUNDERS = (OutputKind.SIREN, OutputKind.STROBE)
_NOT_JUDGED = frozenset({"stop_not_confirmed", "emergency_stop", _DRILL_DUE})
"""Alarms of the matrix that samples, commands and the calendar end."""

_NOT_KNOWN = "本版本无此告警 / not known to this version of the station"


class DrillLog(Struct, frozen=True):
    """When the last drill was, and since when there is something to drill; UTC milliseconds."""

    since_ms: int
    last_ms: int | None = None


class Guard:
    """Blocks and releases places; tells what tripped, how it went, and what is wrong.

    It is the engine's `Hearer`: called when everything has been done already.
    """

    def __init__(self, station: Station, drills: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        self._station = station
        self._drills = decode_one(drills, _KEY, DrillLog)

    # Blocking

    def release(self, latch: Latch, now: Moment, reason: str = "", by: str = "") -> Effects:
        """Lift a latch and clear its alarm; `reason` is what a person (`by`) said.

        What one cause has latched is then lifted together: a person looked at the cause. So is
        what one order of HQ has latched, whoever takes it back.
        """
        effects = Effects()
        is_whole = latch.by_hq or bool(by or reason)
        for each in self._station.latches.together(latch) if is_whole else [latch]:
            effects.add(self._release_one(each, now, reason, by))
        effects.add(self._show_latches(now))
        return effects

    def _release_one(self, latch: Latch, now: Moment, reason: str, by: str) -> Effects:
        effects, station = Effects(), self._station
        change = station.latches.release(latch)
        if change is None:
            return effects
        effects.changes.append(change)
        if latch.cause == ISOLATED:
            station.safety.hands.close(latch.place, now)
        if station.safety.hands.released(latch.cause, latch.subject, latch.place, now):
            clear = station.alarms.clear_alarm
            effects.add(clear(latch.cause, latch.subject, now.wall_ms, reason, by))
        if by or reason:
            effects.add(self._release_isolated(latch, now, reason, by))
        if not station.latches.unreadable_stands:
            station.safety.outputs.hold_contactors = False
        return effects

    def _release_isolated(self, latch: Latch, now: Moment, reason: str, by: str) -> Effects:
        """Close what was opened for the connectors of this latch, once nothing else blocks them."""
        effects, latches = Effects(), self._station.latches
        for each in [each for each in latches.all() if each.cause == ISOLATED]:
            covered = latch_book.place_covers(latch.place, each.place)
            if covered and latch.cause != ISOLATED and latches.blocks_only(each.place, ISOLATED):
                effects.add(self._release_one(each, now, reason, by))
        return effects

    def block(self, latch: Latch, now: Moment) -> Effects:
        """Set a latch and show it on everything that it blocks."""
        effects = Effects()
        effects.changes.append(self._station.latches.set(latch))
        effects.add(self._show_latches(now))
        return effects

    def _show_latches(self, now: Moment) -> Effects:
        effects = Effects()
        live, latches = self._station.live, self._station.latches
        for entry in live.all():
            latched = latches.blocks(entry.connector) is not None
            if latched is not entry.latched:
                effects.add(live.on_latch(entry.connector, now, latched=latched))
        return effects

    # What the engine tells

    def on_trip(self, cause: Cause) -> None:
        """Latch, raise and tell; the engine has acted already."""
        station, action, effects = self._station, cause.action, Effects()
        until_unplugged = action.reset is Reset.UNPLUGGED
        for place in sorted(cause.latched):
            latch = Latch(
                *place,
                cause.code,
                cause.at.wall_ms,
                by_hq=cause.ordered,
                until_unplugged=until_unplugged,
                object=_object_of(cause, place),
                opened=cause.opened,
            )
            effects.changes.append(station.latches.set(latch))
        effects.add(self._show_latches(cause.at))
        effects.add(self._raise(cause))
        if cause.trip is not None:
            effects.add(self._tell(cause.trip))
        station.perform(effects)

    def on_figures(self, trip: Trip) -> None:
        """Complete what was told of a trip."""
        self._station.perform(self._tell(trip))

    def on_notice(self, cause: Cause) -> None:
        """Raise an alarm for what stopped nothing, or came again."""
        self._station.perform(self._raise(cause))

    def on_gone(self, cause: Cause) -> None:
        """The cause is gone; its latch keeps the alarm."""
        self._station.perform(self._station.alarms.cause_gone(cause.code, cause.object))

    def on_over(self, cause: Cause) -> None:
        """The cause is gone and blocks nothing."""
        now_ms = self._station.now().wall_ms
        self._station.perform(self._station.alarms.clear_alarm(*cause.key, now_ms))

    def on_isolated(self, connector: Connector, now: Moment) -> None:
        """The contactor above a connector is open, until somebody on site has looked."""
        latch = Latch(*connector, ISOLATED, now.wall_ms)
        if latch.cause in {each.cause for each in self._station.latches.at(connector)}:
            return
        effects = self.block(latch, now)
        effects.add(self._station.alarms.raise_alarm(ISOLATED, latch.subject, now.wall_ms))
        self._station.perform(effects)

    def on_confirmed(self, connector: Connector, at: Moment) -> None:
        """A stop was proven; after a restart the alarm may be older than the engine."""
        place = alarms.connector(*connector)
        self._station.perform(
            self._station.alarms.clear_alarm("stop_not_confirmed", place, at.wall_ms)
        )

    def _raise(self, cause: Cause) -> Effects:
        return self._station.alarms.raise_finding(
            cause.code, cause.object, cause.at.wall_ms, cause.params, severity=cause.severity
        )

    def _tell(self, trip: Trip) -> Effects:
        event = e.SafetyTripped(
            occurred_at=from_ms(trip.at.wall_ms),
            trip_id=trip.trip_id,
            cause=trip.cause,
            connectors=trip.connectors,
            stop_sent_us=trip.stop_sent_us,
            zero_current_ms=trip.zero_current_ms,
            object=trip.object,
            zone=trip.zone,
            siren_us=trip.siren_us,
            contactors=trip.contactors,
            contactor_us=trip.contactor_us,
        )
        effects = self._station.alarms.note_trip(event)
        effects.events.append(event)
        return effects

    # Sound and drills

    def on_silenced(self, alarm: OpenAlarm) -> None:
        """Somebody wants quiet for this alarm."""
        self._station.safety.silence(alarm.code, alarm.object, self._station.now())

    def on_escalated(self, alarm: OpenAlarm, now: Moment) -> None:
        """Nobody has seen it where it sounds: sound it everywhere, unless somebody wanted quiet."""
        cause = self._station.safety.hands.causes.get((alarm.code, alarm.object))
        if cause is None or not cause.action.sirens:
            return
        outputs = self._station.protection.held.protection.outputs
        everywhere = [each.name for each in outputs if each.kind in _SOUNDERS]
        self._station.safety.outputs.want(cause.key, everywhere, now)

    def start_drill(self, by: str) -> None:
        """Begin a drill. Raises DrillError when it cannot be."""
        self._station.safety.watch.start_drill(by, self._station.now())

    def on_drill_started(self, now: Moment) -> None:
        """Say everywhere that it is a drill."""
        book = self._station.alarms
        self._station.perform(
            book.raise_finding(_DRILL, alarms.STATION, now.wall_ms, {}, drill=True)
        )

    def on_drill(self, finished: e.DrillFinished) -> None:
        """Tell how the drill went."""
        now_ms = self._station.now().wall_ms
        effects = self._station.alarms.clear_alarm(_DRILL, alarms.STATION, now_ms)
        effects.events.append(finished)
        if not any(each.detail == "interrupted" for each in finished.outputs):
            since_ms = self._drills.since_ms if self._drills else now_ms
            self._drills = DrillLog(since_ms, now_ms)
            effects.changes.extend(self.everything())
            effects.add(self._station.alarms.clear_alarm(_DRILL_DUE, alarms.STATION, now_ms))
        self._station.perform(effects)

    @property
    def last_drill_ms(self) -> int | None:
        """When the last drill ended, UTC milliseconds; None before the first."""
        return self._drills.last_ms if self._drills else None

    def tick_hourly(self, now_ms: int) -> Effects:
        """Remind of the monthly drill."""
        effects = Effects()
        if not self._station.safety.watch.can_drill:
            return effects
        if self._drills is None:
            self._drills = DrillLog(now_ms)
            effects.changes.extend(self.everything())
        last_ms = self._drills.last_ms or self._drills.since_ms
        if now_ms - last_ms > _DRILL_EVERY_MS:
            effects.add(self._station.alarms.raise_alarm(_DRILL_DUE, alarms.STATION, now_ms))
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of what is known of drills."""
        return [Put(KIND, _KEY, msgspec.msgpack.encode(self._drills))] if self._drills else []

    # After a restart

    def resume(self, now: Moment, *, clean: bool) -> None:
        """Give the engine what stood before a restart; after an unclean stop it tests itself."""
        station = self._station
        for latch in station.latches.all():
            if latch.cause == ISOLATED:
                station.safety.hands.isolated_before(latch.place, now)
            elif latch.cause != UNREADABLE:
                self._restore(latch, now)
        station.safety.outputs.hold_contactors = station.latches.unreadable_stands
        self._restore_alarms(now)
        if not clean:
            station.safety.proof.require_self_test()

    def clear_unknown(self, now_ms: int) -> Effects:
        """Clear what another version raised and nothing here can end, unless a latch stands."""
        station, effects = self._station, Effects()
        latched = {(latch.cause, latch.subject) for latch in station.latches.all()}
        for alarm in station.alarms.open_alarms():
            cause = (alarm.code, alarm.object)
            if alarm.code not in CATALOGUE and cause not in latched:
                logger.warning("alarm of another version cleared code=%s object=%s", *cause)
                effects.add(station.alarms.clear_alarm(*cause, now_ms, _NOT_KNOWN))
        return effects

    def _restore(self, latch: Latch, now: Moment) -> None:
        station = self._station
        known = station.safety.hands.causes.get((latch.cause, latch.subject))
        if known is not None:
            known.latched.add(latch.place)
            # What a rule has found, too, is no longer HQ's alone.
            known.ordered = known.ordered and latch.by_hq
            return
        alarm = station.alarms.find(latch.cause, latch.subject)
        station.safety.restore(
            latch.cause,
            latch.subject,
            {latch.place},
            Moment(latch.set_ms, now.mono_s),
            silenced=alarm is not None and alarm.silenced,
            opened=latch.opened,
            ordered=latch.by_hq,
        )

    def _restore_alarms(self, now: Moment) -> None:
        """Have the engine end the alarms of its own whose causes went while nobody looked."""
        safety = self._station.safety
        for alarm in self._station.alarms.open_alarms():
            judged = alarm.code not in _NOT_JUDGED and alarm.object != DOCUMENT
            if not judged or alarm.code not in safety.hands.matrix.rows:
                continue
            if (alarm.code, alarm.object) not in safety.hands.causes:
                at = Moment(alarm.raised_ms, now.mono_s)
                safety.restore(alarm.code, alarm.object, set(), at, silenced=False)


def load_latches(journal: Journal) -> Latches:
    """Return the stored latches; after damage, with one that blocks the station."""
    damaged = journal.damaged
    latches = Latches(journal.load(latch_book.KIND), trusted=journal.clean)
    if latch_book.KIND in journal.lost_kinds:
        latches.distrust()
    if journal.damaged > damaged:
        latches.distrust()
    return latches


def _object_of(cause: Cause, place: tuple[str, int]) -> str:
    """Return where a cause was noticed, "" where that is what it blocks."""
    plain = Latch(*place, cause.code, 0)
    return "" if plain.subject == cause.object else cause.object
