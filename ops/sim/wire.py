"""What a simulated charge point says about a connector: its state as YKC messages."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from edge.devices.chargers.ykc.fields import BMS_CURRENT_ZERO_RAW, TEMPERATURE_OFFSET_C, Cp56Time
from edge.devices.chargers.ykc.messages import (
    BmsAbort,
    BmsDemand,
    BmsStatus,
    ChargerAbort,
    ChargingEnd,
    ErrorReport,
    Handshake,
    Parameters,
    Realtime,
    TransactionRecord,
)
from ops.sim.car import Car
from ops.sim.connector import BATTERY_TOO_HOT, FULL, STOPPED_BY_HAND, Charge, Connector
from ops.sim.faults import Faults
from ops.sim.meter import PERIODS
from shared.clock import from_ms

NO_TRANSACTION = "0" * 32
NO_CARD = "0" * 16
STATUS_FAULT, STATUS_IDLE, STATUS_CHARGING = 1, 2, 3
# Stop reason of a message that the car did not send -> its 2-bit field of 0x1B, from the lowest.
TIMEOUTS = {0x5A: 16, 0x5B: 20, 0x5C: 21, 0x5D: 24, 0x5E: 25}
_CABLE_AMBIENT_C = 27
_CHARGING_PERMITTED = 0x10


def cp56(device_ms: int, zone: tzinfo) -> Cp56Time:
    """Return an instant of the charge point's clock as it stands on the wire.

    A clock that began in 1970 sends the year 70, as real ones do.
    """
    local = from_ms(device_ms).astimezone(zone)
    return Cp56Time(
        local.second * 1000 + local.microsecond // 1000,
        local.minute,
        local.hour,
        local.day,
        local.month,
        local.year % 100,
    )


def _bms_current(current_da: int) -> int:
    # GB/T 27930 counts charging current as negative.
    return max(0, BMS_CURRENT_ZERO_RAW - current_da)


def _temperature(value_c: int) -> int:
    return min(255, max(1, value_c - TEMPERATURE_OFFSET_C))


def realtime(
    charge_point_no: str, connector: Connector, faults: Faults, now_ms: int, power_percent: int
) -> Realtime:
    """0x13: the connector as it is now."""
    charge, car = connector.charge, connector.car
    voltage_dv, current_da = connector.output(power_percent)
    faulty = faults.fault_bits or connector.isolated
    status = STATUS_CHARGING if charge else STATUS_FAULT if faulty else STATUS_IDLE
    energy_dwh = max(0, charge.split.energy_dwh - faults.meter_back_dwh) if charge else 0
    warming_c = (current_da // 10) ** 2 // 2500
    return Realtime(
        transaction_no=charge.transaction_no if charge else NO_TRANSACTION,
        charge_point_no=charge_point_no,
        connector_no=connector.number,
        status=status,
        holstered=0 if car else 1,
        plugged_in=1 if car else 0,
        voltage_dv=voltage_dv,
        current_da=current_da,
        cable_temp_raw=_temperature(_CABLE_AMBIENT_C + warming_c) if charge else 0,
        cable_no=NO_CARD,
        soc_percent=charge.car.soc_percent if charge else 0,
        battery_temp_max_raw=_temperature(charge.car.temp_high_c) if charge else 0,
        charged_min=_charged_min(charge, now_ms) if charge else 0,
        remaining_min=charge.car.remaining_min(current_da) if charge else 0,
        energy_dwh=energy_dwh,
        loss_adjusted_dwh=charge.model.loss_adjusted_dwh(energy_dwh) if charge else 0,
        amount_e4=charge.split.amount_e4 if charge else 0,
        faults_raw=faults.fault_bits,
    )


def _charged_min(charge: Charge, now_ms: int) -> int:
    return max(0, (charge.ended_ms or now_ms) - charge.started_ms) // 60_000


def handshake(charge_point_no: str, connector_no: int, charge: Charge) -> Handshake:
    """0x15: what battery it is."""
    car = charge.car
    return Handshake(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        bms_protocol_version="010100",
        battery_type=car.chemistry.battery_type,
        rated_capacity_dah=car.rated_capacity_dah,
        rated_voltage_dv=round(car.chemistry.full_v * car.cells * 10),
        manufacturer=car.manufacturer,
        battery_no=car.battery_no.to_bytes(4, "little").hex(),
        production_year_raw=38,
        production_month=4,
        production_day=18,
        charge_count=car.charge_count,
        owned=1,
        reserved=0,
        vin=car.vin,
        bms_software_version="01120be707ffffff",
    )


def parameters(charge_point_no: str, connector: Connector, charge: Charge) -> Parameters:
    """0x17: the limits of this battery and of this connector."""
    car = charge.car
    return Parameters(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector.number,
        cell_voltage_max_cv=round(car.chemistry.limit_v * 100),
        current_max_raw=_bms_current(round(car.current_max_a * 10)),
        nominal_energy_hwh=round(car.capacity_kwh * 10),
        voltage_max_dv=car.voltage_max_dv,
        temp_max_raw=_temperature(car.temp_max_c),
        soc_permille=min(1000, int(car.soc * 1000)),
        battery_voltage_dv=car.voltage_dv,
        output_voltage_max_dv=10000,
        output_voltage_min_dv=2000,
        output_current_max_raw=_bms_current(connector.rated_da),
        output_current_min_raw=BMS_CURRENT_ZERO_RAW,
    )


def demand(
    charge_point_no: str, connector: Connector, charge: Charge, now_ms: int, power_percent: int
) -> BmsDemand:
    """0x23: what the car asks for and gets."""
    car = charge.car
    voltage_dv, current_da = connector.output(power_percent)
    return BmsDemand(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector.number,
        voltage_demand_dv=car.voltage_max_dv,
        current_demand_raw=_bms_current(car.demand_da),
        charging_mode=1 if car.constant_voltage else 2,
        measured_voltage_dv=car.voltage_dv,
        measured_current_raw=_bms_current(current_da),
        cell_max_raw=round(car.cell_voltage_v * 100) & 0xFFF | 1 << 12,
        soc_percent=car.soc_percent,
        remaining_min=car.remaining_min(current_da),
        output_voltage_dv=voltage_dv,
        output_current_raw=_bms_current(current_da),
        charged_min=_charged_min(charge, now_ms),
    )


def status(charge_point_no: str, connector_no: int, charge: Charge) -> BmsStatus:
    """0x25: temperatures and alarm bits."""
    car = charge.car
    return BmsStatus(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        cell_voltage_max_no_raw=11,
        battery_temp_max_raw=_temperature(car.temp_high_c),
        temp_max_point_no_raw=3,
        battery_temp_min_raw=_temperature(car.temp_low_c),
        temp_min_point_no_raw=6,
        status_1_raw=0x40 if car.too_hot and car.protects_itself else 0,
        status_2_raw=_CHARGING_PERMITTED,
    )


def abort(charge_point_no: str, connector_no: int, charge: Charge) -> BmsAbort | ChargerAbort:
    """0x1D when the car ended the charge, else 0x21."""
    if charge.stop_reason in (FULL, BATTERY_TOO_HOT):
        hot = charge.stop_reason == BATTERY_TOO_HOT
        return BmsAbort(
            transaction_no=charge.transaction_no,
            charge_point_no=charge_point_no,
            connector_no=connector_no,
            reasons=0 if hot else 1,
            faults=1 << 8 if hot else 0,
            errors=0,
        )
    by_hand = charge.stop_reason == STOPPED_BY_HAND
    return ChargerAbort(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        reasons=1 << 2 if by_hand else 1,
        faults=0,
        errors=0,
    )


def error_report(charge_point_no: str, connector_no: int, charge: Charge) -> ErrorReport:
    """0x1B: which message of the car did not come in time; for a reason in `TIMEOUTS`."""
    return ErrorReport(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        errors=1 << 2 * TIMEOUTS[charge.stop_reason],
    )


def charging_end(charge_point_no: str, connector_no: int, charge: Charge) -> ChargingEnd:
    """0x19: the battery at the end."""
    car: Car = charge.car
    cell_cv = round(car.cell_voltage_v * 100)
    return ChargingEnd(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        soc_percent=car.soc_percent,
        cell_voltage_min_cv=cell_cv - 2,
        cell_voltage_max_cv=cell_cv,
        battery_temp_min_raw=_temperature(car.temp_low_c),
        battery_temp_max_raw=_temperature(car.temp_high_c),
        charged_min=min(600, _charged_min(charge, charge.ended_ms)),
        energy_hwh=min(10000, charge.split.energy_dwh // 1000),
        charger_no=connector_no,
    )


def record(
    charge_point_no: str,
    connector: Connector,
    charge: Charge,
    faults: Faults,
    times: tuple[Cp56Time, Cp56Time],
) -> TransactionRecord:
    """0x3B: the bill as the charge point has it, including whatever it lies about.

    `times` are start and end by the charge point's clock.
    """
    split, model = charge.split, charge.model
    amounts_e4 = split.amounts_e4
    if faults.rounds_to_fen:
        amounts_e4 = [amount_e4 // 100 * 100 for amount_e4 in amounts_e4]
    parts: dict[str, Any] = {}
    for number, period in enumerate(PERIODS):
        energy_dwh = split.period_dwh[number]
        parts[f"{period}_price_e5"] = model.unit_price_e5(number)
        parts[f"{period}_energy_dwh"] = energy_dwh
        parts[f"{period}_loss_adjusted_dwh"] = model.loss_adjusted_dwh(energy_dwh)
        parts[f"{period}_amount_e4"] = amounts_e4[number]
    energy_dwh = max(0, split.energy_dwh + faults.add_energy_dwh)
    meter_end_dwh = charge.meter_start_dwh + split.energy_dwh - faults.meter_back_dwh
    return TransactionRecord(
        transaction_no=charge.transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector.number,
        started_at=times[0],
        ended_at=times[1],
        meter_start_dwh=charge.meter_start_dwh,
        meter_end_dwh=max(0, meter_end_dwh),
        energy_dwh=energy_dwh,
        loss_adjusted_dwh=model.loss_adjusted_dwh(energy_dwh),
        amount_e4=max(0, sum(amounts_e4) + faults.add_amount_e4),
        vin=charge.car.vin,
        start_mode=charge.start_mode,
        transaction_time=times[1],
        stop_reason=charge.stop_reason,
        physical_card=charge.physical_card or NO_CARD,
        **parts,
    )
