"""What the station does with each report of a charge point, after the safety engine."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from edge.bus import EventBus
from edge.devices.chargers import reports as r
from edge.devices.chargers.wishes import DecideLogin
from edge.safety.latches import Latch
from edge.station import alarms
from edge.station.effects import Effects
from edge.station.records import on_record
from edge.station.registry import Waiting
from edge.station.samples import demand_sample, meter_sample, status_sample
from shared.clock import from_ms
from shared.contracts import events as e

if TYPE_CHECKING:
    from edge.station.core import ChargePoints, Station

_CHARGING_END = 0x19
_COMPLAINT_ALARMS = {
    "duplicate": "duplicate_charge_point",
    "garbage": "charge_point_garbage",
    "encrypted": "encryption_unsupported",
    "record_foreign": "record_foreign",
}
_MINUTE_MS = 60_000


class Hearing:
    """One handler a kind of report; each ends in `Station.perform`."""

    def __init__(self, station: Station, charge_points: ChargePoints) -> None:
        self._station = station
        self._charge_points = charge_points

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
        bus.subscribe("station", self._on_stopped, r.ChargingStopped)
        bus.subscribe("station", self._on_record, r.RecordReceived)
        bus.subscribe("station", self._on_tariff_held, r.TariffHeld)
        bus.subscribe("station", self._on_tariff_not_held, r.TariffNotHeld)
        bus.subscribe("station", self._on_clock, r.ClockRead)
        bus.subscribe("station", self._on_bay_lock, r.BayLockReported)
        bus.subscribe("station", self._on_wish_settled, r.WishSettled)
        bus.subscribe("station", self._on_complaint, r.Complained)

    def _on_sample(self, report: r.ConnectorSampled) -> None:
        connector = (report.charge_point_no, report.connector_no)
        effects = self._station.book.on_sample(report)
        transaction = (
            self._station.book.by_number(report.transaction_no) if report.transaction_no else None
        )
        transaction_id = transaction.transaction_id if transaction else None
        if not report.replayed:
            amount_fen = 0
            if transaction is not None:
                passed_ms = report.at.wall_ms - (transaction.started_ms or report.at.wall_ms)
                minutes = max(passed_ms, 0) // _MINUTE_MS
                amount_fen = self._station.book.amount_fen(transaction, report.amount_e4, minutes)
            changed = self._station.live.on_sample(report, transaction_id, amount_fen)
            if changed is not None:
                effects = effects or Effects()
                effects.add(changed)
                effects.add(self._on_fault_bits(report))
            if not report.plugged_in and (latch := self._station.latches.get(connector)):
                effects = effects or Effects()
                effects.add(self._release_if_unplugged(latch, report.at))
        self._station.add_sample(meter_sample(report, transaction_id))
        if effects is not None:
            self._station.perform(effects)

    def _on_fault_bits(self, report: r.ConnectorSampled) -> Effects:
        place = alarms.connector(report.charge_point_no, report.connector_no)
        if report.state is r.WireState.FAULT or report.faults:
            faults = f"0x{report.faults:04X}"
            return self._station.alarms.raise_alarm(
                "charge_point_fault", place, report.at.wall_ms, faults=faults
            )
        return self._station.alarms.clear_alarm("charge_point_fault", place, report.at.wall_ms)

    def _release_if_unplugged(self, latch: Latch, now: r.Moment) -> Effects:
        if not latch.until_unplugged:
            return Effects()
        return self._station.release(latch.place, now)

    def _on_demand(self, report: r.BmsDemanded) -> None:
        self._station.add_sample(demand_sample(report, self._transaction_id(report.transaction_no)))

    def _on_bms(self, report: r.BmsSampled) -> None:
        self._station.add_sample(status_sample(report, self._transaction_id(report.transaction_no)))

    def _transaction_id(self, transaction_no: str) -> UUID | None:
        transaction = self._station.book.by_number(transaction_no)
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
                open_transaction_nos=tuple(
                    transaction.transaction_no
                    for transaction in self._station.book.open_transactions()
                    if transaction.charge_point_no == number
                ),
            )
        )

    def _quarantine(self, report: r.LoginRequested) -> None:
        number = report.charge_point_no
        first_time = number not in self._station.registry.waiting
        self._station.registry.waiting[number] = Waiting(
            number, report.address, report.firmware, report.connector_count, report.at.wall_ms
        )
        if first_time:
            event = e.ChargePointQuarantined(
                occurred_at=from_ms(report.at.wall_ms),
                charge_point_no=number,
                address=report.address,
                firmware=report.firmware,
            )
            self._station.tell(event)

    def _on_logged_in(self, report: r.LoggedIn) -> None:
        number = report.charge_point_no
        self._station.lost_since_s.pop(number, None)
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
        self._station.lost_since_s.setdefault(number, report.at.mono_s)
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
        self._station.perform(self._station.book.on_battery(report))

    def _on_start_requested(self, report: r.StartRequested) -> None:
        self._station.perform(self._station.starts.on_request(report))

    def _on_start_answered(self, report: r.StartAnswered) -> None:
        effects = self._station.book.on_start_answered(report)
        effects.add(self._station.carrier.on_start_answered(report))
        self._station.perform(effects)

    def _on_stopped(self, report: r.ChargingStopped) -> None:
        if report.code == _CHARGING_END:
            self._station.book.note_end(report.transaction_no, report.at)

    def _on_record(self, report: r.RecordReceived) -> None:
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
        self._station.book.clock_offsets_ms[report.charge_point_no] = report.offset_ms
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
