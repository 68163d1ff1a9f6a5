"""The station: subscribes to reports, takes decisions, carries their effects out.

Order is what matters here. The safety engine hears everything first and acts by itself. Then
the books decide; wishes go to charge points at once, facts and state to the journal in one
commit, and what had to wait for that commit goes out after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.bus import EventBus
from edge.devices.chargers import reports as r
from edge.devices.chargers.wishes import (
    AnyWish,
    CloseLink,
    DecideLogin,
    HoldTariff,
    StopRemotely,
)
from edge.devices.sensors import reports as s
from edge.devices.sensors.profile import Profile
from edge.devices.sensors.reports import PointSampled
from edge.journal import Journal
from edge.journal.journal import PENDING_MAX
from edge.safety.engine import SafetyEngine
from edge.safety.ladder import ORDINARY, Rungs
from edge.station import (
    access,
    alarms,
    closed,
    desk,
    guard,
    instructions,
    numbers,
    open_list,
    pins,
    protection,
    registry,
    tariffs,
)
from edge.station.access import AccessList, Caps
from edge.station.alarms import AlarmBook
from edge.station.carry import Carrier
from edge.station.clocks import ClockKeeper
from edge.station.desk import CommandDesk
from edge.station.effects import Confirm, Effects
from edge.station.evidence import limits_of
from edge.station.guard import Guard, load_latches
from edge.station.hearing import Hearing
from edge.station.instructions import InstructionBook
from edge.station.live import LiveState
from edge.station.numbers import TransactionNumbers
from edge.station.pins import PinBook
from edge.station.registry import Registry
from edge.station.report import state_report
from edge.station.samples import SensorSamples
from edge.station.starts import Starts
from edge.station.stores import StoreWatch
from edge.station.tariffs import TariffShelf
from edge.station.timing import Timing
from edge.station.transactions import TransactionBook
from edge.station.view_builder import ViewBuilder
from shared.clock import Clock, from_ms
from shared.contracts import events as e
from shared.contracts.commands import ChargePointConfig, PublishRegistry
from shared.contracts.envelope import CommandEnvelope
from shared.contracts.live import LiveUpdate
from shared.contracts.protection import Protection
from shared.contracts.telemetry import Sample
from shared.contracts.topics import Lane
from shared.contracts.words import Outcome
from shared.tariff import TariffVersion

logger = logging.getLogger(__name__)


class ChargePoints(Protocol):
    """The gateway, as the station uses it."""

    def send(self, wish: AnyWish) -> bool:
        """Write a wish to its charge point now; False when it is not connected."""
        ...

    def decide_login(self, wish: DecideLogin) -> bool:
        """Answer a `LoginRequested`; False when that link is gone."""
        ...

    def confirm(self, charge_point_no: str, token: int) -> bool:
        """Confirm a record that is durable now; False when its sender is gone."""
        ...


class Station:
    """Everything that the station decides by itself."""

    def __init__(
        self,
        *,
        station_no: str,
        version: str,
        clock: Clock,
        zone_name: str,
        journal: Journal,
        add_sample: Callable[[Sample], None],
        timing: Timing,
        rungs: Rungs,
        caps: Caps,
        local_charge_points: tuple[ChargePointConfig, ...],
        local_tariff: TariffVersion | None,
        hq_reachable: Callable[[], bool],
        fetch_frames: Callable[[str, int, int], bytes],
        profiles: Mapping[str, Profile] | None = None,
    ) -> None:
        """Read the stored state; blocks, and comes before anything is appended to the journal."""
        self.station_no = station_no
        self.zone = ZoneInfo(zone_name)
        self._version = version
        self._clock = clock
        self._journal = journal
        self.add_sample = add_sample
        self.timing = timing
        self._charge_points: ChargePoints | None = None
        self.profiles = profiles or {}
        now = self.now()
        load = journal.load
        self.tariffs = TariffShelf(load(tariffs.KIND), load(tariffs.KIND_CONFIRMED))
        self._local_tariff = self.tariffs.put_local(local_tariff) if local_tariff else None
        self._tariff_id: UUID | None = None
        self.registry = Registry(load(registry.KIND), local_charge_points)
        self.latches = load_latches(journal)
        self.alarms = AlarmBook(load(alarms.KIND))
        self.protection = protection.load_shelf(journal)
        self.pins = PinBook(load(pins.KIND), clock.monotonic_s)
        self.instructions = InstructionBook(load(instructions.KIND))
        self.access = AccessList(load(access.KIND))
        self.live = LiveState(
            lambda connector: self.latches.blocks(connector) is not None, self.tariffs.get
        )
        self.book = self._make_book(now)
        self.starts = Starts(
            book=self.book,
            access=self.access,
            caps=caps,
            tariffs=self.tariffs,
            registry=self.registry,
            numbers=TransactionNumbers(load(numbers.KIND), self.zone),
            latches=self.latches,
            live=self.live,
            timing=timing,
            hq_reachable=hq_reachable,
            bills_waiting=self._bills_waiting,
            refuses=self._refuses,
            now_ms=now.wall_ms,
        )
        self.guard = Guard(self, load(guard.KIND))
        self.safety = self._make_safety(rungs)
        self.carrier = Carrier(self, fetch_frames=fetch_frames)
        self.stores = StoreWatch(self, journal)
        self.clocks = ClockKeeper(timing.hq_clock_tolerance_ms, now)
        self.desk = CommandDesk(load(desk.KIND), self.carrier.carry)
        self.screen = ViewBuilder(self)
        self._show_safety()
        self.lost_since_s: dict[str, float] = {}
        self._ask_nobody()
        self._resume(now)

    def _ask_nobody(self) -> None:
        """Put in what is called until whoever puts the agent together says whom to call."""
        # Has the lines poll and write by a protection document.
        self.configure_lines: Callable[[Protection], None] = lambda _protection: None
        self.watch_lease: Callable[[float], None] = lambda _lease_s: None
        # Calls back when all frames so far are on the disk too, beside the journal.
        self.sync_evidence: Callable[[Callable[[], None]], None] = lambda done: done()
        # Called with each end of a transaction, however it came.
        self.on_ended: Callable[[e.TransactionEnded], None] = lambda _ended: None
        # Called when the journal is a new one, in place of a broken one.
        self.on_new_journal: Callable[[], None] = lambda: None

    def _make_book(self, now: r.Moment) -> TransactionBook:
        return TransactionBook(
            self._journal.load(open_list.KIND),
            self._journal.load(closed.KIND),
            zone=self.zone,
            timing=self.timing,
            tariffs=self.tariffs,
            registry=self.registry,
            now=now,
            stopping=self._is_stopping,
        )

    def _bills_waiting(self) -> bool:
        """Whether HQ has not acknowledged all that is closed here."""
        return bool(self._journal.pending_bytes or self._journal.unacknowledged[Lane.BILL])

    def _is_stopping(self, connector: tuple[str, int]) -> bool:
        return self.safety.stopping(connector)

    def _make_safety(self, rungs: Rungs) -> SafetyEngine:
        return SafetyEngine(
            send=self.send,
            monotonic_s=self._clock.monotonic_s,
            rungs=rungs,
            hearer=self.guard,
            connectors=lambda: (entry.connector for entry in self.live.all()),
            partners=self.book.partners,
            profiles=self.profiles,
        )

    def _refuses(self, connector: tuple[str, int]) -> str:
        return self.safety.refuses(connector)

    def _show_safety(self) -> None:
        sources, safety = self.screen.sources, self.safety
        safety.watch.storage_failed = lambda: self._journal.failed or ""
        sources.outputs = safety.outputs.views
        sources.channels = lambda: safety.proof.views(self.now())
        sources.isolated = safety.outputs.is_isolated
        sources.starts_refused = lambda: safety.watch.starts_refused
        sources.drill_running = lambda: safety.watch.drill_running
        sources.last_drill_ms = lambda: self.guard.last_drill_ms
        sources.sound = lambda: safety.speaker.saying

    def _resume(self, now: r.Moment) -> None:
        """Go on where the last run of the agent ended."""
        self.guard.resume(now, clean=self._journal.clean)
        for command_id in self.carrier.resume():
            self.desk.resume(command_id)
        for config in self.registry.all().values():
            self.expect(config.charge_point_no, config.connector_count, now)
        for transaction in self.book.open_transactions():
            # What the vehicle said once it does not say again after a restart.
            limits = limits_of(transaction, now)
            self.safety.remember(limits, transaction.battery.battery_type)

    # Wiring

    def connect(self, charge_points: ChargePoints, bus: EventBus[r.AnyReport]) -> None:
        """Take the gateway and listen to its bus: safety first, in order of subscription."""
        self._charge_points = charge_points
        bus.subscribe("safety", self.safety.on_battery, r.BatteryIdentified, r.BatteryLimits)
        bus.subscribe("safety", self.safety.on_point, s.PointSampled)
        bus.subscribe("safety", self.safety.on_bms, r.BmsSampled)
        bus.subscribe("safety", self.safety.on_demand, r.BmsDemanded)
        bus.subscribe("safety", self.safety.on_stopped, r.ChargingStopped)
        bus.subscribe("safety", self.safety.on_sample, r.ConnectorSampled)
        bus.subscribe("safety", self.safety.on_lost, r.LinkLost)
        bus.subscribe("safety", self.safety.on_logged_in, r.LoggedIn)
        bus.subscribe("safety", self.safety.on_output, s.OutputRead)
        bus.subscribe("safety", self.safety.on_answering, s.DeviceAnswering)
        Hearing(self, charge_points).subscribe(bus)
        bus.subscribe("sensor samples", SensorSamples(self.add_sample).on_point, PointSampled)
        self.screen.subscribe(bus)

    def on_protection(self, protection: Protection) -> None:
        """Protect by this document from now on; the lines first, so that they know its outputs."""
        self.safety.outputs.retire(protection.outputs)
        self.configure_lines(protection)
        self.safety.activate(protection, self.now())

    def start(self) -> None:
        """Say that the station is up, and raise what the start itself found."""
        effects = Effects()
        now = self.now()
        effects.events.append(
            e.StationStarted(
                occurred_at=from_ms(now.wall_ms),
                version=self._version,
                clean=self._journal.clean,
                boot_id=self._journal.boot_id,
            )
        )
        # Before any of them connects: HQ takes them over as they are here, not with its defaults.
        effects.events += [
            registry.adopted(config, from_ms(now.wall_ms))
            for config in self.registry.local_additions()
        ]
        effects.changes.extend(self.latches.everything())
        if self._local_tariff is not None:
            effects.changes.append(self._local_tariff)
        if self.latches.unreadable:
            effects.add(self.alarms.raise_alarm("latch_unreadable", alarms.STATION, now.wall_ms))
        effects.add(self.stores.at_start(now.wall_ms))
        # A drill that a crash cut off.
        effects.add(self.alarms.clear_alarm("siren_drill", alarms.STATION, now.wall_ms))
        effects.add(self.guard.clear_unknown(now.wall_ms))
        effects.add(protection.activate(self))
        self.perform(effects)
        if self._journal.recovered:
            self.on_new_journal()

    def now(self) -> r.Moment:
        """Return this moment on both clocks."""
        return r.Moment(self._clock.now_ms(), self._clock.monotonic_s())

    # Carrying out

    def send(self, wish: AnyWish) -> bool:
        """Write a wish to its charge point now; False when it is not connected."""
        return self._charge_points is not None and self._charge_points.send(wish)

    def perform(self, effects: Effects) -> None:
        """Carry effects out: wishes at once, the rest with or after one commit."""
        for wish in effects.wishes:
            self._grant(wish)
        if not effects.durable:
            return
        if effects.wishes_after or effects.confirms or effects.wishes_if_failed:
            self._journal.append(
                effects.events, effects.changes, lambda ok: self._committed(effects, ok=ok)
            )
        else:
            self._journal.append(effects.events, effects.changes)
        for event in effects.events:
            if type(event) is e.TransactionEnded:
                self.on_ended(event)

    def tell(self, event: e.AnyEvent) -> None:
        """Store one fact for HQ."""
        self._journal.append([event])

    def _committed(self, effects: Effects, *, ok: bool) -> None:
        for wish in effects.wishes_after if ok else effects.wishes_if_failed:
            self._grant_late(wish)
        if ok and effects.confirms:
            self.sync_evidence(lambda: self._confirm(effects.confirms))

    def _confirm(self, confirms: list[Confirm]) -> None:
        if self._charge_points is not None:
            for confirm in confirms:
                self._charge_points.confirm(confirm.charge_point_no, confirm.token)

    def _grant_late(self, wish: AnyWish) -> None:
        """Grant what waited for a commit, unless a start was blocked or expired meanwhile."""
        now = self.now()
        withdrawn = self.starts.withdraw(wish, now, lambda id_: self.desk.is_late(id_, now.wall_ms))
        if withdrawn is None:
            self._grant(wish)
        else:
            self.perform(withdrawn)

    def _grant(self, wish: AnyWish) -> None:
        if isinstance(wish, StopRemotely):
            connector = (wish.charge_point_no, wish.connector_no)
            self.safety.stop(connector, ORDINARY, self.now())
        else:
            self.send(wish)

    # HQ

    def on_command(self, envelope: CommandEnvelope) -> None:
        """Take in a command of HQ."""
        now_ms = self._clock.now_ms()
        effects, carry = self.desk.receive(envelope, now_ms)
        if not carry:
            self.perform(effects)
            return

        def carry_out(ok: bool) -> None:
            if ok:
                self.perform(self.desk.carry_out(envelope, self._clock.now_ms()))
            else:
                # HQ sends it again, and then it is as if it came for the first time.
                self.desk.forget(envelope.command_id)
                logger.error("command not stored, not carried out id=%s", envelope.command_id)

        self._journal.append(effects.events, effects.changes, carry_out)

    def settle(
        self, command_id: UUID, outcome: Outcome, reason: str = "", answer: bytes = b""
    ) -> Effects:
        """Say how a command ended."""
        return self.desk.settle(command_id, outcome, reason, self._clock.now_ms(), answer)

    def on_hq_connected(self) -> None:
        """Tell HQ everything at once, so that it heals whatever it missed."""
        self.stores.report()

    def state_report(self) -> e.StationStateReported:
        """Return the whole station at this moment."""
        return state_report(self)

    def push_tariff(self) -> None:
        """Have every charge point hold the current tariff, each as soon as it is idle."""
        held = self.tariffs.held(self._clock.now_ms())
        if held is None:
            return
        for number in self.registry.all():
            if self.tariffs.confirmed_hash(number) != held.content_hash:
                self.send(HoldTariff(charge_point_no=number, tariff=held))

    def live_update(self, whole: bool) -> LiveUpdate | None:
        """Return what the live lane shows."""
        return self.live.update(self.station_no, self.now(), whole=whole)

    # Time

    def tick(self) -> None:
        """Once a second: time limits, missing charge points, and what changed to the journal."""
        now = self.now()
        effects = self.starts.tick(now)
        if not self.crowded:
            # What is decided here must not be lost: it waits until the disk takes it.
            effects.add(self.book.tick(now))
            effects.add(self.book.flush())
        effects.add(self.carrier.tick())
        effects.add(self.stores.tick())
        due, escalated = self.alarms.tick(now)
        effects.add(due)
        for alarm in escalated:
            self.guard.on_escalated(alarm, now)
        for number, since_s in self.lost_since_s.items():
            if now.mono_s - since_s > self.timing.offline_alarm_s and self.registry.get(number):
                place = alarms.charge_point(number)
                effects.add(self.alarms.raise_alarm("charge_point_offline", place, now.wall_ms))
        effects.add(self._check_tariff(now))
        self.perform(effects)

    @property
    def crowded(self) -> bool:
        """Whether so much waits for a disk that fails that new facts may soon find no room."""
        return self._journal.pending_bytes > PENDING_MAX // 2

    def _check_tariff(self, now: r.Moment) -> Effects:
        version = self.tariffs.current(now.wall_ms)
        if version is None:
            return self.alarms.raise_alarm("tariff_missing", alarms.STATION, now.wall_ms)
        if version.tariff_version_id != self._tariff_id:
            # Published just now, or long ago and valid from now.
            self._tariff_id = version.tariff_version_id
            self.push_tariff()
        return self.alarms.clear_alarm("tariff_missing", alarms.STATION, now.wall_ms)

    # Charge points

    def publish_registry(self, command: PublishRegistry) -> Effects:
        """Take HQ's charge points; who is no longer among them, or is served otherwise, is let go.

        A charge point that is still wanted comes back by itself and is then served as it now says.
        """
        effects = Effects()
        now = self.now()
        before = self.registry.all()
        effects.changes.append(self.registry.publish(command))
        after = self.registry.all()
        for number, config in before.items():
            if after.get(number) == config:
                continue
            self.send(CloseLink(charge_point_no=number, reason="registry"))
            if number not in after:
                self.lost_since_s.pop(number, None)
                self.live.forget(number)
                # What blocks it may still sound: that has an alarm until somebody lifts it.
                blocking = {(latch.cause, latch.subject) for latch in self.latches.all()}
                effects.add(self.alarms.clear_all(number, now.wall_ms, but=blocking))
                self.safety.forget_charge_point(number, now)
        for number in after.keys() - before.keys():
            self.expect(number, after[number].connector_count, now)
        return effects

    def expect(self, charge_point_no: str, connector_count: int, now: r.Moment) -> None:
        """Show a new charge point, and miss it if it does not come."""
        self.live.expect(charge_point_no, connector_count)
        self.lost_since_s.setdefault(charge_point_no, now.mono_s)

    def tick_hourly(self) -> None:
        """Drop what is too old, set clocks, push what a charge point did not take before."""
        now = self.now()
        effects = self.desk.forget_old(now.wall_ms)
        effects.add(self.alarms.clear_past(now.wall_ms))
        unbilled = (*self.book.open_transactions(), *self.book.closed.awaited())
        needed = {transaction.tariff_version_id for transaction in unbilled}
        effects.changes += self.tariffs.drop_unneeded(needed, now.wall_ms)
        effects.add(self.guard.tick_hourly(now.wall_ms))
        effects.wishes.extend(self.clocks.due(list(self.registry.all()), now))
        self.perform(effects)
        self.push_tariff()
