"""YKC's words and units to the station's reports and back; the only file that knows both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

from edge.devices.chargers.reports import (
    WIRE_STATES,
    BatteryIdentified,
    BatteryLimits,
    BayLockReported,
    BmsDemanded,
    BmsSampled,
    ChargingStopped,
    ConnectorSampled,
    Moment,
    StartRequested,
    WireState,
)
from edge.devices.chargers.wishes import HeldTariff
from edge.devices.chargers.ykc import codes, messages
from edge.devices.chargers.ykc.dialect import Dialect
from edge.devices.chargers.ykc.fields import (
    TEMPERATURES_C,
    Cp56Time,
    bms_current_da,
    clean_text,
    temperature_c,
)
from shared.clock import from_ms, to_ms
from shared.contracts.events import PeriodTotals, Record
from shared.contracts.words import RefusalReason, TokenKind
from shared.tariff import PERIODS, SLOTS_PER_DAY, Period, PeriodPrice

NO_TRANSACTION = "0" * 32
NO_CARD = "0" * 16
FAULT_BIT_BASE = 2  # reports count fault k as 1 << k
_OLDEST_TRUSTED = datetime(2020, 1, 1, tzinfo=UTC)
_FUTURE_MS = 60_000
_FOLD_MAX = timedelta(hours=3)
_KNOWN_STATES = len(WIRE_STATES) - 1

_TOKEN_KINDS = {1: TokenKind.CARD, 2: TokenKind.ACCOUNT, 3: TokenKind.VIN}
REFUSAL_CODES: dict[RefusalReason, int] = {
    RefusalReason.NONE: 0,
    RefusalReason.UNKNOWN_TOKEN: 1,
    RefusalReason.TOKEN_FROZEN: 2,
    RefusalReason.LIMIT_REACHED: 3,
    RefusalReason.UNSETTLED: 4,
    RefusalReason.OUT_OF_SERVICE: 5,
    RefusalReason.NOT_ALLOWED_HERE: 6,
    RefusalReason.WRONG_PASSWORD: 7,
    RefusalReason.NO_CAPACITY: 8,
    RefusalReason.UNKNOWN_VIN: 9,
}
_LOCK_POSITIONS = {0x00: "between", 0x55: "raised", 0xFF: "lowered"}
_LOCK_ALARMS = {0x00: "", 0x55: "arm_movement_abnormal", 0xFF: "arm_broken"}
_FREE = PeriodPrice(0, 0)
_SLOT_NUMBERS = {"S": 0, "P": 1, "F": 2, "V": 3}

Stop = messages.ChargingEnd | messages.ErrorReport | messages.BmsAbort | messages.ChargerAbort


def transaction_no(wire: str) -> str:
    """Return a transaction number, "" for the wire's zeros."""
    return "" if wire == NO_TRANSACTION else wire


def connector_sampled(
    message: messages.Realtime,
    at: Moment,
    charge_point_no: str,
    dialect: Dialect,
    *,
    replayed: bool,
    dated: bool,
) -> ConnectorSampled:
    """Return what 0x13 says. Energy with loss falls back to the plain one, as many send 0."""
    faults = message.faults_raw
    if faults and dialect.fault_bit_base != FAULT_BIT_BASE:
        faults <<= 1
    number = message.transaction_no
    state = message.status
    return ConnectorSampled(
        at,
        charge_point_no,
        message.connector_no,
        "" if number == NO_TRANSACTION else number,
        WIRE_STATES[state] if state < _KNOWN_STATES else WireState.UNKNOWN,
        message.plugged_in == 1,
        message.voltage_dv,
        message.current_da,
        message.energy_dwh,
        message.loss_adjusted_dwh or message.energy_dwh,
        message.amount_e4,
        message.soc_percent,
        TEMPERATURES_C[message.cable_temp_raw],
        TEMPERATURES_C[message.battery_temp_max_raw],
        message.charged_min,
        message.remaining_min,
        faults,
        replayed,
        dated,
    )


def battery_identified(message: messages.Handshake, at: Moment) -> BatteryIdentified:
    """Return what 0x15 says."""
    return BatteryIdentified(
        at,
        message.charge_point_no,
        message.connector_no,
        transaction_no(message.transaction_no),
        clean_text(message.vin),
        message.battery_type,
        message.rated_capacity_dah,
        message.rated_voltage_dv,
    )


def battery_limits(message: messages.Parameters, at: Moment) -> BatteryLimits:
    """Return what 0x17 says; 0 means *not given* there."""
    return BatteryLimits(
        at,
        message.charge_point_no,
        message.connector_no,
        transaction_no(message.transaction_no),
        message.cell_voltage_max_cv or None,
        message.temp_max_c,
        message.current_max_da,
        message.voltage_max_dv or None,
        message.nominal_energy_hwh or None,
        message.soc_permille or None,
    )


def bms_demanded(message: messages.BmsDemand, at: Moment) -> BmsDemanded:
    """Return what 0x23 says."""
    cell = message.cell_max_raw
    return BmsDemanded(
        at,
        message.charge_point_no,
        message.connector_no,
        transaction_no(message.transaction_no),
        message.voltage_demand_dv,
        bms_current_da(message.current_demand_raw),
        message.charging_mode,
        message.measured_voltage_dv,
        bms_current_da(message.measured_current_raw),
        cell & 0xFFF,
        cell >> 12,
        message.soc_percent,
        message.remaining_min,
        message.output_voltage_dv,
        bms_current_da(message.output_current_raw),
        message.charged_min,
    )


def bms_sampled(message: messages.BmsStatus, at: Moment) -> BmsSampled:
    """Return what 0x25 says."""
    return BmsSampled(
        at,
        message.charge_point_no,
        message.connector_no,
        transaction_no(message.transaction_no),
        message.cell_voltage_max_no_raw + 1,
        temperature_c(message.battery_temp_max_raw),
        message.temp_max_point_no_raw + 1,
        temperature_c(message.battery_temp_min_raw),
        message.temp_min_point_no_raw + 1,
        message.status_1_raw,
        message.status_2_raw,
    )


def charging_stopped(message: Stop, at: Moment) -> ChargingStopped:
    """Return what 0x19, 0x1B, 0x1D or 0x21 says, the set bits in words."""
    at_end = message if isinstance(message, messages.ChargingEnd) else None
    return ChargingStopped(
        at,
        message.charge_point_no,
        message.connector_no,
        transaction_no(message.transaction_no),
        message.KIND,
        _stop_detail(message),
        # As everywhere in 0x17: raw 0 is not given.
        (at_end.cell_voltage_min_cv or None) if at_end else None,
        (at_end.cell_voltage_max_cv or None) if at_end else None,
    )


def _stop_detail(message: Stop) -> str:
    match message:
        case messages.ChargingEnd():
            return f"soc_percent={message.soc_percent} charged_min={message.charged_min}"
        case messages.ErrorReport():
            return _words((message.errors, codes.CAN_ERRORS))
        case messages.BmsAbort():
            return _words(
                (message.reasons, codes.BMS_ABORT_REASONS),
                (message.faults, codes.BMS_ABORT_FAULTS),
                (message.errors, codes.BMS_ABORT_ERRORS),
            )
        case messages.ChargerAbort():
            return _words(
                (message.reasons, codes.CHARGER_ABORT_REASONS),
                (message.faults, codes.CHARGER_ABORT_FAULTS),
                (message.errors, codes.CHARGER_ABORT_ERRORS),
            )


def _words(*fields: tuple[int, dict[int, codes.Text]]) -> str:
    """Return the names of all 2-bit values that are set (1); 2 means that nobody knows."""
    return "; ".join(
        (table.get(index) or codes.unknown_text(index)).en
        for value, table in fields
        for index, bits in codes.two_bit_values(value).items()
        if bits == 1
    )


def start_requested(
    message: messages.StartRequest | messages.ParallelStartRequest,
    at: Moment,
    request_no: int,
    raw: bytes,
) -> StartRequested:
    """Return what 0x31 or 0xA1 asks. An unknown way to start counts as a card."""
    kind = _TOKEN_KINDS.get(message.start_mode, TokenKind.CARD)
    parallel_no, is_main = "", True
    if isinstance(message, messages.ParallelStartRequest):
        parallel_no, is_main = message.parallel_no, message.role == 0
    return StartRequested(
        at,
        message.charge_point_no,
        message.connector_no,
        request_no,
        kind,
        clean_text(message.vin) if kind is TokenKind.VIN else message.physical_card,
        clean_text(message.password) if message.password_needed else "",
        parallel_no,
        is_main,
        raw,
    )


def bay_lock_reported(message: messages.BayLockReport, at: Moment) -> BayLockReported:
    """Return what 0x61 says."""
    return BayLockReported(
        at,
        message.charge_point_no,
        message.connector_no,
        _LOCK_POSITIONS.get(message.lock_status, "between"),
        message.bay_status != 0,
        message.battery_percent,
        _LOCK_ALARMS.get(message.alarm, f"code_{message.alarm:02x}"),
    )


def instant(time: Cp56Time, zone: tzinfo, near: datetime) -> datetime | None:
    """Return a charge point's time in UTC; None when it says itself, or one sees, that it is none.

    A clock that lost its battery counts from 1970 or 2000: nothing before 2020 is believed.
    """
    if time.invalid:
        return None
    try:
        found = time.to_utc(zone, near)
    except (OverflowError, ValueError):
        return None
    return found if found is not None and found >= _OLDEST_TRUSTED else None


def _instant_by(time: Cp56Time, zone: tzinfo, latest: datetime) -> datetime | None:
    """Return a time as `instant` does; in a fold the last one that is not after `latest`."""
    found = instant(time, zone, latest)
    if found is not None and found > latest:
        return instant(time, zone, found - _FOLD_MAX)
    return found


def clock_offset_ms(time: Cp56Time, zone: tzinfo, at: Moment) -> int | None:
    """Return how far a charge point's clock is ahead of ours; None when it is no time."""
    found = instant(time, zone, from_ms(at.wall_ms))
    return None if found is None else to_ms(found) - at.wall_ms


def record(message: messages.TransactionRecord, zone: tzinfo, at: Moment) -> tuple[Record, bool]:
    """Return 0x3B decoded, nothing corrected, and whether its times cannot be right."""
    latest = from_ms(at.wall_ms + _FUTURE_MS)
    ended_at = _instant_by(message.ended_at, zone, latest)
    started_at = _instant_by(message.started_at, zone, ended_at or latest)
    suspect = (
        started_at is None
        or ended_at is None
        or ended_at < started_at
        or to_ms(ended_at) > at.wall_ms + _FUTURE_MS
    )
    sharp, peak, flat, valley = (PeriodTotals(*part) for part in message.periods)
    decoded = Record(
        transaction_no=transaction_no(message.transaction_no),
        charge_point_no=message.charge_point_no,
        connector_no=message.connector_no,
        started_at=started_at,
        ended_at=ended_at,
        periods=(sharp, peak, flat, valley),
        meter_start_dwh=message.meter_start_dwh,
        meter_end_dwh=message.meter_end_dwh,
        energy_dwh=message.energy_dwh,
        loss_energy_dwh=message.loss_adjusted_dwh,
        amount_e4=message.amount_e4,
        vin=clean_text(message.vin),
        start_flag=message.start_mode,
        stop_reason=message.stop_reason,
        physical_card_no="" if message.physical_card == NO_CARD else message.physical_card,
    )
    return decoded, suspect


def tariff_no(model_no: int) -> str:
    """Return a model number as the wire has it."""
    return f"{model_no:04d}"


def tariff_body(
    kind: type[messages.TariffBody], charge_point_no: str, held: HeldTariff
) -> messages.TariffBody:
    """Return 0x0A or 0x58; a period that the tariff does not use costs nothing.

    Prices a minute have no place in YKC.

    Raises:
        ValueError: Not 48 slots with known letters.
    """
    slots = held.tariff.slots
    if len(slots) != SLOTS_PER_DAY or not set(slots) <= set(_SLOT_NUMBERS):
        raise ValueError("tariff: slots are not 48 of S, P, F, V")
    prices = {period: held.tariff.prices.get(period) or _FREE for period in PERIODS}
    return kind(
        charge_point_no,
        tariff_no(held.model_no),
        prices[Period.SHARP].energy_price_e5,
        prices[Period.SHARP].service_price_e5,
        prices[Period.PEAK].energy_price_e5,
        prices[Period.PEAK].service_price_e5,
        prices[Period.FLAT].energy_price_e5,
        prices[Period.FLAT].service_price_e5,
        prices[Period.VALLEY].energy_price_e5,
        prices[Period.VALLEY].service_price_e5,
        loss_ratio=0,
        slots=bytes(_SLOT_NUMBERS[letter] for letter in slots),
    )
