"""Values in words: times in the station's zone, powers, sensor values with their units."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge.kiosk.look import Look, texts
from edge.view import AlarmView, PointView, StationView
from shared.clock import from_ms
from shared.contracts.protection import CONTACTS, Quality, Quantity
from shared.contracts.words import ConnectorStatus, Severity

_KW = 1000
_DWH_PER_KWH = 10_000
_FEN_PER_YUAN = 100
_MINUTE_S, _HOUR_S = 60, 3600

TROUBLE = frozenset({ConnectorStatus.FAULT, ConnectorStatus.OFFLINE, ConnectorStatus.ALARM})
"""What a connector is counted under trouble for."""

SEVERITIES = (Severity.CRITICAL, Severity.MAJOR, Severity.MINOR, Severity.INFO)
"""Worst first."""

_UNITS = {
    Quantity.SMOKE_DENSITY_PERCENT: (" %/m", 1),
    Quantity.HUMIDITY_PERCENT: (" %", 0),
    Quantity.VOLTAGE_V: (" V", 0),
    Quantity.CURRENT_A: (" A", 1),
    Quantity.ENERGY_KWH: (" kWh", 2),
    Quantity.FREQUENCY_HZ: (" Hz", 2),
    Quantity.POWER_FACTOR: ("", 2),
    Quantity.SOC_PERCENT: (" %", 0),
    Quantity.CELL_VOLTAGE_MAX_V: (" V", 3),
    Quantity.CELL_VOLTAGE_LIMIT_V: (" V", 3),
    Quantity.CELL_SPREAD_V: (" V", 3),
    Quantity.OUTPUT_VOLTAGE_V: (" V", 0),
    Quantity.DEMAND_VOLTAGE_V: (" V", 0),
    Quantity.OUTPUT_CURRENT_A: (" A", 1),
    Quantity.DEMAND_CURRENT_A: (" A", 1),
}


@lru_cache(maxsize=4)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def local(view: StationView, at_ms: int) -> datetime:
    """Return an instant as the station's clock on the wall shows it."""
    return from_ms(at_ms).astimezone(_zone(view.zone_name))


def clock(view: StationView, at_ms: int) -> str:
    """Return the time of day; with the date when it is another day than the view's."""
    there, today = local(view, at_ms), local(view, view.at_ms)
    form = "%H:%M:%S" if there.date() == today.date() else "%m-%d %H:%M:%S"
    return there.strftime(form)


def span(seconds: float, look: Look) -> str:
    """Return a duration in its two largest units."""
    whole = int(seconds)
    if whole < _MINUTE_S:
        return look.text("unit.seconds", n=whole)
    if whole < _HOUR_S:
        return look.text("unit.minutes", n=whole // _MINUTE_S)
    return look.text("unit.hours", h=whole // _HOUR_S, m=whole % _HOUR_S // _MINUTE_S)


def power(watts: int | None) -> str:
    """Return a power in kW, one decimal below 100."""
    if watts is None:
        return "- kW"
    return f"{watts / _KW:.1f} kW" if abs(watts) < 100 * _KW else f"{watts / _KW:.0f} kW"


def energy(dwh: int | None) -> str:
    """Return an energy in kWh."""
    return "-" if dwh is None else f"{dwh / _DWH_PER_KWH:.2f} kWh"


def money(fen: int | None) -> str:
    """Return an amount in yuan."""
    return "-" if fen is None else f"{fen // _FEN_PER_YUAN}.{fen % _FEN_PER_YUAN:02d} CNY"


def bytes_text(count: int | None) -> str:
    """Return a size in MB or GB."""
    if count is None:
        return "-"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def point_value(point: PointView, look: Look) -> str:
    """Return what a sensor says; what is not good is a word, never a number."""
    if point.quality is not Quality.GOOD or point.value is None:
        word = look.text(f"quality.{point.quality.value}")
        return word if point.age_s is None else f"{word} {span(point.age_s, look)}"
    if point.quantity in CONTACTS:
        return contact(point.quantity, point.value >= 0.5, look)
    return measured(point.quantity, point.value, look)


def measured(quantity: Quantity, value: float, look: Look) -> str:
    """Return a number with its unit."""
    if quantity is Quantity.POWER_W:
        return power(round(value))
    if quantity.value.endswith("_c"):
        return f"{value:.1f} {look.signs.degree}"
    unit, decimals = _UNITS.get(quantity, ("", 1))
    return f"{value:.{decimals}f}{unit}"


def contact(quantity: Quantity, closed: bool, look: Look) -> str:
    """Return what a contact says, in a word."""
    if quantity is Quantity.DOOR_OPEN:
        return look.text("contact.open" if closed else "contact.shut")
    if quantity is Quantity.BREAKER_CLOSED:
        return look.text("contact.on" if closed else "contact.off")
    if quantity is Quantity.OUTPUT_ON:
        return look.text("contact.on" if closed else "contact.off")
    return look.text("contact.tripped" if closed else "contact.normal")


def fault(code: str, look: Look) -> str:
    """Return why something fails, in words; what is not a code is said as the agent says it."""
    key = f"fault.{code}"
    return look.text(key) if key in texts() else look.pick(code, code)


def by_urgency(alarms: tuple[AlarmView, ...]) -> list[AlarmView]:
    """Return alarms, the worst first, then the oldest; drills after the real ones."""
    return sorted(
        alarms,
        key=lambda alarm: (SEVERITIES.index(alarm.severity), alarm.drill, alarm.raised_ms),
    )


def is_red(point: PointView, view: StationView) -> bool:
    """Return whether a point's cause stands; gone and only not reset yet, its value is good."""
    names = {f"sensor:{point.device}/{point.point}", f"sensor:{point.device}"}
    about = [alarm.active for alarm in view.alarms if alarm.object in names]
    return point.alarming and (not about or any(about))


def trouble_count(view: StationView) -> int:
    """Return how many connectors are out of order, off-line or in alarm."""
    return sum(
        connector.status in TROUBLE
        for entry in view.charge_points
        for connector in entry.connectors
    )


def is_shelved(alarm: AlarmView, now_ms: int) -> bool:
    """Return whether an alarm is set aside now."""
    return alarm.shelved_until_ms is not None and alarm.shelved_until_ms > now_ms


def calling(view: StationView) -> list[AlarmView]:
    """Return the alarms that want the whole screen: critical ones that nobody acknowledged."""
    return [
        alarm
        for alarm in by_urgency(view.alarms)
        if alarm.severity is Severity.CRITICAL
        and not alarm.acknowledged_by
        and alarm.acknowledged_ms is None
    ]


def sounding(view: StationView) -> list[AlarmView]:
    """Return the critical alarms that are neither silenced nor over."""
    return [
        alarm
        for alarm in by_urgency(view.alarms)
        if alarm.severity is Severity.CRITICAL and alarm.active and not alarm.silenced
    ]
