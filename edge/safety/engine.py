"""Watches every report and value of the station and stops what must stop, before anything else.

The engine is the first subscriber of the bus. What trips has its stop frames written in the same
call, then its sirens and contactors; only then is anybody told. It keeps no files and waits for
nothing: not for the disk, not for HQ, not for a coil. It judges; `Hands` act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from edge.devices.chargers.reports import (
    BatteryIdentified,
    BatteryLimits,
    BmsDemanded,
    BmsSampled,
    ChargingStopped,
    ConnectorSampled,
    LinkLost,
    LoggedIn,
    Moment,
    WireState,
)
from edge.devices.chargers.wishes import AnyWish
from edge.devices.sensors.profile import Profile
from edge.devices.sensors.reports import DeviceAnswering, OutputRead, PointSampled
from edge.safety.battery import CODES as BATTERY_CODES
from edge.safety.battery import BatteryWatch, Verdict
from edge.safety.causes import Cause, Connector, Hearer, Place
from edge.safety.connector_values import ConnectorReport
from edge.safety.findings import Finding
from edge.safety.hands import Hands, connector_name
from edge.safety.interlock import Action
from edge.safety.ladder import ZERO_CURRENT_DA, Rungs
from edge.safety.proof import Proof
from edge.safety.ruleset import RuleSet
from edge.safety.speaker import Speaker
from edge.safety.surviving import Failures, surviving
from edge.safety.watch import DEGRADED, EMERGENCY, Watch
from shared.contracts.protection import Protection, Quantity, Reset

_SECOND_S = 1.0
_SURE_S = 10.0
"""Good values for so long, and a rule that spoke before a restart has nothing to say."""
_SURE_AT_LAST_S = 60.0
"""Without a sensor that could say so, this long after a restart."""
_BATTERY = "step:battery"
_OfVehicle = TypeVar("_OfVehicle", BmsSampled, ConnectorSampled)


def unplugged(report: ConnectorSampled) -> bool:
    """Whether no vehicle is there; a plug contact that says so while current flows is broken."""
    return (
        not report.plugged_in
        and report.state is not WireState.CHARGING
        and report.current_da < ZERO_CURRENT_DA
    )


class SafetyEngine:
    """Rules over reports and values, and what follows from them.

    Args:
        send: Writes a wish to its charge point before it returns.
        monotonic_s: The monotonic clock.
        rungs: Of the stop ladder.
        hearer: Told after the engine has acted.
        connectors: All that are known.
        partners: The other connectors that charge the vehicle of one.
        profiles: Of sensors, by model.
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
        profiles: Mapping[str, Profile],
    ) -> None:
        self._profiles = profiles
        self._battery = BatteryWatch()
        self._failures = Failures()
        self._rules = RuleSet(Protection(), self._failures)
        self.hands = Hands(
            send=send,
            monotonic_s=monotonic_s,
            rungs=rungs,
            hearer=hearer,
            connectors=connectors,
            partners=partners,
        )
        self.outputs = self.hands.outputs
        self.proof = Proof()
        self.speaker = Speaker()
        self.watch = Watch(self.hands, self.proof, self.speaker, hearer)
        self._vehicles: set[Connector] = set()
        self._meters: dict[str, Connector] = {}
        self._second_s = 0.0

    def activate(self, protection: Protection, now: Moment) -> None:
        """Protect by this document from now on; what stands goes on standing."""
        self._rules = self._rules.replaced_by(protection)
        self.proof.configure(protection, self._profiles)
        self.hands.take(protection, now)
        self.watch.configure(protection)
        of_zone = {zone.name: zone.connectors for zone in protection.zones}
        # A meter in a zone of one connector is that connector's own.
        self._meters = {
            device.name: of_zone[device.zone][0]
            for device in protection.devices
            if len(of_zone.get(device.zone, ())) == 1
        }
        self.tick(now)

    # What sensors and outputs say

    def on_point(self, report: PointSampled) -> None:
        """Judge a value of a sensor."""
        for finding in self._rules.on_point(report):
            self._hear(finding)
        self.proof.on_point(report)
        if report.device in self._meters and report.quantity is Quantity.CURRENT_A:
            self._on_meter(self._meters[report.device], report)
        self.hands.tell_all()

    def _on_meter(self, connector: Connector, report: PointSampled) -> None:
        if report.value is not None:
            found = self.hands.ladder.on_meter(connector, report.point, report.value, report.at)
            if found is not None:
                self.hands.confirm(found)

    def on_answering(self, report: DeviceAnswering) -> None:
        """A device came or went."""
        self.proof.on_answering(
            report.device, report.at, answering=report.answering, reason=report.reason
        )
        if report.answering:
            self.outputs.on_answering(report.device, report.at)
        self.hands.tell_all()

    def on_output(self, report: OutputRead) -> None:
        """An output was read back."""
        self.outputs.on_read(report)
        self.watch.on_output(report)
        if report.on:
            for connector in self.hands.opened_by(report.output):
                found = self.hands.ladder.on_open(connector, report.at)
                if found is not None:
                    self.hands.confirm(found)
        self.hands.tell_all()

    # What charge points say

    def on_battery(self, report: BatteryIdentified | BatteryLimits) -> None:
        """Keep the limits that the vehicle gave (0x15, 0x17)."""
        self._on_vehicle((report.charge_point_no, report.connector_no))
        self._battery.on_battery(report)
        if isinstance(report, BatteryLimits):
            self._judge_values(report)

    def remember(self, limits: BatteryLimits, battery_type: int | None) -> None:
        """Take the limits of a vehicle that was here before a restart."""
        connector = (limits.charge_point_no, limits.connector_no)
        self._battery.remember(connector, limits.temperature_max_c, battery_type)
        self._vehicles.add(connector)
        self._judge_values(limits)

    def on_demand(self, report: BmsDemanded) -> None:
        """Judge a 0x23."""
        self._on_vehicle((report.charge_point_no, report.connector_no))
        self._judge_values(report)

    def on_stopped(self, report: ChargingStopped) -> None:
        """Judge what a vehicle says of its battery at the end (0x19)."""
        self._vehicles.add((report.charge_point_no, report.connector_no))
        self._judge_values(report)

    def on_bms(self, report: BmsSampled) -> None:
        """Judge a 0x25."""
        self._on_vehicle((report.charge_point_no, report.connector_no))
        self._judge_battery(self._battery.on_bms, report)
        self._judge_values(report)

    def on_sample(self, report: ConnectorSampled) -> None:
        """Judge a 0x13, and look whether it proves a stop."""
        if report.replayed:
            return
        if found := self.hands.ladder.on_sample(report):
            self.hands.confirm(found)
        connector = (report.charge_point_no, report.connector_no)
        if unplugged(report):
            self._vehicle_left(connector, report.at)
        else:
            self._vehicles.add(connector)
            self._judge_battery(self._battery.on_sample, report)
        self._judge_values(report)

    def _on_vehicle(self, connector: Connector) -> None:
        """One speaks: also behind its leaving, when nothing but the next look can let it go."""
        self._vehicles.add(connector)
        self.hands.ladder.on_vehicle(connector)

    def _vehicle_left(self, connector: Connector, at: Moment) -> None:
        """Another vehicle has other limits, and none yet."""
        if connector not in self._vehicles:
            return
        self._vehicles.discard(connector)
        for verdict in self._battery.unplugged(connector, at):
            self._judge(verdict)
        for finding in self._rules.forget(connector_name(connector), at):
            self._hear(finding)
        for cause in list(self.hands.causes.values()):
            if cause.unsure_s is not None and self._goes_with(cause, connector):
                self.hands.notice(cause.code, cause.object, at, {}, active=False)

    def _goes_with(self, cause: Cause, connector: Connector) -> bool:
        """Whether a cause is over when the vehicle at a connector leaves, as its row says."""
        row = self.hands.matrix.rows.get(cause.code)
        is_of_vehicle = row is not None and row.reset is Reset.UNPLUGGED
        return is_of_vehicle and cause.object == connector_name(connector)

    def _judge_battery(
        self, judge: Callable[[_OfVehicle], Iterable[Verdict]], report: _OfVehicle
    ) -> None:
        try:
            for verdict in judge(report):
                self._judge(verdict)
        except Exception as error:  # noqa: BLE001 - the rules of the document judge it as well
            self._failures.failed(_BATTERY, _place(report), error)
        else:
            if self._failures.failing:
                self._failures.works(_BATTERY, _place(report))

    def _judge_values(self, report: ConnectorReport) -> None:
        for finding in self._rules.on_report(report):
            self._hear(finding)
        self.hands.tell_all()

    def on_lost(self, report: LinkLost) -> None:
        """A link is gone: what was to stop there and is not proven is isolated."""
        for climb in self.hands.ladder.on_lost(report.charge_point_no):
            self.hands.isolate(climb.connector, report.at)
        self.hands.tell_all()

    def on_logged_in(self, report: LoggedIn) -> None:
        """A link is back: what was to stop there is told so again."""
        self.hands.ladder.on_back(report.charge_point_no)

    def _judge(self, verdict: Verdict) -> None:
        params = {
            "temperature_c": verdict.detail,
            "condition": verdict.detail,
            "value": verdict.detail,
            "limit": verdict.limit,
        }
        object_ = connector_name(verdict.connector)
        with surviving(verdict.code):
            self.hands.notice(verdict.code, object_, verdict.at, params, active=verdict.active)

    def _hear(self, finding: Finding) -> None:
        with surviving(finding.code):
            self.hands.notice(
                finding.code,
                finding.object,
                finding.at,
                {"value": finding.value, "limit": finding.limit},
                active=finding.active,
                severity=finding.severity,
                zone=finding.zone,
            )

    # What people and commands want

    def stop(self, connector: Connector, cause: str, now: Moment) -> None:
        """Stop a connector for another cause, and follow it to zero current."""
        self.hands.stop(connector, cause, now)
        self.hands.tell_all()

    def order_stop(self, object_: str, now: Moment) -> None:
        """Carry HQ's emergency stop out: a trip like any other, taken back by who resets it."""
        self.hands.order(EMERGENCY, object_, now)
        self.hands.tell_all()

    def forget_charge_point(self, charge_point_no: str, now: Moment) -> None:
        """Let go what stands or fails of one that is no longer ours; its latches stay."""
        for connector in [each for each in self._vehicles if each[0] == charge_point_no]:
            self._vehicle_left(connector, now)
        for finding in self._rules.forget_charge_point(charge_point_no, now):
            self._hear(finding)
        self.hands.forget_charge_point(charge_point_no, now)
        self._failures.forget_charge_point(charge_point_no)
        self.hands.tell_all()

    def silence(self, code: str, object_: str, now: Moment) -> None:
        """Switch the sound of a cause off; a new or higher one sounds again."""
        self.outputs.silence((code, object_), now)
        self.watch.speak()

    def restore(
        self,
        code: str,
        object_: str,
        places: set[Place],
        at: Moment,
        *,
        silenced: bool,
        opened: bool = False,
        ordered: bool = False,
    ) -> None:
        """Take a cause that stood before a restart; its rule speaks again, or it is over."""
        cause = Cause(
            code,
            object_,
            at,
            Action(cause=code),
            latched=places,
            opened=opened,
            ordered=ordered,
            unsure_s=at.mono_s,
        )
        self.hands.restore(cause, silenced=silenced)
        # A vehicle was there; that it has left may be the first that is heard now.
        self._vehicles.update(places)

    # Questions

    def stopping(self, connector: Connector) -> bool:
        """Whether a stop of this connector still waits for its proof."""
        return self.hands.ladder.climbing(connector)

    def stopping_danger(self, connector: Connector) -> bool:
        """Whether such a stop is for a danger; an ordinary one never opens a contactor."""
        return self.hands.ladder.climbing_for_danger(connector)

    def is_dangerous(self, place: Place, now: Moment) -> bool:
        """Whether something that blocks exactly this place is still there."""
        return any(
            self._is_there(cause, now)
            for cause in self.hands.causes.values()
            if place in cause.latched
        )

    def _is_there(self, cause: Cause, now: Moment) -> bool:
        if cause.code in BATTERY_CODES:
            # What a vehicle said long ago, or what one that left said, holds nobody up.
            return any(
                self._battery.is_dangerous(cause.code, connector, now)
                for connector in (cause.trip.connectors if cause.trip else cause.latched)
            )
        # Who may take an order back knows why it was given.
        return cause.active and not cause.ordered

    def refuses(self, connector: Connector) -> str:
        """Return why nothing new may start at a connector, "" when it may."""
        return self.watch.refuses(connector)

    # Time

    def tick(self, now: Moment) -> None:
        """Let time pass: rules, ladder, outputs, proofs, drill; ten times a second."""
        self._each(
            now,
            rules=self._tick_rules,
            ladder=self._climb,
            outputs=self.outputs.tick,
            proof=self.proof.tick,
        )
        if now.mono_s - self._second_s >= _SECOND_S:
            self._second_s = now.mono_s
            self._each(
                now,
                trips=self.hands.forget_trips,
                causes=self._make_sure,
                channels=self.watch.look,
                failures=self._look_at_failures,
            )
        self._each(now, speech=self.watch.tick)
        self.hands.tell_all()

    def _each(self, now: Moment, **steps: Callable[[Moment], None]) -> None:
        """Take steps that do not depend on each other: none falls out because of another."""
        for name, step in steps.items():
            try:
                step(now)
            except Exception as error:  # noqa: BLE001 - the other steps are needed all the more
                self._failures.failed(f"step:{name}", name, error)
            else:
                if self._failures.failing:
                    self._failures.works(f"step:{name}", name)

    def _look_at_failures(self, now: Moment) -> None:
        """Raise the rules and steps that fail, end those that work again."""
        failing, well = self._failures.look(now.mono_s)
        for what in (*failing, *well):
            params = {"channel": what.partition(":")[2]}
            self.hands.notice(DEGRADED, what, now, params, active=what in failing)

    def _tick_rules(self, now: Moment) -> None:
        for finding in self._rules.tick(now):
            self._hear(finding)

    def _climb(self, now: Moment) -> None:
        if self.hands.ladder.busy:
            self.hands.climb(now)

    def _make_sure(self, now: Moment) -> None:
        """End what was restored after a restart and is not there any more."""
        for cause in list(self.hands.causes.values()):
            if cause.unsure_s is not None and self._is_over(cause, cause.unsure_s, now):
                self.hands.notice(cause.code, cause.object, now, {}, active=False)

    def _is_over(self, cause: Cause, unsure_s: float, now: Moment) -> bool:
        """Whether values say so; what is latched does not end because a burnt sensor is silent."""
        if cause.ordered:
            return False
        if self._rules.is_quiet(*cause.key, _SURE_S):
            return True
        waits = bool(cause.latched) and self._rules.can_see(*cause.key)
        return not waits and now.mono_s - unsure_s >= _SURE_AT_LAST_S


def _place(report: BmsSampled | ConnectorSampled) -> str:
    connector = connector_name((report.charge_point_no, report.connector_no))
    return f"{connector} {type(report).__name__}"
