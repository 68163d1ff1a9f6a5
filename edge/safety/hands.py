"""What the engine does about a cause: stops, outputs, trips; and afterwards, who is told.

Stop frames first, then sirens, then contactors; the journal, alarms and HQ hear of it only when
all of that has been handed on. Figures come in later and complete their trip.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from edge.devices.chargers.reports import Moment
from edge.devices.chargers.wishes import AnyWish
from edge.safety.causes import Cause, CauseKey, Connector, Hearer, Place, Trip, rank
from edge.safety.interlock import Action, Matrix
from edge.safety.ladder import ORDINARY, Confirmed, Rungs, StopLadder
from edge.safety.latches import Latch, place_covers
from edge.safety.outputs import OutputFault, Outputs, Write
from edge.safety.surviving import surviving
from shared.contracts.protection import OpenContactor, Output, OutputKind, Protection, Reset
from shared.contracts.words import Severity
from shared.ids import uuid7

logger = logging.getLogger(__name__)

STOP_NOT_CONFIRMED = "stop_not_confirmed"
CONTACTOR_NOT_OPEN = "contactor_not_open"
OUTPUT_FAULT = "output_fault"
ISOLATED = "isolated"
"""Cause of the latch that stands while a contactor is open because a stop was not proven."""
_FLOWS = "current"
"""Current is seen where a contactor should be open: no silence of a device explains that."""
_FIGURES_S = 60.0
"""A trip whose figures are not complete by then stays as it is."""


class Hands:
    """Causes that stand, stops that climb, outputs that are switched.

    Args:
        send: Writes a wish to its charge point before it returns.
        monotonic_s: The monotonic clock.
        rungs: Of the stop ladder.
        hearer: Told after everything was done.
        connectors: All that are known.
        partners: The other connectors that charge the vehicle of one.
    """

    def __init__(
        self,
        *,
        send: Callable[[AnyWish], bool],
        monotonic_s: Callable[[], float],
        rungs: Rungs,
        hearer: Hearer,
        connectors: Callable[[], Iterable[Connector]],
        partners: Callable[[Connector], Iterable[Connector]],
    ) -> None:
        self._send_unsafely = send
        self._monotonic_s = monotonic_s
        self._hearer = hearer
        self._connectors = connectors
        self._partners = partners
        self.ladder = StopLadder(self._send, rungs)
        self.matrix = Matrix(Protection())
        self.write: Write = _no_line
        self.outputs = Outputs(
            self._write_output, on_answered=self._on_answered, on_fault=self._on_output_fault
        )
        self.causes: dict[CauseKey, Cause] = {}
        self.on_danger: Callable[[Moment], None] = lambda _now: None
        """Called when something is stopped or sounds: a drill ends."""
        self.is_explained: Callable[[Output, str, Moment], bool] = lambda *_: False
        """Whether another alarm says already why an output fails, and for what reason."""
        self._trips: list[Trip] = []
        self._isolated: set[Connector] = set()
        self._known: set[str] = set()
        self._news: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    # Causes

    def take(self, protection: Protection, now: Moment) -> None:
        """Act by another document; what stands goes on standing."""
        self.matrix = Matrix(protection)
        self._known = {f"sensor:{device.name}" for device in protection.devices}
        self._known |= {f"zone:{zone.name}" for zone in protection.zones}
        self._configure(protection.outputs, now)
        for connector in self._isolated:
            self.outputs.want(isolation(connector), self.outputs.contactors_of(connector), now)
        for cause in list(self.causes.values()):
            if cause.unsure_s is None or cause.latched:
                with surviving(cause.code):
                    self._go_on(cause, now)

    def _configure(self, outputs: Iterable[Output], now: Moment) -> None:
        """Take the outputs; the next tick closes contactors, when it is known which stay open."""
        held, self.outputs.hold_contactors = self.outputs.hold_contactors, True
        try:
            self.outputs.configure(outputs, now)
        finally:
            self.outputs.hold_contactors = held

    def _go_on(self, cause: Cause, now: Moment) -> None:
        """Do by the present document what a cause that stands asks for."""
        before = set(cause.action.connectors)
        cause.action = self._action(cause.code, self._where(cause), ordered=cause.ordered)
        is_there = cause.active and cause.unsure_s is None
        if is_there and set(cause.action.connectors) - before:
            self._act(cause, now)
            return
        at_once = cause.action.open_contactors is OpenContactor.AT_ONCE
        # What is gone, or not yet seen again, opens nothing that its trip did not open.
        names = cause.action.sirens
        if cause.ordered:
            # As in its trip: HQ, who may lift the order, closes no contactor.
            self._isolate_all(cause.action.connectors if is_there and at_once else (), now)
        elif is_there and at_once:
            names = (*names, *cause.action.contactors)
        if cause.opened or (cause.unsure_s is not None and at_once and not cause.ordered):
            names = (*names, *self._contactors_above(cause.latched))
        keep = self.outputs.want if cause.latched else self.outputs.want_only
        keep(cause.key, names, now)

    def _action(self, code: str, object_: str, *, ordered: bool) -> Action:
        return self.matrix.act(code, object_, self._connectors(), ordered=ordered)

    def _where(self, cause: Cause) -> str:
        """Return where a document sees a cause; one whose sensor is gone from it, by its zone."""
        kind, _, _ = cause.object.partition(":")
        if kind not in ("sensor", "zone") or cause.object.partition("/")[0] in self._known:
            return cause.object
        if (zone := f"zone:{cause.zone}") in self._known:
            return zone
        return Latch(*min(cause.latched), cause.code, 0).subject if cause.latched else cause.object

    def _contactors_above(self, places: set[Place]) -> tuple[str, ...]:
        return tuple(
            output.name
            for output in self.outputs.specs()
            if output.kind is OutputKind.CONTACTOR
            and any(place_covers(place, each) for place in places for each in output.connectors)
        )

    def restore(self, cause: Cause, *, silenced: bool) -> None:
        """Take a cause that stood before a restart; `take` switches on what its latches want.

        Without a latch it is only an alarm that waits for its rule to speak again.
        """
        self.causes[cause.key] = cause
        if silenced:
            self.outputs.silence(cause.key, cause.at)

    def isolated_before(self, connector: Connector, now: Moment) -> None:
        """Keep open what was opened for a connector before a restart; `take` writes it."""
        self._isolated.add(connector)
        self.outputs.want(isolation(connector), self.outputs.contactors_of(connector), now)

    def notice(
        self,
        code: str,
        object_: str,
        at: Moment,
        params: Mapping[str, str],
        *,
        active: bool,
        severity: Severity | None = None,
        zone: str = "",
    ) -> None:
        """Act on a cause that is noticed, or no longer; a repeated one never trips again."""
        cause = self.causes.get((code, object_))
        if cause is None or (active and cause.may_trip):
            if active:
                self._begin(code, object_, at, params, severity, zone)
        elif active:
            self._again(cause, at, params, severity)
        elif cause.active:
            cause.active, cause.unsure_s = False, None
            if cause.latched:
                self.tell(self._hearer.on_gone, cause)
            else:
                self._over(cause, at)
                self.tell(self._hearer.on_over, cause)

    def order(self, code: str, object_: str, at: Moment) -> None:
        """Trip for what HQ ordered; where it stands already, it is stopped and said once more."""
        cause = self.causes.get((code, object_))
        if cause is None:
            self._begin(code, object_, at, {}, None, "", ordered=True)
            return
        cause.at, cause.action = at, self._action(code, object_, ordered=cause.ordered)
        self.outputs.sound_again(cause.key, at)
        self._act(cause, at)

    def _begin(
        self,
        code: str,
        object_: str,
        at: Moment,
        params: Mapping[str, str],
        severity: Severity | None,
        zone: str,
        *,
        ordered: bool = False,
    ) -> None:
        action = self._action(code, object_, ordered=ordered)
        zones = self.matrix.scope(object_).zones
        cause = Cause(
            code,
            object_,
            at,
            action,
            severity=severity,
            params=dict(params),
            zone=zone or (zones[0] if zones else ""),
            ordered=ordered,
        )
        self.causes[cause.key] = cause
        self._act(cause, at)

    def _again(
        self, cause: Cause, at: Moment, params: Mapping[str, str], severity: Severity | None
    ) -> None:
        worse = rank(cause.code, severity) < rank(cause.code, cause.severity)
        changed = not cause.active or worse
        cause.active, cause.unsure_s = True, None
        if worse:
            cause.severity = severity
        if changed:
            # Who silenced it heard of something else: of less, or of what then was gone.
            self.outputs.sound_again(cause.key, at)
        if changed or cause.params != params:
            cause.params = dict(params)
            self.tell(self._hearer.on_notice, cause)

    def released(self, code: str, object_: str, place: Place, now: Moment) -> bool:
        """A latch of a cause was lifted; whether the cause is over with it."""
        cause = self.causes.get((code, object_))
        if cause is None:
            return True
        cause.latched.discard(place)
        if cause.latched:
            return False
        self._over(cause, now)
        return True

    def forget_charge_point(self, charge_point_no: str, now: Moment) -> None:
        """Let go what stands of a charge point that is no longer ours; its latches stay."""
        for climb in self.ladder.on_lost(charge_point_no):
            self.isolate(climb.connector, now)
        self.ladder.forget(charge_point_no)
        for cause in list(self.causes.values()):
            if cause.object.split(":")[1:2] == [charge_point_no] and not cause.latched:
                self._over(cause, now)

    def _over(self, cause: Cause, now: Moment) -> None:
        del self.causes[cause.key]
        self.outputs.drop(cause.key, now)

    # Acting

    def _act(self, cause: Cause, at: Moment) -> None:
        """Stop, sound, isolate; then have it told."""
        action = cause.action
        if not action.stops:
            self.outputs.want(cause.key, action.sirens, at)
            self.tell(self._hearer.on_notice, cause)
        else:
            self._trip(cause, at)
        if action.stops or action.sirens:
            self.on_danger(at)

    def _trip(self, cause: Cause, at: Moment) -> None:
        """Stop, sound, isolate; whatever fails on the way, the rest is done, latched and told."""
        action = cause.action
        partners = self._partners_of(action.connectors)
        if action.reset is not Reset.NO_LATCH:
            # Through a partner the same vehicle would be charged again.
            cause.latched.update(action.places, partners)
        self.tell(self._hearer.on_trip, cause)
        policy = self.matrix.rows[cause.code].contactor
        trip = self._stop_all(cause, (*action.connectors, *partners), at, policy)
        untold = [each for each in trip.connectors if each not in trip.awaiting]
        with surviving("sirens"):
            self.outputs.want(cause.key, action.sirens, at, anew=True)
        if policy is OpenContactor.AT_ONCE and cause.ordered:
            # HQ takes its order back, but closes no contactor: that is for people on site.
            self._isolate_all(trip.connectors, at)
        elif policy is OpenContactor.AT_ONCE:
            trip.contactors = action.contactors
            cause.opened = True
            with surviving("contactors"):
                self.outputs.want(cause.key, action.contactors, at, anew=True)
            for connector in action.connectors:
                self.ladder.isolated(connector, at)
            # Their contactors stand elsewhere.
            self._isolate_all(partners, at)
        elif policy is not OpenContactor.NEVER:
            # Nobody can tell them to stop, or see what flows.
            self._isolate_all(untold, at)
        if untold:
            names = ",".join(map(connector_name, untold))
            logger.warning("stop not sent cause=%s connectors=%s", cause.code, names)

    def _partners_of(self, connectors: tuple[Connector, ...]) -> tuple[Connector, ...]:
        """Return what charges the vehicles of these connectors too, and is not among them."""
        found: dict[Connector, None] = {}
        for connector in connectors:
            with surviving("partners"):
                found.update(dict.fromkeys(self._partners(connector)))
        return tuple(partner for partner in found if partner not in connectors)

    def _stop_all(
        self, cause: Cause, connectors: tuple[Connector, ...], at: Moment, policy: OpenContactor
    ) -> Trip:
        told = {c for c in connectors if self.ladder.start(c, cause.code, at, policy)}
        stopped_s = self._monotonic_s()
        cause.trip = Trip(
            trip_id=uuid7(at.wall_ms),
            cause=cause.code,
            object=cause.object,
            zone=cause.zone,
            at=at,
            connectors=connectors,
            stopped_s=stopped_s,
            stop_sent_us=int((stopped_s - at.mono_s) * 1_000_000) if told else None,
            awaiting=told,
            is_seen=told.issuperset(connectors),
        )
        self._trips.append(cause.trip)
        return cause.trip

    def _isolate_all(self, connectors: Iterable[Connector], now: Moment) -> None:
        for connector in connectors:
            with surviving("isolate"):
                self.isolate(connector, now)

    def _send(self, wish: AnyWish) -> bool:
        with surviving("send"):
            return self._send_unsafely(wish)
        return False

    def stop(self, connector: Connector, cause: str, now: Moment) -> None:
        """Stop a connector and follow it to zero current; `cause` names a row, or is ordinary."""
        row = self.matrix.rows.get(cause)
        policy = row.contactor if row is not None else OpenContactor.NEVER
        if cause == ISOLATED:
            # Current flows where the contactor should be open: tell it again.
            policy = OpenContactor.UNCONFIRMED
        sent = self.ladder.start(connector, cause, now, policy)
        if cause == ORDINARY or policy is OpenContactor.NEVER:
            return
        if not sent or policy is OpenContactor.AT_ONCE:
            self.isolate(connector, now)

    def isolate(self, connector: Connector, now: Moment) -> None:
        """Open the contactors above a connector until somebody on site resets it."""
        names = self.outputs.contactors_of(connector)
        if not names:
            return
        self.ladder.isolated(connector, now)
        self._isolated.add(connector)
        for trip in self._trips:
            if connector in trip.connectors:
                trip.contactors = tuple(dict.fromkeys((*trip.contactors, *names)))
        self.outputs.want(isolation(connector), names, now, anew=True)
        self.tell(self._hearer.on_isolated, connector, now)

    def opened_by(self, output_name: str) -> tuple[Connector, ...]:
        """Return what a contactor feeds, whose stops it may prove."""
        if not self.ladder.busy:
            return ()
        return tuple(
            climb.connector
            for climb in self.ladder.climbs()
            if output_name in self.outputs.contactors_of(climb.connector)
            and self.outputs.is_proven_open(climb.connector)
        )

    def close(self, connector: Connector, now: Moment) -> None:
        """Close again what was opened for a connector alone."""
        self._isolated.discard(connector)
        self.outputs.drop(isolation(connector), now)
        self.ladder.closed(connector)

    # Proof and figures

    def confirm(self, found: Confirmed) -> None:
        """A stop was proven: complete its trips, end what was wrong with it."""
        for trip in self._trips:
            if found.connector in trip.awaiting:
                trip.awaiting.discard(found.connector)
                if found.isolated:
                    trip.is_seen = False
                else:
                    passed_ms = int((found.at.mono_s - trip.stopped_s) * 1000)
                    zero_ms = 0 if found.was_zero else passed_ms
                    trip.last_zero_ms = max(zero_ms, trip.last_zero_ms or 0)
                if trip.zero_current_ms is not None:
                    self.tell(self._hearer.on_figures, trip)
        self.notice(STOP_NOT_CONFIRMED, connector_name(found.connector), found.at, {}, active=False)
        for name in self.outputs.contactors_of(found.connector):
            if not self.outputs.fault(name):
                self.notice(CONTACTOR_NOT_OPEN, f"output:{name}", found.at, {}, active=False)
        self.tell(self._hearer.on_confirmed, found.connector, found.at)

    def climb(self, now: Moment) -> None:
        """Let the stops climb; several times a second."""
        steps = self.ladder.tick(now)
        for climb in steps.isolate:
            self.isolate(climb.connector, now)
        for climb in steps.not_confirmed:
            name = connector_name(climb.connector)
            self.notice(STOP_NOT_CONFIRMED, name, now, {}, active=True)
        for climb in steps.still_flows:
            for name in self.outputs.contactors_of(climb.connector):
                params = {"reason": _FLOWS}
                self.notice(CONTACTOR_NOT_OPEN, f"output:{name}", now, params, active=True)

    def forget_trips(self, now: Moment) -> None:
        """Let trips go that have all their figures, or never will."""
        self._trips = [
            t for t in self._trips if t.awaiting or now.mono_s - t.stopped_s < _FIGURES_S
        ]

    def _on_answered(self, output: Output, on: bool, at: Moment) -> None:
        if not on or output.kind not in (OutputKind.SIREN, OutputKind.CONTACTOR):
            return
        causes = self.outputs.causes_of(output.name)
        for trip in self._trips:
            if output.kind is OutputKind.CONTACTOR:
                if trip.contactor_us is None and output.name in trip.contactors:
                    trip.contactor_us = trip.us_since(at)
                    self.tell(self._hearer.on_figures, trip)
            elif trip.siren_us is None and (trip.cause, trip.object) in causes:
                trip.siren_us = trip.us_since(at)
                self.tell(self._hearer.on_figures, trip)

    def _on_output_fault(self, fault: OutputFault) -> None:
        self.output_fault(fault.output, fault.reason, fault.at, on=fault.on, active=fault.active)

    def output_fault(
        self, output: Output, reason: str, at: Moment, *, on: bool, active: bool
    ) -> None:
        """Raise or end the alarm of an output, unless its line or module is what failed."""
        stays_closed = output.kind is OutputKind.CONTACTOR and on
        code = CONTACTOR_NOT_OPEN if stays_closed else OUTPUT_FAULT
        object_ = f"output:{output.name}"
        if active and self.is_explained(output, reason, at):
            known = self.causes.get((code, object_))
            if known is not None and known.params.get("reason") == _FLOWS:
                return
            active = False
        self.notice(code, object_, at, {"reason": reason}, active=active)

    def _write_output(self, name: str, on: bool, done: Callable[[bool, Moment], None]) -> None:
        returned = False

        def answered(ok: bool, at: Moment) -> None:
            done(ok, at)
            if returned:
                self.tell_all()

        with surviving("write"):
            self.write(name, on, answered)
        returned = True

    # Telling

    def tell(self, hear: Callable[..., None], *args: Any) -> None:
        """Have somebody told, after everything that is to be done now."""
        self._news.append((hear, args))

    def tell_all(self) -> None:
        """Tell what was done since the last call, now that it is done."""
        while self._news:
            hear, args = self._news.pop(0)
            try:
                hear(*args)
            except Exception:
                # The next stop must not fail because the last one could not be written down.
                logger.exception("not told: %s", getattr(hear, "__name__", hear))


def isolation(connector: Connector) -> CauseKey:
    """Return the key under which the contactors of one connector are kept open."""
    return ISOLATED, connector_name(connector)


def connector_name(connector: Connector) -> str:
    """Return a connector as the object of an alarm."""
    return f"connector:{connector[0]}:{connector[1]}"


def _no_line(_name: str, _on: bool, _done: Callable[[bool, Moment], None]) -> None:
    """There is no line that could be written to: nothing ever answers."""
