"""The two rules that no document switches off: a battery that is too hot, or says that it is.

They judge by the limits that the vehicle itself gave, which a rule set does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from edge.devices.chargers.reports import (
    BatteryIdentified,
    BatteryLimits,
    BmsSampled,
    ConnectorSampled,
    Moment,
)
from edge.safety.rules import battery_over_temperature, battery_reports_danger

Connector = tuple[str, int]

CODES = frozenset({battery_over_temperature.CODE, battery_reports_danger.CODE})
_DANGER_HOLDS_S = 60.0


class Verdict(Struct, frozen=True):
    """What a rule says of a connector now; `detail` is the temperature or the condition."""

    code: str
    connector: Connector
    active: bool
    detail: str
    limit: str
    at: Moment


class _Vehicle(Struct):
    """What the vehicle on a connector allows, and what it last said."""

    max_c: int = battery_over_temperature.DEFAULT_MAX_C
    vehicle_max_c: int | None = None
    battery_type: int | None = None
    danger_s: dict[str, float] = {}
    """By code, when the vehicle last said what makes a rule trip."""


class BatteryWatch:
    """The vehicles on all connectors."""

    def __init__(self) -> None:
        self._vehicles: dict[Connector, _Vehicle] = {}

    def on_battery(self, report: BatteryIdentified | BatteryLimits) -> None:
        """Keep the limits that the vehicle gave (0x15, 0x17)."""
        vehicle = self._vehicle((report.charge_point_no, report.connector_no))
        if isinstance(report, BatteryLimits):
            vehicle.vehicle_max_c = report.temperature_max_c
        else:
            vehicle.battery_type = report.battery_type
        _set_limit(vehicle)

    def remember(
        self, connector: Connector, vehicle_max_c: int | None, battery_type: int | None
    ) -> None:
        """Take the limits of a vehicle that was here before a restart."""
        vehicle = self._vehicle(connector)
        vehicle.vehicle_max_c, vehicle.battery_type = vehicle_max_c, battery_type
        _set_limit(vehicle)

    def on_bms(self, report: BmsSampled) -> Iterator[Verdict]:
        """Judge a 0x25; yields what is dangerous, and what no longer is."""
        connector = (report.charge_point_no, report.connector_no)
        vehicle = self._vehicle(connector)
        condition = battery_reports_danger.condition(report.status_1, report.status_2)
        yield from self._heat(connector, vehicle, report.battery_temp_max_c, report.at)
        code = battery_reports_danger.CODE
        if condition:
            vehicle.danger_s[code] = report.at.mono_s
            yield Verdict(code, connector, True, condition, "", report.at)
        elif vehicle.danger_s.pop(code, None) is not None:
            yield Verdict(code, connector, False, "", "", report.at)

    def on_sample(self, report: ConnectorSampled) -> Iterable[Verdict]:
        """Judge a 0x13."""
        connector = (report.charge_point_no, report.connector_no)
        vehicle = self._vehicles.get(connector)
        if vehicle is None:
            vehicle = self._vehicle(connector)
        temperature_c = report.battery_temp_max_c
        if not vehicle.danger_s and (temperature_c is None or temperature_c <= vehicle.max_c):
            return ()  # nearly always
        return self._heat(connector, vehicle, temperature_c, report.at)

    def _heat(
        self, connector: Connector, vehicle: _Vehicle, temperature_c: int | None, at: Moment
    ) -> Iterator[Verdict]:
        code, limit = battery_over_temperature.CODE, f"{vehicle.max_c} °C"
        if battery_over_temperature.exceeds(temperature_c, vehicle.max_c):
            vehicle.danger_s[code] = at.mono_s
            yield Verdict(code, connector, True, str(temperature_c), limit, at)
        elif temperature_c is not None and vehicle.danger_s.pop(code, None) is not None:
            yield Verdict(code, connector, False, str(temperature_c), limit, at)

    def unplugged(self, connector: Connector, at: Moment) -> Iterator[Verdict]:
        """Another vehicle has other limits, and none yet."""
        vehicle = self._vehicles.get(connector)
        if vehicle is None:
            return
        self._vehicles[connector] = _Vehicle()
        for code in vehicle.danger_s:
            yield Verdict(code, connector, False, "", "", at)

    def is_dangerous(self, code: str, connector: Connector, now: Moment) -> bool:
        """Whether a rule would trip by what the vehicle said within the last minute."""
        vehicle = self._vehicles.get(connector)
        danger_s = vehicle.danger_s.get(code) if vehicle is not None else None
        return danger_s is not None and now.mono_s - danger_s < _DANGER_HOLDS_S

    def _vehicle(self, connector: Connector) -> _Vehicle:
        return self._vehicles.setdefault(connector, _Vehicle())


def _set_limit(vehicle: _Vehicle) -> None:
    vehicle.max_c = battery_over_temperature.limit_c(vehicle.vehicle_max_c, vehicle.battery_type)
