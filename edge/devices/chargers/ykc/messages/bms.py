"""What the car's battery management system says during a DC charge (GB/T 27930 inside YKC)."""

from __future__ import annotations

from edge.devices.chargers.ykc.fields import (
    U8,
    U16,
    U24,
    U32,
    U64,
    ChargePointNo,
    Connector,
    Hex3,
    Hex4,
    Hex8,
    Text4,
    TransactionNo,
    Vin,
    bms_current_da,
    temperature_c,
    two_bits,
)
from edge.devices.chargers.ykc.messages.base import Message, uplink

_FIRST_PRODUCTION_YEAR = 1985


@uplink(0x15, "charging handshake", "充电握手")
class Handshake(Message, frozen=True, gc=False):
    """BRM: what battery it is; once after the start."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    bms_protocol_version: Hex3  # as on the CAN bus: 010100 = V1.1
    battery_type: U8  # see codes.BATTERY_TYPES
    rated_capacity_dah: U16  # 0.1 Ah
    rated_voltage_dv: U16
    manufacturer: Text4
    battery_no: Hex4  # the maker's serial number
    production_year_raw: U8
    production_month: U8
    production_day: U8
    charge_count: U24
    owned: U8  # 0 leased, 1 owned
    reserved: U8
    vin: Vin
    bms_software_version: Hex8

    @property
    def production_year(self) -> int | None:
        """Year the battery was made, None when not given."""
        return (
            _FIRST_PRODUCTION_YEAR + self.production_year_raw if self.production_year_raw else None
        )


@uplink(0x17, "parameter configuration", "参数配置")
class Parameters(Message, frozen=True, gc=False):
    """BCP and CML: the limits of this battery and of the charger; once after the handshake.

    0 in any limit means *not given*.
    """

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    cell_voltage_max_cv: U16
    current_max_raw: U16
    nominal_energy_hwh: U16  # 0.1 kWh
    voltage_max_dv: U16
    temp_max_raw: U8
    soc_permille: U16  # 0.1 %
    battery_voltage_dv: U16
    output_voltage_max_dv: U16
    output_voltage_min_dv: U16
    output_current_max_raw: U16
    output_current_min_raw: U16

    @property
    def current_max_da(self) -> int | None:
        """Highest current that the battery allows, None when not given."""
        return _limit_da(self.current_max_raw)

    @property
    def temp_max_c(self) -> int | None:
        """Highest temperature that the battery allows in °C, None when not given."""
        return temperature_c(self.temp_max_raw)

    @property
    def output_current_max_da(self) -> int | None:
        """Highest current that the charger can give, None when not given."""
        return _limit_da(self.output_current_max_raw)

    @property
    def output_current_min_da(self) -> int | None:
        """Lowest current that the charger can give, None when not given."""
        return _limit_da(self.output_current_min_raw)


def _limit_da(raw: int) -> int | None:
    return bms_current_da(raw) if raw else None


@uplink(0x19, "charging end", "充电结束")
class ChargingEnd(Message, frozen=True, gc=False):
    """BSD and CSD: the battery at the end."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    soc_percent: U8
    cell_voltage_min_cv: U16
    cell_voltage_max_cv: U16
    battery_temp_min_raw: U8
    battery_temp_max_raw: U8
    charged_min: U16
    energy_hwh: U16  # 0.1 kWh
    charger_no: U32  # "offset 1" in the document, kept as sent

    @property
    def battery_temp_min_c(self) -> int | None:
        """Lowest battery temperature in °C, None when not given."""
        return temperature_c(self.battery_temp_min_raw)

    @property
    def battery_temp_max_c(self) -> int | None:
        """Highest battery temperature in °C, None when not given."""
        return temperature_c(self.battery_temp_max_raw)


@uplink(0x1B, "error message", "错误报文")
class ErrorReport(Message, frozen=True, gc=False):
    """BEM and CEM: which messages between car and charger did not come in time."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    errors: U64  # eight bytes, lowest first, of 2-bit values; see codes.CAN_ERRORS


@uplink(0x1D, "BMS abort", "充电阶段BMS中止")
class BmsAbort(Message, frozen=True, gc=False):
    """BST: the car ended the charge. 2-bit values; see codes.BMS_ABORT_*."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    reasons: U8
    faults: U16
    errors: U8


@uplink(0x21, "charger abort", "充电阶段充电机中止")
class ChargerAbort(Message, frozen=True, gc=False):
    """CST: the charger ended the charge. 2-bit values; see codes.CHARGER_ABORT_*."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    reasons: U8
    faults: U16
    errors: U8


@uplink(0x23, "BMS demand and charger output", "BMS需求、充电机输出")
class BmsDemand(Message, frozen=True, gc=False):
    """BCL, BCS and CCS: what the battery asks for and gets; every 15 s while charging."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    voltage_demand_dv: U16
    current_demand_raw: U16
    charging_mode: U8  # 1 constant voltage, 2 constant current
    measured_voltage_dv: U16
    measured_current_raw: U16
    cell_max_raw: U16  # 12 bits voltage, 4 bits group
    soc_percent: U8
    remaining_min: U16
    output_voltage_dv: U16
    output_current_raw: U16
    charged_min: U16

    @property
    def current_demand_da(self) -> int:
        """Magnitude of the current that the battery asks for."""
        return bms_current_da(self.current_demand_raw)

    @property
    def measured_current_da(self) -> int:
        """Magnitude of the current that the battery measures."""
        return bms_current_da(self.measured_current_raw)

    @property
    def output_current_da(self) -> int:
        """Magnitude of the current that the charger gives."""
        return bms_current_da(self.output_current_raw)

    @property
    def cell_voltage_max_cv(self) -> int:
        """Highest cell voltage in 0.01 V."""
        return self.cell_max_raw & 0xFFF

    @property
    def cell_voltage_max_group(self) -> int:
        """Group of the cell with the highest voltage, 0..15."""
        return self.cell_max_raw >> 12


@uplink(0x25, "BMS information", "BMS信息")
class BmsStatus(Message, frozen=True, gc=False):
    """BSM: temperatures and alarm bits; every 15 s while charging.

    The two status bytes hold 2-bit values, each with a property: 0 is normal, except for
    `charging_permitted`, where 0 forbids and 1 allows.
    """

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    cell_voltage_max_no_raw: U8
    battery_temp_max_raw: U8
    temp_max_point_no_raw: U8
    battery_temp_min_raw: U8
    temp_min_point_no_raw: U8
    status_1_raw: U8
    status_2_raw: U8

    @property
    def cell_voltage_max_no(self) -> int:
        """Cell with the highest voltage, from 1. Some senders are one off."""
        return self.cell_voltage_max_no_raw + 1

    @property
    def battery_temp_max_c(self) -> int | None:
        """Highest battery temperature in °C, None when not given."""
        return temperature_c(self.battery_temp_max_raw)

    @property
    def temp_max_point_no(self) -> int:
        """Sensor of the highest temperature, from 1. Some senders are one off."""
        return self.temp_max_point_no_raw + 1

    @property
    def battery_temp_min_c(self) -> int | None:
        """Lowest battery temperature in °C, None when not given."""
        return temperature_c(self.battery_temp_min_raw)

    @property
    def temp_min_point_no(self) -> int:
        """Sensor of the lowest temperature, from 1. Some senders are one off."""
        return self.temp_min_point_no_raw + 1

    @property
    def cell_voltage_status(self) -> int:
        """0 normal, 1 high, 2 low."""
        return two_bits(self.status_1_raw, 0)

    @property
    def soc_status(self) -> int:
        """0 normal, 1 high, 2 low."""
        return two_bits(self.status_1_raw, 1)

    @property
    def over_current_status(self) -> int:
        """0 normal, 1 over-current, 2 untrusted."""
        return two_bits(self.status_1_raw, 2)

    @property
    def over_temperature_status(self) -> int:
        """0 normal, 1 battery over-temperature, 2 untrusted."""
        return two_bits(self.status_1_raw, 3)

    @property
    def insulation_status(self) -> int:
        """0 normal, 1 abnormal, 2 untrusted."""
        return two_bits(self.status_2_raw, 0)

    @property
    def output_connector_status(self) -> int:
        """0 normal, 1 abnormal, 2 untrusted."""
        return two_bits(self.status_2_raw, 1)

    @property
    def charging_permitted(self) -> int:
        """0 forbidden, 1 allowed."""
        return two_bits(self.status_2_raw, 2)
