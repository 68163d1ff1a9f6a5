"""Units of what stations measure, and its names for people."""

from __future__ import annotations

from typing import Literal

from shared.contracts.protection import CONTACTS, OpenContactor, Quantity, Reach, Reset

Language = Literal["zh", "en"]
Text = tuple[str, str]
"""The same in zh and en."""

_UNITS = {
    "percent": "%",
    "c": "°C",
    "v": "V",
    "a": "A",
    "w": "W",
    "kwh": "kWh",
    "hz": "Hz",
}

QUANTITIES: dict[Quantity, Text] = {
    Quantity.SMOKE: ("烟雾", "smoke"),
    Quantity.HEAT: ("感温探测", "heat detector"),
    Quantity.WATER: ("水浸", "water"),
    Quantity.DOOR_OPEN: ("柜门打开", "door open"),
    Quantity.TRANSFORMER_DOOR_OPEN: ("箱变门打开", "transformer door open"),
    Quantity.EMERGENCY_BUTTON: ("急停按钮", "emergency button"),
    Quantity.DETECTOR_FAULT: ("探测器故障", "detector fault"),
    Quantity.BREAKER_CLOSED: ("断路器合闸", "breaker closed"),
    Quantity.BREAKER_TRIPPED: ("断路器跳闸", "breaker tripped"),
    Quantity.OUTPUT_ON: ("输出动作", "output on"),
    Quantity.SMOKE_DENSITY_PERCENT: ("烟雾浓度", "smoke density"),
    Quantity.TEMPERATURE_C: ("温度", "temperature"),
    Quantity.OIL_TEMPERATURE_C: ("油温", "oil temperature"),
    Quantity.WINDING_TEMPERATURE_C: ("绕组温度", "winding temperature"),
    Quantity.HUMIDITY_PERCENT: ("湿度", "humidity"),
    Quantity.VOLTAGE_V: ("电压", "voltage"),
    Quantity.CURRENT_A: ("电流", "current"),
    Quantity.POWER_W: ("功率", "power"),
    Quantity.ENERGY_KWH: ("电能", "energy"),
    Quantity.FREQUENCY_HZ: ("频率", "frequency"),
    Quantity.POWER_FACTOR: ("功率因数", "power factor"),
    Quantity.CABLE_TEMP_C: ("枪线温度", "cable temperature"),
    Quantity.BATTERY_TEMP_MAX_C: ("电池最高温度", "hottest battery point"),
    Quantity.BATTERY_TEMP_MIN_C: ("电池最低温度", "coldest battery point"),
    Quantity.BATTERY_TEMP_LIMIT_C: ("车辆允许温度", "vehicle's temperature limit"),
    Quantity.BATTERY_TEMP_SPREAD_C: ("电池温差", "battery temperature spread"),
    Quantity.CELL_VOLTAGE_MAX_V: ("单体最高电压", "highest cell voltage"),
    Quantity.CELL_VOLTAGE_LIMIT_V: ("单体允许电压", "vehicle's cell voltage limit"),
    Quantity.CELL_SPREAD_V: ("单体压差", "cell voltage spread"),
    Quantity.OUTPUT_VOLTAGE_V: ("输出电压", "output voltage"),
    Quantity.OUTPUT_CURRENT_A: ("输出电流", "output current"),
    Quantity.DEMAND_VOLTAGE_V: ("需求电压", "demanded voltage"),
    Quantity.DEMAND_CURRENT_A: ("需求电流", "demanded current"),
    Quantity.SOC_PERCENT: ("SOC", "state of charge"),
    Quantity.INSULATION_FAULT: ("绝缘异常", "insulation fault"),
    Quantity.CHARGING_FORBIDDEN: ("禁止充电", "charging forbidden"),
}

REACHES: dict[Reach, Text] = {
    Reach.NONE: ("—", "—"),
    Reach.CONNECTOR: ("本枪", "connector"),
    Reach.CHARGE_POINT: ("本桩", "charge point"),
    Reach.ZONE: ("本区", "zone"),
    Reach.STATION: ("全站", "station"),
}

OPENINGS: dict[OpenContactor, Text] = {
    OpenContactor.NEVER: ("—", "—"),
    OpenContactor.UNCONFIRMED: ("停止未确认时", "if not confirmed"),
    OpenContactor.AT_ONCE: ("立即", "at once"),
}

RESETS: dict[Reset, Text] = {
    Reset.NO_LATCH: ("—", "—"),
    Reset.UNPLUGGED: ("拔枪, 或现场复位", "unplugged, or on site"),
    Reset.LOCAL: ("现场复位", "on site"),
}

ROLES: dict[str, Text] = {
    "staff": ("值班员", "staff"),
    "chief": ("站长", "chief"),
}


def unit_of(quantity: Quantity) -> str:
    """Return the unit of a quantity, "" for contacts and pure numbers."""
    return "" if quantity in CONTACTS else _UNITS.get(quantity.rpartition("_")[2], "")


def pick(text: Text, language: Language) -> str:
    """Return a text in one language."""
    return text[0] if language == "zh" else text[1]
