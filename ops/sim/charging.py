"""The life of a charge at a connector: begin, report, stop, record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edge.devices.chargers.ykc.messages import (
    BalanceUpdate,
    BalanceUpdateAnswer,
    Message,
    RemoteStop,
    RemoteStopAnswer,
)
from ops.sim import wire
from ops.sim.book import BookEntry, Progress, Started
from ops.sim.car import Car
from ops.sim.connector import (
    POWER_LOST,
    START_WITHOUT_BALANCE,
    STOPPED_REMOTELY,
    Charge,
    Connector,
    Limits,
)
from ops.sim.meter import BillingModel, PeriodSplit

if TYPE_CHECKING:
    from ops.sim.machine import Machine

_WRONG_NUMBER, _NOT_CHARGING, _OTHER = 1, 2, 3  # 0x35


class Charges:
    """Runs the charges of all connectors of one charge point."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def handlers(self) -> dict[type[Message], Callable[[Any, bytes], None]]:
        """Return who handles which frame."""
        return {RemoteStop: self._on_remote_stop, BalanceUpdate: self._on_balance}

    def start(
        self,
        connector: Connector,
        car: Car,
        model: BillingModel,
        *,
        transaction_no: str,
        start_mode: int,
        physical_card: str = "",
        balance_fen: int | None = None,
        limits: Limits | None = None,
        parallel_no: str = "",
    ) -> None:
        """Execute an authorised start. From here on a record will be made, whatever happens."""
        machine = self._machine
        now_ms = machine.now_ms()
        charge = Charge(
            transaction_no=transaction_no,
            start_mode=start_mode,
            physical_card=physical_card,
            car=car,
            split=PeriodSplit(model, connector.meter.reading_dwh),
            started_ms=now_ms,
            device_started_ms=machine.device_ms(),
            meter_start_dwh=connector.meter.reading_dwh,
            balance_fen=balance_fen,
            limits=limits or Limits(),
            parallel_no=parallel_no,
        )
        machine.book.write(
            Started(
                transaction_no=transaction_no,
                charge_point_no=machine.no,
                connector_no=connector.number,
                start_mode=start_mode,
                physical_card=physical_card,
                vin=car.vin,
                started_ms=now_ms,
                device_started_ms=charge.device_started_ms,
                meter_start_dwh=charge.meter_start_dwh,
                model=model,
            )
        )
        connector.charge = charge
        machine.emit("starting", connector_no=connector.number, transaction_no=transaction_no)
        number = connector.number
        machine.timers.set(f"start:{number}", machine.timing.start_s, lambda: self._begin(number))

    def _begin(self, number: int) -> None:
        machine = self._machine
        connector = machine.connectors[number]
        charge = connector.charge
        if charge is None:
            return
        failure = machine.faults.start_failure
        if not failure and charge.balance_fen is not None and charge.balance_fen <= 0:
            failure = START_WITHOUT_BALANCE
        if failure:
            charge.stop_reason = failure
            if machine.session.ready and failure in wire.TIMEOUTS:
                machine.send(wire.error_report(machine.no, number, charge))
            self._finish(connector)
            return
        if machine.session.ready:
            machine.send(wire.handshake(machine.no, number, charge))
            machine.send(wire.parameters(machine.no, connector, charge))
        charge.car.connectors_in_use += 1
        connector.begin(machine.now_ms())
        machine.emit("charging", connector_no=number, transaction_no=charge.transaction_no)
        self._report(number)
        self._step(number)

    def _step(self, number: int) -> None:
        if self.update(number):
            machine = self._machine
            machine.timers.set(f"step:{number}", machine.timing.step_s, lambda: self._step(number))

    def update(self, number: int) -> bool:
        """Charge up to now. Returns whether the charge still runs."""
        machine = self._machine
        connector = machine.connectors[number]
        charge = connector.charge
        if charge is None:
            return False
        reason = connector.advance(machine.now_ms(), machine.clock_offset_ms, machine.power_percent)
        if not reason:
            return True
        charge.stop_reason = charge.stop_reason or reason
        self._finish(connector)
        return False

    def _report(self, number: int) -> None:
        """Send 0x13, 0x23 and 0x25 of a running charge, and set the timer for the next."""
        machine = self._machine
        if not self.update(number):
            return
        connector = machine.connectors[number]
        charge = connector.charge
        if charge is None:
            return
        machine.timers.set(
            f"report:{number}", machine.timing.charging_report_s, lambda: self._report(number)
        )
        self._note_progress(connector, charge)
        machine.session.report(number)
        if not machine.session.ready or not charge.flowing:
            return
        now_ms, percent = machine.now_ms(), machine.power_percent
        machine.send(wire.demand(machine.no, connector, charge, now_ms, percent))
        machine.send(wire.status(machine.no, number, charge))
        if charge.car.too_hot and not charge.announced_hot:
            charge.announced_hot = True
            machine.emit(
                "over_temperature",
                connector_no=number,
                transaction_no=charge.transaction_no,
                temperature_c=charge.car.temp_high_c,
                limit_c=charge.car.temp_max_c,
            )

    def _note_progress(self, connector: Connector, charge: Charge) -> None:
        machine = self._machine
        machine.book.write(
            Progress(
                transaction_no=charge.transaction_no,
                at_ms=machine.now_ms(),
                device_ms=machine.device_ms(),
                meter_dwh=connector.meter.reading_dwh,
                period_dwh=tuple(charge.split.period_dwh),
            ),
            sync=False,
        )

    def stop(self, number: int, reason: int, *, at_once: bool = False) -> bool:
        """End the charge at a connector, and those that are parallel to it.

        Returns False when none runs. The current ends after the ramp, or `at_once`.
        """
        machine = self._machine
        connector = machine.connectors[number]
        charge = connector.charge
        if charge is None:
            return False
        if not charge.stop_reason:
            charge.stop_reason = reason
            machine.emit(
                "stopping",
                connector_no=number,
                transaction_no=charge.transaction_no,
                reason=reason,
            )
            self._stop_parallel(charge, reason)
        if at_once or not charge.flowing:
            if self.update(number):
                self._finish(connector)
        elif not machine.timers.running(f"stop:{number}"):
            machine.timers.set(
                f"stop:{number}", machine.timing.ramp_down_s, lambda: self._ramped(number)
            )
        return True

    def _stop_parallel(self, charge: Charge, reason: int) -> None:
        if not charge.parallel_no:
            return
        for other in self._machine.connectors.values():
            running = other.charge
            if running is not None and running.parallel_no == charge.parallel_no:
                self.stop(other.number, reason)

    def _ramped(self, number: int) -> None:
        if self.update(number):
            self._finish(self._machine.connectors[number])

    def _finish(self, connector: Connector) -> None:
        """Current is zero now: say so, make the record durable and send it."""
        machine = self._machine
        charge, number = connector.charge, connector.number
        if charge is None:
            return
        if charge.flowing:
            connector.cut(machine.now_ms())
        flowed = charge.ended_ms > 0
        charge.ended_ms = charge.ended_ms or machine.now_ms()
        for timer in ("start", "step", "report", "stop"):
            machine.timers.cancel(f"{timer}:{number}")
        if flowed:
            charge.car.connectors_in_use -= 1
            machine.session.report(number)
        machine.emit(
            "zero_current",
            connector_no=number,
            transaction_no=charge.transaction_no,
            reason=charge.stop_reason,
        )
        if flowed and machine.session.ready:
            machine.send(wire.abort(machine.no, number, charge))
            machine.send(wire.charging_end(machine.no, number, charge))
        connector.charge = None
        self._stop_parallel(charge, charge.stop_reason)
        entry = self._entry(connector, charge, machine.clock_offset_ms)
        machine.book.write(entry)
        machine.session.report(number)
        machine.records.send(entry)
        machine.emit(
            "ended",
            connector_no=number,
            transaction_no=charge.transaction_no,
            energy_dwh=charge.split.energy_dwh,
            reason=charge.stop_reason,
        )
        machine.device.maybe_reboot()

    def _entry(self, connector: Connector, charge: Charge, clock_offset_ms: int) -> BookEntry:
        machine = self._machine
        device_ended_ms = charge.ended_ms + clock_offset_ms
        times = (
            wire.cp56(charge.device_started_ms, machine.zone),
            wire.cp56(device_ended_ms, machine.zone),
        )
        message = wire.record(machine.no, connector, charge, machine.faults, times)
        return BookEntry(
            transaction_no=charge.transaction_no,
            charge_point_no=machine.no,
            connector_no=connector.number,
            start_mode=charge.start_mode,
            physical_card=charge.physical_card,
            vin=charge.car.vin,
            started_ms=charge.started_ms,
            ended_ms=charge.ended_ms,
            device_started_ms=charge.device_started_ms,
            device_ended_ms=device_ended_ms,
            model_no=charge.model.model_no,
            period_prices_e5=tuple(part.price_e5 for part in message.periods),
            period_dwh=tuple(part.energy_dwh for part in message.periods),
            period_amounts_e4=tuple(part.amount_e4 for part in message.periods),
            meter_start_dwh=message.meter_start_dwh,
            meter_end_dwh=message.meter_end_dwh,
            energy_dwh=message.energy_dwh,
            amount_e4=message.amount_e4,
            true_energy_dwh=charge.split.energy_dwh,
            stop_reason=charge.stop_reason,
            body_hex=message.build().hex(),
        )

    def lose_power(self) -> None:
        """End everything at once, as a power cut or a reboot does."""
        for number in self._machine.connectors:
            self.stop(number, POWER_LOST, at_once=True)

    def recover(self) -> None:
        """Make the records of charges that ran when the simulator itself was killed."""
        machine = self._machine
        contents = machine.book.contents
        for started in list(contents.open.values()):
            if started.charge_point_no != machine.no:
                continue
            progress = contents.progress.get(started.transaction_no)
            split = PeriodSplit(started.model, started.meter_start_dwh)
            if progress is not None:
                split.period_dwh = list(progress.period_dwh)
            charge = Charge(
                transaction_no=started.transaction_no,
                start_mode=started.start_mode,
                physical_card=started.physical_card,
                car=Car(vin=started.vin),
                split=split,
                started_ms=started.started_ms,
                device_started_ms=started.device_started_ms,
                meter_start_dwh=started.meter_start_dwh,
                balance_fen=None,
                ended_ms=progress.at_ms if progress else started.started_ms,
                stop_reason=POWER_LOST,
            )
            offset_ms = (
                progress.device_ms - progress.at_ms
                if progress
                else started.device_started_ms - started.started_ms
            )
            connector = machine.connectors.get(started.connector_no)
            if connector is not None:
                machine.book.write(self._entry(connector, charge, offset_ms))

    def _on_remote_stop(self, message: RemoteStop, sequence: bytes) -> None:
        machine, faults = self._machine, self._machine.faults
        number = message.connector_no
        connector = machine.connectors.get(number)
        charge = connector.charge if connector is not None else None
        machine.emit(
            "remote_stop",
            connector_no=number if connector is not None else 0,
            transaction_no=charge.transaction_no if charge else "",
        )
        if faults.ignore_stop:
            return
        reason = 0
        if message.charge_point_no != machine.no:
            reason = _WRONG_NUMBER
        elif charge is None:
            reason = _NOT_CHARGING
        elif faults.stop_refused:
            reason = _OTHER
        machine.send(
            RemoteStopAnswer(
                charge_point_no=machine.no,
                connector_no=number,
                result=int(reason == 0),
                reason=reason,
            ),
            sequence,
        )
        if reason == 0 and not faults.false_stop:
            self.stop(number, STOPPED_REMOTELY)

    def _on_balance(self, message: BalanceUpdate, sequence: bytes) -> None:
        machine = self._machine
        connector = machine.connectors.get(message.connector_no)
        charge = connector.charge if connector is not None else None
        result = 0
        if message.charge_point_no != machine.no or charge is None:
            result = 1
        elif message.physical_card not in (wire.NO_CARD, charge.physical_card):
            result = 2
        elif charge is not None:
            charge.balance_fen = message.balance_fen
        machine.send(
            BalanceUpdateAnswer(
                charge_point_no=machine.no, physical_card=message.physical_card, result=result
            ),
            sequence,
        )
