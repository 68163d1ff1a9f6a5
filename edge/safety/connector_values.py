"""What the reports of a charge point say, as quantities that rules select.

What limits a value comes before it, so that a comparison within one report sees both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

from edge.devices.chargers.reports import (
    BatteryLimits,
    BmsDemanded,
    BmsSampled,
    ChargingStopped,
    ConnectorSampled,
    WireState,
)
from shared.contracts.protection import Quantity

ConnectorReport = ConnectorSampled | BmsDemanded | BmsSampled | BatteryLimits | ChargingStopped
Getter = Callable[[ConnectorReport], float | None]

_UNTRUSTED = 0b10


def _number(field: str, steps: int = 1) -> Callable[..., float | None]:
    if steps == 1:
        return attrgetter(field)

    def get(report: ConnectorReport) -> float | None:
        raw = getattr(report, field)
        return None if raw is None else raw / steps

    return get


def _charging(field: str) -> Callable[[ConnectorSampled], float | None]:
    """Read what is the vehicle's: before charging it may still be that of the vehicle before."""

    def get(report: ConnectorSampled) -> float | None:
        raw: int | None = getattr(report, field)
        return None if raw is None or report.state is not WireState.CHARGING else float(raw)

    return get


def _insulation_fault(report: BmsSampled) -> float | None:
    state = report.status_2 & 0b11
    return None if state >= _UNTRUSTED else float(state == 0b01)


def _charging_forbidden(report: BmsSampled) -> float | None:
    state = report.status_2 >> 4 & 0b11
    return None if state >= _UNTRUSTED else float(state == 0b00)


def _temp_spread(report: BmsSampled) -> float | None:
    if report.battery_temp_max_c is None or report.battery_temp_min_c is None:
        return None
    return float(report.battery_temp_max_c - report.battery_temp_min_c)


def _cell_spread(report: ChargingStopped) -> float | None:
    if report.cell_voltage_min_cv is None or report.cell_voltage_max_cv is None:
        return None
    return (report.cell_voltage_max_cv - report.cell_voltage_min_cv) / 100


# Output voltage and current come from 0x23 alone: it says in one breath what was asked for and
# what was given. Those of 0x13 would be compared with a demand of up to 15 s ago.
_FIELDS: dict[type, tuple[tuple[Quantity, Callable[..., float | None]], ...]] = {
    ConnectorSampled: (
        (Quantity.CABLE_TEMP_C, _number("cable_temp_c")),
        (Quantity.BATTERY_TEMP_MAX_C, _charging("battery_temp_max_c")),
        (Quantity.SOC_PERCENT, _charging("soc_percent")),
    ),
    BmsDemanded: (
        (Quantity.DEMAND_VOLTAGE_V, _number("voltage_demand_dv", 10)),
        (Quantity.DEMAND_CURRENT_A, _number("current_demand_da", 10)),
        (Quantity.CELL_VOLTAGE_MAX_V, _number("cell_voltage_max_cv", 100)),
        (Quantity.OUTPUT_VOLTAGE_V, _number("output_voltage_dv", 10)),
        (Quantity.OUTPUT_CURRENT_A, _number("output_current_da", 10)),
        (Quantity.SOC_PERCENT, _number("soc_percent")),
    ),
    BmsSampled: (
        (Quantity.BATTERY_TEMP_MAX_C, _number("battery_temp_max_c")),
        (Quantity.BATTERY_TEMP_MIN_C, _number("battery_temp_min_c")),
        (Quantity.BATTERY_TEMP_SPREAD_C, _temp_spread),
        (Quantity.INSULATION_FAULT, _insulation_fault),
        (Quantity.CHARGING_FORBIDDEN, _charging_forbidden),
    ),
    # The lowest cell is told at the end of charging only.
    ChargingStopped: ((Quantity.CELL_SPREAD_V, _cell_spread),),
    BatteryLimits: (
        (Quantity.BATTERY_TEMP_LIMIT_C, _number("temperature_max_c")),
        (Quantity.CELL_VOLTAGE_LIMIT_V, _number("cell_voltage_max_cv", 100)),
    ),
}


def getters(wanted: Iterable[Quantity]) -> dict[type, tuple[tuple[Quantity, Getter], ...]]:
    """Return, by type of report, how to read the quantities that somebody wants."""
    chosen = set(wanted)
    kept = {
        kind: tuple(pair for pair in fields if pair[0] in chosen)
        for kind, fields in _FIELDS.items()
    }
    return {kind: fields for kind, fields in kept.items() if fields}


def connector_values(report: ConnectorReport) -> Iterator[tuple[Quantity, float]]:
    """Yield what a report says, in the units of the quantities; what is not given is left out."""
    for quantity, get in _FIELDS[type(report)]:
        value = get(report)
        if value is not None:
            yield quantity, value
