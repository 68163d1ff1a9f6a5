"""What the station does with each report of a charge point, after the safety engine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from edge.bus import EventBus
from edge.devices.chargers import reports as r
from edge.devices.chargers.wishes import DecideLogin
from edge.safety.engine import unplugged
from edge.safety.ladder import ZERO_CURRENT_DA
from edge.safety.latches import UNREADABLE
from edge.station import alarms, evidence
from edge.station.effects import Effects
from edge.station.records import on_record
from edge.station.registry import Waiting
from edge.station.samples import demand_sample, meter_sample, status_sample
from shared.clock import from_ms
from shared.contracts import events as e

if TYPE_CHECKING:
    from edge.station.core import ChargePoints, Station

logger = logging.getLogger(__name__)

_CHARGING_END = 0x19
_COMPLAINT_ALARMS = {
    "duplicate": "duplicate_charge_point",
    "too_many_bad_frames": "charge_point_garbage",
    "encrypted": "encryption_unsupported",
    "record_foreign": "record_foreign",
    "record_unreadable": "record_unreadable",
}


class Hearing:
    """One handler a kind of report; each ends in `Station.perform`."""

    def __init__(self, station: Station, charge_points: ChargePoints) -> None:
        self._station = station
        self._charge_points = charge_points
        self._links: dict[str, int] = {}

    def subscribe(self, bus: EventBus[r.AnyReport]) -> None:
        """Listen, behind whoever listens already."""
        bus.subscribe("station", self._on_sample, r.ConnectorSampled)
        bus.subscribe("station", self._on_demand, r.BmsDemanded)
        bus.subscribe("station", self._on_bms, r.BmsSampled)
        bus.subscribe("station", self._on_login_requested, r.LoginRequested)
        bus.subscribe("station", self._on_logged_in, r.LoggedIn)
        bus.subscribe("station", self._on_lost, r.LinkLost)
        bus.subscribe("station", self._on_battery, r.BatteryIdentified, r.BatteryLimits)
        bus.subscribe("station", self._on_start_requested, r.StartRequested)
        bus.subscribe("station", self._on_start_answered, r.StartAnswered)
        bus.subscribe("station", self._on_stop_answered, r.StopAnswered)
        bus.subscribe("station", self._on_stopped, r.ChargingStopped)
        bus.subscribe("station", self._on_record, r.RecordReceived)
        bus.subscribe("station", self._on_tariff_held, r.TariffHeld)
        bus.subscribe("station", self._on_tariff_not_held, r.TariffNotHeld)
        bus.subscribe("station", self._on_clock, r.ClockRead)
        bus.subscribe("station", self._on_bay_lock, r.BayLockReported)
        bus.subscribe("station", self._on_frame_sent, r.FrameSent)
        bus.subscribe("station", self._on_wish_settled, r.WishSettled)
        bus.subscribe("station", self._on_complaint, r.Complained)

    def _on_sample(self, report: r.ConnectorSampled) -> None:
        station = self._station
        transaction = station.book.find(report.charge_point_no, report.transaction_no)
        effects = station.book.on_sample(report, transaction)
        if effects is not None:
            # It may have been taken over just now.
            transaction = station.book.find(report.charge_point_no, report.transaction_no)
        if not report.replayed:
            changed = station.live.on_sample(report, transaction)
            if changed is not None:
                effects = effects or Effects()
                effects.add(changed)
            effects = self._watch(report, effects)
        station.add_sample(
            meter_sample(report, transaction.transaction_id if transaction else None)
        )
        if effects is not None:
            station.perform(effects)

    def _watch(self, report: r.ConnectorSampled, effects: Effects | None) -> Effects | None:
        """Look at what is not about money: faults, blocked connectors, proofs of a late stop."""
        station = self._station
        is_well = not report.faults and report.state is not r.WireState.FAULT
        if is_well and station.alarms.none_open and station.latches.none_set:
            return effects  # nearly always
        connector = (report.charge_point_no, report.connector_no)
        place = alarms.connector(*connector)
        if self._is_faulty(report) is not station.alarms.is_open("charge_point_fault", place):
            effects = effects or Effects()
            effects.add(self._on_fault_bits(report, place))
        flows = report.current_da >= ZERO_CURRENT_DA
        proven = not flows and not station.safety.stopping(connector)
        if proven and station.alarms.is_open("stop_not_confirmed", place):
            effects = effects or Effects()
            at_ms = report.at.wall_ms
            effects.add(station.alarms.clear_alarm("stop_not_confirmed", place, at_ms))
        latch = station.latches.blocks(connector)
        if latch is None and flows and station.latches.all():
            # What charges one vehicle together is stopped together.
            blocking = map(station.latches.blocks, station.book.partners(connector))
            latch = next(filter(None, blocking), None)
        if latch is None:
            return effects
        if flows and latch.cause != UNREADABLE and not station.safety.stopping_danger(connector):
            # The agent or the link was away meanwhile, or the charge point started by itself.
            station.safety.stop(connector, latch.cause, report.at)
        if report.dated and unplugged(report):
            # Stored ones may speak of a vehicle before this one; the state is asked for again.
            effects = effects or Effects()
            for each in station.latches.at(connector):
                if each.until_unplugged and not station.safety.is_dangerous(connector, report.at):
                    effects.add(station.guard.release(each, report.at))
        return effects

    def _is_faulty(self, report: r.ConnectorSampled) -> bool:
        if report.faults != 0 or report.state is not r.WireState.FAULT:
            return report.faults != 0
        # Without supply a connector calls itself faulty: that the station cut it off is known.
        connector = (report.charge_point_no, report.connector_no)
        return not self._station.safety.outputs.is_isolated(connector)

    def _on_fault_bits(self, report: r.ConnectorSampled, place: str) -> Effects:
        at_ms = report.at.wall_ms
        if not self._is_faulty(report):
            return self._station.alarms.clear_alarm("charge_point_fault", place, at_ms)
        faults = f"0x{report.faults:04X}"
        return self._station.alarms.raise_alarm("charge_point_fault", place, at_ms, faults=faults)

    def _on_demand(self, report: r.BmsDemanded) -> None:
        self._station.live.on_demand(report)
        self._station.add_sample(demand_sample(report, self._transaction_id(report)))

    def _on_bms(self, report: r.BmsSampled) -> None:
        self._station.add_sample(status_sample(report, self._transaction_id(report)))

    def _transaction_id(self, report: r.BmsDemanded | r.BmsSampled) -> UUID | None:
        transaction = self._station.book.find(report.charge_point_no, report.transaction_no)
        return transaction.transaction_id if transaction else None

    def _on_login_requested(self, report: r.LoginRequested) -> None:
        number = report.charge_point_no
        config = self._station.registry.get(number)
        if config is None:
            self._quarantine(report)
        self._charge_points.decide_login(
            DecideLogin(
                charge_point_no=number,
                link_id=report.link_id,
                accepted=config is not None,
                config=config,
                tariff=self._station.tariffs.held(report.at.wall_ms),
                confirmed_hash=self._station.tariffs.confirmed_hash(number),
                set_clock=self._station.clocks.trusted(report.at.wall_ms),
                open_transaction_nos=tuple(
                    transaction.transaction_no
                    for transaction in self._station.book.open_transactions()
                    if transaction.charge_point_no == number
                ),
            )
        )

    def _quarantine(self, report: r.LoginRequested) -> None:
        number = report.charge_point_no
        waiting = Waiting(
            number, report.address, report.firmware, report.connector_count, report.at.wall_ms
        )
        if self._station.registry.keep_waiting(waiting):
            event = e.ChargePointQuarantined(
                occurred_at=from_ms(report.at.wall_ms),
                charge_point_no=number,
                address=report.address,
                firmware=report.firmware,
            )
            self._station.tell(event)

    def _on_logged_in(self, report: r.LoggedIn) -> None:
        number = report.charge_point_no
        self._links[number] = report.link_id
        self._station.lost_since_s.pop(number, None)
        self._station.book.on_logged_in(number, report.at)
        config = self._station.registry.get(number)
        if config is not None:
            # Not what the device claims: a broken one may claim 255.
            self._station.live.expect(number, config.connector_count)
        effects = self._station.live.on_link(number, report.at, online=True)
        effects.add(
            self._station.alarms.clear_alarm(
                "charge_point_offline", alarms.charge_point(number), report.at.wall_ms
            )
        )
        effects.events.append(
            e.ChargePointConnected(
                occurred_at=from_ms(report.at.wall_ms),
                charge_point_no=number,
                address=report.address,
                firmware=report.firmware,
                protocol_version=report.protocol_version,
                dialect=config.dialect if config else "",
                connector_count=report.connector_count,
                is_dc=report.is_dc,
            )
        )
        self._station.perform(effects)

    def _on_lost(self, report: r.LinkLost) -> None:
        number = report.charge_point_no
        if self._links.get(number) != report.link_id:
            return  # the late end of a link that has been replaced
        del self._links[number]
        self._station.lost_since_s.setdefault(number, report.at.mono_s)
        self._station.starts.on_lost(number)
        effects = self._station.live.on_link(number, report.at, online=False)
        effects.add(self._station.book.on_lost(number, report.at))
        effects.events.append(
            e.ChargePointLost(
                occurred_at=from_ms(report.at.wall_ms),
                charge_point_no=number,
                reason=report.reason,
            )
        )
        self._station.perform(effects)

    def _on_battery(self, report: r.BatteryIdentified | r.BatteryLimits) -> None:
        self._station.perform(evidence.on_battery(self._station.book, report))
        if isinstance(report, r.BatteryIdentified):
            connector = (report.charge_point_no, report.connector_no)
            self._station.live.get(connector).vin = report.vin

    def _on_start_requested(self, report: r.StartRequested) -> None:
        self._station.perform(self._station.starts.on_request(report))

    def _on_start_answered(self, report: r.StartAnswered) -> None:
        started = evidence.started_by(self._station.book, report)
        effects = evidence.on_start_answered(self._station.book, report)
        if started is not None:
            effects.add(self._station.carrier.on_start_answered(started, report))
        self._station.perform(effects)

    def _on_frame_sent(self, report: r.FrameSent) -> None:
        evidence.on_frame_sent(self._station.book, report)

    def _on_stop_answered(self, report: r.StopAnswered) -> None:
        if not report.stopped:
            # The stop ladder goes on until no current flows; this only says why it takes longer.
            connector = (report.charge_point_no, report.connector_no)
            logger.warning(
                "stop refused number=%s connector=%d reason=%d", *connector, report.reason
            )

    def _on_stopped(self, report: r.ChargingStopped) -> None:
        if report.code == _CHARGING_END:
            book = self._station.book
            book.note_end(report.charge_point_no, report.transaction_no, report.at)

    def _on_record(self, report: r.RecordReceived) -> None:
        if self._station.crowded:
            # It could not be stored: the charge point keeps it and sends it again.
            return
        self._station.perform(on_record(self._station.book, self._station.alarms, report))

    def _on_tariff_held(self, report: r.TariffHeld) -> None:
        effects = Effects()
        version = self._station.tariffs.by_hash(report.content_hash)
        effects.changes.append(
            self._station.tariffs.confirm(report.charge_point_no, report.content_hash)
        )
        place = alarms.charge_point(report.charge_point_no)
        effects.add(
            self._station.alarms.clear_alarm("tariff_not_confirmed", place, report.at.wall_ms)
        )
        if version is not None:
            effects.events.append(
                e.TariffConfirmed(
                    occurred_at=from_ms(report.at.wall_ms),
                    charge_point_no=report.charge_point_no,
                    tariff_version_id=version.tariff_version_id,
                    model_no=report.model_no,
                    content_hash=report.content_hash,
                )
            )
        self._station.perform(effects)

    def _on_tariff_not_held(self, report: r.TariffNotHeld) -> None:
        place = alarms.charge_point(report.charge_point_no)
        self._station.perform(
            self._station.alarms.raise_alarm("tariff_not_confirmed", place, report.at.wall_ms)
        )

    def _on_clock(self, report: r.ClockRead) -> None:
        self._station.book.on_clock(report.charge_point_no, report.offset_ms)
        place, wall_ms = alarms.charge_point(report.charge_point_no), report.at.wall_ms
        offset_ms = report.offset_ms
        if offset_ms is not None and abs(offset_ms) <= self._station.timing.clock_tolerance_ms:
            self._station.perform(self._station.alarms.clear_alarm("clock_offset", place, wall_ms))
        else:
            offset_s = "?" if offset_ms is None else str(offset_ms // 1000)
            self._station.perform(
                self._station.alarms.raise_alarm("clock_offset", place, wall_ms, offset_s=offset_s)
            )

    def _on_bay_lock(self, report: r.BayLockReported) -> None:
        event = e.BayLockChanged(
            occurred_at=from_ms(report.at.wall_ms),
            charge_point_no=report.charge_point_no,
            connector_no=report.connector_no,
            position=report.position,
            occupied=report.occupied,
            battery_percent=report.battery_percent,
            alarm=report.alarm,
        )
        self._station.tell(event)

    def _on_wish_settled(self, report: r.WishSettled) -> None:
        self._station.perform(self._station.carrier.on_wish_settled(report))

    def _on_complaint(self, report: r.Complained) -> None:
        code = _COMPLAINT_ALARMS.get(report.code)
        if code is not None and report.charge_point_no:
            place = alarms.charge_point(report.charge_point_no)
            address = report.detail
            self._station.perform(
                self._station.alarms.raise_alarm(code, place, report.at.wall_ms, address=address)
            )
