"""The rules of one protection document at work: values in, findings out.

Pure: it reads no clock and tells nobody. One cause is one finding, by code and object, however
many rules see it.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, structs

from edge.devices.chargers.reports import ConnectorSampled, Moment
from edge.devices.sensors.reports import PointSampled
from edge.safety.connector_values import ConnectorReport, Getter, getters
from edge.safety.findings import Finding, Source, Track, Update, is_worse
from edge.safety.rules import rate, silence, spread, vote
from edge.safety.rules.calm import NEVER, Calm
from edge.safety.surviving import Failures
from shared.contracts.protection import (
    AnyRule,
    Compare,
    Protection,
    Quality,
    Quantity,
    Silence,
    Spread,
    Vote,
)
from shared.contracts.words import Severity
from shared.protection import rules_of

Connector = tuple[str, int]
_Route = tuple[tuple[Track, Update, Calm], ...]
_Plan = tuple[tuple[Quantity | None, Getter, _Route], ...]
"""How to read each value of a report; with its name where it is given once."""

_OF_THE_CABLE = Quantity.CABLE_TEMP_C
"""What stays when a vehicle leaves."""

_GIVEN_ONCE = frozenset({Quantity.BATTERY_TEMP_LIMIT_C, Quantity.CELL_VOLTAGE_LIMIT_V})
"""What a vehicle says once, before it charges: rules that come later need it too."""


class _Raised(Struct):
    """A cause that lasts, and the tracks that see it."""

    finding: Finding
    seen_by: set[tuple[str, str]]


class RuleSet:
    """All rules of a document, with their timers.

    Give it every value with `on_point` and `on_report`, tell it with `forget` that a vehicle has
    left, and let it look at the time with `tick`. A rule that fails at a place, by a bug or by
    limits that nobody foresaw, is noted in `failures` and takes no other with it.
    """

    def __init__(self, protection: Protection, failures: Failures | None = None) -> None:
        self.protection = protection
        self.failures = Failures() if failures is None else failures
        self._rules = {rule.rule_id: rule for rule in rules_of(protection) if rule.enabled}
        self._devices = {device.name: device for device in protection.devices}
        self._connectors = {zone.name: zone.connectors for zone in protection.zones}
        self._by_quantity: dict[str, list[AnyRule]] = {}
        for rule in self._rules.values():
            for quantity in _quantities(rule):
                self._by_quantity.setdefault(quantity, []).append(rule)
        self._getters = getters({*map(Quantity, self._by_quantity), *_GIVEN_ONCE})
        self._given: dict[tuple[Connector, Quantity], tuple[float, Moment]] = {}
        self._tracks: dict[tuple[str, str], Track] = {}
        self._points: dict[tuple[str, str, str], _Route] = {}
        self._values: dict[Connector, dict[Quantity, _Route]] = {}
        self._plans: dict[type, dict[Connector, _Plan]] = {kind: {} for kind in self._getters}
        self._silences: list[tuple[Track, silence.Judge]] = []
        self._waiting: dict[tuple[str, str], Track] = {}
        self._raised: dict[tuple[str, str], _Raised] = {}
        self._news: list[Finding] = []

    def on_point(self, sample: PointSampled) -> Sequence[Finding]:
        """Judge a value of a sensor; a bad one is not known, whatever number it carries."""
        key = (sample.device, sample.point, sample.quantity)
        route = self._points.get(key)
        if route is None:
            object_ = f"sensor:{sample.device}/{sample.point}"
            source = Source(object_, sample.quantity, sample.device, sample.point)
            route = self._points[key] = self._route(source)
        if not route:
            return ()
        return self._feed(route, _usable(sample.value, sample.quality), sample.at)

    def on_report(self, report: ConnectorReport) -> Sequence[Finding]:
        """Judge what a charge point reports of a connector; what it does not give is left out."""
        plans = self._plans.get(type(report))
        if plans is None:
            return ()
        connector = (report.charge_point_no, report.connector_no)
        plan = plans.get(connector)
        if plan is None:
            plan = plans[connector] = self._plan(type(report), connector)
        if isinstance(report, ConnectorSampled) and not report.dated:
            plan = _without_slopes(plan)
        findings: Sequence[Finding] = ()
        for quantity, get, route in plan:
            value = get(report)
            if value is None:
                continue
            if quantity is not None:
                self._given[connector, quantity] = value, report.at
            if found := self._feed(route, value, report.at):
                findings = [*findings, *found]
        return findings

    def _plan(self, kind: type, connector: Connector) -> _Plan:
        """Return what is read of such a report, and which rules want it; what none does is not."""
        found = []
        for quantity, get in self._getters[kind]:
            given = quantity if quantity in _GIVEN_ONCE else None
            route = self._route_of(connector, quantity)
            if route or given:
                found.append((given, get, route))
        return tuple(found)

    def _route_of(self, connector: Connector, quantity: Quantity) -> _Route:
        routes = self._values.setdefault(connector, {})
        route = routes.get(quantity)
        if route is None:
            number, connector_no = connector
            source = Source(f"connector:{number}:{connector_no}", quantity)
            route = routes[quantity] = self._route(source)
        return route

    def forget(self, object_: str, at: Moment, *, cable: bool = False) -> Sequence[Finding]:
        """Forget the vehicle at a connector: its limits, and what was found of it, are gone.

        With `cable` also what is the connector's own.
        """
        connector = _connector_of(object_)
        for quantity in _GIVEN_ONCE:
            self._given.pop((connector, quantity), None)
        for plans in self._plans.values():
            plans.pop(connector, None)
        self._values.pop(connector, None)
        groups = self._zones(Source(object_, "")) or ("",)
        findings: list[Finding] = []
        # Not only where this document has heard of it: another one may have found it before.
        for track in list(self._tracks.values()):
            is_cable = track.rule.select.quantity is _OF_THE_CABLE
            if track.source.device or (is_cable and not cable):
                continue
            judge = track.judge
            if isinstance(judge, spread.Judge | vote.OfPoints):
                if track.zone in groups and not judge.leave(object_):
                    findings += self._end(track, at)
            elif track.source.object == object_:
                del self._tracks[track.key]
                findings += self._end(track, at)
        return findings

    def forget_charge_point(self, charge_point_no: str, at: Moment) -> Sequence[Finding]:
        """Forget all of one that is no longer there: nobody will say that it is well again."""
        of_it = f"connector:{charge_point_no}:"
        known = {track.source.object for track in self._tracks.values()}
        known |= {f"connector:{number}:{connector_no}" for number, connector_no in self._values}
        findings: list[Finding] = []
        for object_ in sorted(known):
            if object_.startswith(of_it):
                findings += self.forget(object_, at, cable=True)
        return findings

    def _end(self, track: Track, at: Moment) -> list[Finding]:
        """Have a track find nothing, and wait for nothing: what it judged has left."""
        was_active = track.hold.active
        if was_active or self._waiting.pop(track.key, None) is not None:
            track.rest()
        return self._changed(track, at) if was_active else []

    def tick(self, now: Moment) -> Sequence[Finding]:
        """Look at holds and silences; several times a second."""
        findings: list[Finding] = []
        if self._news:
            findings += [structs.replace(finding, at=now) for finding in self._news]
            self._news = []
        for track, judge in self._silences:
            if self._pass(track, now.mono_s, judge):
                findings += self._changed(track, now)
        if self._waiting:
            for track in tuple(self._waiting.values()):
                if self._pass(track, now.mono_s):
                    findings += self._changed(track, now)
                if not track.hold.waiting:
                    del self._waiting[track.key]
        return findings

    def _pass(self, track: Track, mono_s: float, judge: silence.Judge | None = None) -> bool:
        """Let time pass at one place; return whether that changed what is found there."""
        hold = track.hold
        try:
            changed = hold.feed(judge.due(mono_s), mono_s) if judge else hold.due(mono_s)
        except Exception as error:  # noqa: BLE001 - one rule's bug silences no other
            self._failed(track, "time", error)
            return False
        self._works(track, "time")
        return changed

    def _failed(self, track: Track, what: str, error: Exception) -> None:
        rule_id, place = track.key
        self.failures.failed(f"rule:{rule_id}", f"{place} {what}", error)

    def _works(self, track: Track, what: str) -> None:
        if self.failures.failing:
            rule_id, place = track.key
            self.failures.works(f"rule:{rule_id}", f"{place} {what}")

    def is_quiet(self, code: str, object_: str, for_s: float) -> bool:
        """Whether all rules that see a cause have said that long that it is not there.

        A rule that waits before it speaks has nothing to say before it has waited.
        """
        tracks = [track for track in self._tracks.values() if track.identity == (code, object_)]
        return bool(tracks) and all(
            track.hold.quiet_s >= max(for_s, track.rule.hold_s) for track in tracks
        )

    def can_see(self, code: str, object_: str) -> bool:
        """Whether a sensor of this document can say that a cause is there, or is not."""
        kind, _, name = object_.partition(":")
        known: Mapping[str, Container[str]] = {
            "sensor": self._devices, "zone": self._connectors, "station": ("",),
        }  # fmt: skip
        has_rule = any(rule.code == code for rule in self._rules.values())
        return has_rule and name.partition("/")[0] in known.get(kind, ())

    def raised(self) -> list[Finding]:
        """Return the findings that last."""
        return [raised.finding for raised in self._raised.values()]

    def replaced_by(self, protection: Protection) -> RuleSet:
        """Return the set of another document, which takes over what it can; drop this one.

        Unchanged rules at unchanged places keep timers and values. What was found stays found
        while a rule there can still clear it; else the next tick tells that it is over.
        """
        self.failures.forget("rule")
        new = RuleSet(protection, self.failures)
        for track in self._tracks.values():
            unchanged = new._rules.get(track.rule.rule_id) == track.rule
            if unchanged and new._ground(track) == self._ground(track):
                new._keep(track)
        left = self._devices.keys() - new._devices.keys()
        for track in self._tracks.values():
            if track.hold.active and track.source.device not in left:
                new._take_over(track, self._raised[track.identity].finding)
        lost = [finding for finding in self.raised() if _identity(finding) not in new._raised]
        new._news += self._news
        new._news += [structs.replace(finding, active=False) for finding in lost]
        for (connector, quantity), (value, at) in self._given.items():
            new._given[connector, quantity] = value, at
            new._news += new._feed(new._route_of(connector, quantity), value, at)
        return new

    def _take_over(self, old: Track, finding: Finding) -> None:
        """Have the tracks that now judge the place of an active one go on from there."""
        for heir, _, _ in self._route(old.source):
            if heir.identity == old.identity:
                heir.hold.active = True
                heir.calm.become(NEVER)
                self._raised.setdefault(heir.identity, _Raised(finding, set()))
                self._news += self._raise(heir, finding)

    def _ground(self, track: Track) -> object:
        """Return what a track stands on in this document; where it differs, values are new."""
        source = track.source
        together = isinstance(track.judge, spread.Judge | vote.OfPoints)
        if source.device and together:
            return [device for device in self._devices.values() if device.zone == track.zone]
        if source.device:
            return self._devices.get(source.device)
        return self._connectors.get(track.zone) if together else self._zones(source)

    def _feed(self, route: _Route, value: float | None, at: Moment) -> Sequence[Finding]:
        findings: Sequence[Finding] = ()
        mono_s = at.mono_s
        for track, update, calm in route:
            try:
                if value is not None and calm.low <= value <= calm.high and mono_s < calm.to_s:
                    continue  # nearly always
                hold = track.hold
                changed = hold.feed(update(value, mono_s), mono_s)
                track.settle(mono_s)
            except Exception as error:  # noqa: BLE001 - one rule's bug silences no other
                self._failed(track, "value", error)
                continue
            self._works(track, "value")
            if changed:
                findings = [*findings, *self._changed(track, at)]
            if hold.waiting:
                self._waiting[track.key] = track
        return findings

    def _changed(self, track: Track, at: Moment) -> list[Finding]:
        raised = self._raised.get(track.identity)
        if track.hold.active:
            finding = self._finding(track, at, active=True, severity=track.severity)
            if raised is not None:
                return self._raise(track, finding)
            self._raised[track.identity] = _Raised(finding, {track.key})
            return [finding]
        assert raised is not None  # a track that was active is in it
        raised.seen_by.discard(track.key)
        if raised.seen_by:
            return []
        del self._raised[track.identity]
        return [self._finding(track, at, active=False, severity=raised.finding.severity)]

    def _finding(self, track: Track, at: Moment, *, active: bool, severity: Severity) -> Finding:
        try:
            shown = track.judge.shown()
        except Exception as error:  # noqa: BLE001 - better a fire without its figures than none
            self._failed(track, "words", error)
            shown = "", ""
        return track.finding(at, shown, active=active, severity=severity)

    def _raise(self, track: Track, finding: Finding) -> list[Finding]:
        """Add a track to what is raised already; only a worse severity is worth telling."""
        raised = self._raised[track.identity]
        raised.seen_by.add(track.key)
        if not is_worse(track.severity, raised.finding.severity):
            return []
        raised.finding = structs.replace(finding, severity=track.severity)
        return [raised.finding]

    def _route(self, source: Source) -> _Route:
        route: list[tuple[Track, Update, Calm]] = []
        for rule in self._by_quantity.get(source.quantity, ()):
            try:
                route += [
                    (track, track.update_from(source), track.calm_from(source))
                    for track in self._at(rule, source)
                ]
            except Exception as error:  # noqa: BLE001 - one rule's limits silence no other
                self.failures.failed(f"rule:{rule.rule_id}", source.object, error)
        return tuple(route)

    def _at(self, rule: AnyRule, source: Source) -> Iterator[Track]:
        """Yield the tracks of a rule that take the values of a source, made where needed."""
        select = rule.select
        zones = self._zones(source)
        if select.zone and select.zone not in zones:
            return
        if select.device and select.device != source.device:
            return
        if select.point and select.point != source.point and select.quantity == source.quantity:
            return
        if select.zone:
            zones = (select.zone,)
        for place, object_, zone in _places(rule, source, zones):
            key = (rule.rule_id, place)
            if key not in self._tracks:
                self._keep(Track(rule, key, object_, zone, source))
            yield self._tracks[key]

    def _keep(self, track: Track) -> None:
        self._tracks[track.key] = track
        if isinstance(track.judge, silence.Judge):
            self._silences.append((track, track.judge))
        if track.hold.waiting:
            self._waiting[track.key] = track

    def _zones(self, source: Source) -> tuple[str, ...]:
        if source.device:
            device = self._devices.get(source.device)
            return (device.zone,) if device is not None and device.zone else ()
        place = _connector_of(source.object)
        return tuple(zone for zone, held in self._connectors.items() if place in held)


def _places(
    rule: AnyRule, source: Source, zones: tuple[str, ...]
) -> Iterable[tuple[str, str, str]]:
    """Return place, object and zone of each track that a source has under a rule."""
    zone = zones[0] if zones else ""
    if isinstance(rule, Spread) or (isinstance(rule, Vote) and rule.across == "points"):
        groups = [(f"zone:{name}", name) for name in zones] or [("station", "")]
        return [(object_, object_, name) for object_, name in groups]
    device = f"sensor:{source.device}" if source.device else source.object
    if isinstance(rule, Compare):
        return [(device, device, zone)]
    # A dead device is one cause, however many points it has.
    return [(source.object, device if isinstance(rule, Silence) else source.object, zone)]


def _without_slopes(plan: _Plan) -> _Plan:
    """Leave out what needs to know when a value was so: hours of stored ones come in a second."""
    return tuple(
        (given, get, tuple(each for each in route if not isinstance(each[0].judge, rate.Judge)))
        for given, get, route in plan
    )


def _connector_of(object_: str) -> Connector:
    _, number, connector_no = object_.split(":")
    return number, int(connector_no)


def _quantities(rule: AnyRule) -> tuple[Quantity, ...]:
    if isinstance(rule, Compare):
        return rule.other, rule.select.quantity
    return (rule.select.quantity,)


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.code, finding.object


def _usable(value: float | None, quality: Quality) -> float | None:
    """Return a value that may be judged: bad quality is never a number, nor is infinity."""
    if value is None or quality is not Quality.GOOD or not math.isfinite(value):
        return None
    return value
