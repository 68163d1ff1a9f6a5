"""The wall: what drivers read in passing and staff from across the yard."""

from __future__ import annotations

from dataclasses import dataclass

from edge.kiosk.ink import Ink
from edge.kiosk.look import Look
from edge.kiosk.views.setup import SetupView, setup
from edge.kiosk.views.status import StripView, banner, stale_text, strip
from edge.kiosk.views.values import (
    TROUBLE,
    by_urgency,
    is_red,
    local,
    point_value,
    power,
    span,
    trouble_count,
)
from edge.view import ChargePointView, ConnectorView, PointView, StationView
from shared.contracts.protection import CONTACTS, Quality, Quantity
from shared.contracts.words import ConnectorStatus, Severity

PAGE_CARDS = 12
# Three times the period of reports: 15 s while a connector charges, 5 min while it does not.
_CHARGING_STALE_S, _IDLE_STALE_S = 45.0, 900.0
_POWER_HIGH = 0.9
_QUIET = frozenset({Quantity.DETECTOR_FAULT, Quantity.OUTPUT_ON, Quantity.BREAKER_CLOSED})
_ORDER = (
    Quantity.SMOKE,
    Quantity.HEAT,
    Quantity.WATER,
    Quantity.TEMPERATURE_C,
    Quantity.HUMIDITY_PERCENT,
    Quantity.OIL_TEMPERATURE_C,
    Quantity.WINDING_TEMPERATURE_C,
    Quantity.DOOR_OPEN,
)


@dataclass(frozen=True)
class BlockView:
    """One connector: its whole block has one ink. `soc` "" when it is not known."""

    letter: str
    sign: str
    word: str
    ink: Ink
    soc: str = ""
    facts: tuple[str, ...] = ()
    fraction: float | None = None


@dataclass(frozen=True)
class CardView:
    """One charge point."""

    charge_point_no: str
    title: str
    power: str
    ink: Ink
    blocks: tuple[BlockView, ...]


@dataclass(frozen=True)
class FigureView:
    """A number that is drawn large."""

    title: str
    value: str
    ink: Ink


@dataclass(frozen=True)
class SensorView:
    """One sensor value."""

    title: str
    value: str
    ink: Ink


@dataclass(frozen=True)
class HeaderView:
    """Name, time, link and the four figures."""

    name: str
    time: str
    link: str
    link_ink: Ink
    figures: tuple[FigureView, ...]


@dataclass(frozen=True)
class PowerView:
    """The station's power against its limit; `fraction` None without a limit."""

    text: str
    fraction: float | None
    ink: Ink


@dataclass(frozen=True)
class WallView:
    """Everything on the wall. `setup` stands in place of cards while there are none to show."""

    header: HeaderView
    power: PowerView
    strip: StripView
    banner: str
    cards: tuple[CardView, ...]
    page: int
    pages: int
    abnormal: tuple[SensorView, ...]
    sensors: tuple[SensorView, ...]
    setup: SetupView | None = None


def wall(
    view: StationView,
    look: Look,
    *,
    page: int = 0,
    stale: bool = False,
    chosen: str = "",
    guide: str = "",
) -> WallView:
    """Return the wall. `chosen` is the charge point that the cursor is on; pages count from 0.

    `guide` is the address of an installation guide.
    """
    pages = page_count(view)
    page = min(page, pages - 1)
    shown = view.charge_points[page * PAGE_CARDS : (page + 1) * PAGE_CARDS]
    return WallView(
        header=_header(view, look, stale),
        power=_power(view, look),
        strip=strip(view, look, stale=stale),
        banner=banner(view, look),
        cards=tuple(_card(entry, look, stale, entry.charge_point_no == chosen) for entry in shown),
        page=page,
        pages=pages,
        abnormal=_abnormal(view, look),
        sensors=_sensors(view, look, stale),
        setup=setup(view, look, guide),
    )


def page_count(view: StationView) -> int:
    """Return how many pages the charge points take, at least one."""
    return max(1, -(-len(view.charge_points) // PAGE_CARDS))


def pinned_page(view: StationView) -> int | None:
    """Return the page that stays because a connector on it alarms, or None."""
    for index, entry in enumerate(view.charge_points):
        if any(connector.status is ConnectorStatus.ALARM for connector in entry.connectors):
            return index // PAGE_CARDS
    return None


def _header(view: StationView, look: Look, stale: bool) -> HeaderView:
    colours = look.palette
    connectors = [connector for entry in view.charge_points for connector in entry.connectors]
    states = [connector.status for connector in connectors]
    trouble = trouble_count(view)
    figures: tuple[FigureView, ...] = (
        FigureView(look.text("wall.power"), f"{view.power_w / 1000:.0f}", colours.text),
        FigureView(look.text("wall.free"), str(states.count(ConnectorStatus.IDLE)), colours.good),
        FigureView(
            look.text("wall.charging"), str(states.count(ConnectorStatus.CHARGING)), colours.busy
        ),
        FigureView(
            look.text("wall.trouble"), str(trouble), colours.warn if trouble else colours.dim
        ),
    )
    if stale:
        figures = tuple(FigureView(entry.title, entry.value, colours.dim) for entry in figures)
    link, link_ink = _link(view, look, stale)
    return HeaderView(
        name=look.pick(view.site.name_zh, view.site.name_en) or view.station_no,
        time=local(view, view.at_ms).strftime("%Y-%m-%d  %H:%M:%S"),
        link=link,
        link_ink=link_ink,
        figures=figures,
    )


def _link(view: StationView, look: Look, stale: bool) -> tuple[str, Ink]:
    if stale:
        return stale_text(view, look), look.palette.bad
    if not view.system.hq_configured:
        return look.text("wall.hq_none"), look.palette.dim
    if view.system.hq_connected:
        return f"{look.text('wall.hq')} {look.signs.dot} {look.text('wall.on')}", look.palette.good
    return f"{look.text('wall.hq')} {look.signs.cross} {look.text('wall.off')}", look.palette.warn


def _power(view: StationView, look: Look) -> PowerView:
    limit_w = view.power_limit_w or view.site.power_limit_w
    if not limit_w:
        text = f"{look.text('wall.station_power')} {view.power_w / 1000:.0f} kW"
        return PowerView(text, None, look.palette.bar)
    fraction = view.power_w / limit_w
    text = (
        f"{look.text('wall.station_power')} {view.power_w / 1000:.0f} / {limit_w / 1000:.0f} kW"
        f"  {fraction:.0%}"
    )
    high = fraction > _POWER_HIGH
    fraction = max(0.0, min(1.0, fraction))  # a station may feed back
    return PowerView(text, fraction, look.palette.bar_high if high else look.palette.bar)


def _card(entry: ChargePointView, look: Look, stale: bool, chosen: bool) -> CardView:
    drawn = [connector.power_w for connector in entry.connectors if connector.power_w is not None]
    return CardView(
        charge_point_no=entry.charge_point_no,
        title=look.text("wall.charge_point", label=entry.label),
        power=power(sum(drawn)) if entry.online and drawn else "",
        ink=look.palette.chosen if chosen else look.palette.card,
        blocks=tuple(block(connector, look, stale) for connector in entry.connectors),
    )


def block(connector: ConnectorView, look: Look, stale: bool) -> BlockView:
    """Return one connector as a block of one colour."""
    state = connector.status
    limit_s = _CHARGING_STALE_S if state is ConnectorStatus.CHARGING else _IDLE_STALE_S
    old = connector.age_s is not None and connector.age_s > limit_s
    soc = charge_of(connector)
    gone = stale or (old and state is not ConnectorStatus.OFFLINE)
    return BlockView(
        letter=connector.label.rpartition("-")[2] or str(connector.connector_no),
        sign=look.signs.states[state],
        word=look.text(f"status.{state.value}"),
        ink=look.palette.stale if gone else look.palette.states[state],
        soc="" if soc is None else str(soc),
        facts=_facts(connector, look, old),
        fraction=None if soc is None else soc / 100,
    )


def charge_of(connector: ConnectorView) -> int | None:
    """Return a car's charge; devices report 0 % where there is no car or none that says."""
    if connector.status is ConnectorStatus.CHARGING:
        return connector.soc_percent
    there = connector.status in {
        ConnectorStatus.PLUGGED,
        ConnectorStatus.FINISHED,
        ConnectorStatus.ALARM,
    }
    return (connector.soc_percent or None) if there else None


def _facts(connector: ConnectorView, look: Look, old: bool) -> tuple[str, ...]:
    facts: list[str] = []
    if connector.stopping:
        facts.append(look.text("wall.stopping"))
    if connector.isolated:
        facts.append(look.text("wall.isolated"))
    if connector.blocked_by:
        facts.append(look.text("wall.blocked"))
    if old and connector.age_s is not None:
        facts.append(look.text("wall.stale", age=span(connector.age_s, look)))
    if connector.status is ConnectorStatus.CHARGING:
        facts.append(power(connector.power_w))
        if connector.remaining_min is not None:
            facts.append(look.text("wall.remaining", n=connector.remaining_min))
    return tuple(facts)


def _abnormal(view: StationView, look: Look) -> tuple[SensorView, ...]:
    """Return what is wrong, a line each, for screens that are too small for cards."""
    found = [
        SensorView(
            (alarm.place_zh and look.pick(alarm.place_zh, alarm.place_en)) or alarm.object,
            look.title(alarm),
            look.palette.severities[alarm.severity],
        )
        for alarm in by_urgency(view.alarms)
        if alarm.severity in {Severity.CRITICAL, Severity.MAJOR}
    ]
    for entry in view.charge_points:
        for connector in entry.connectors:
            if connector.status in TROUBLE:
                sign = look.signs.states[connector.status]
                word = look.text(f"status.{connector.status.value}")
                ink = look.palette.states[connector.status]
                found.append(SensorView(connector.label, f"{sign} {word}", ink))
    return tuple(found)


def _sensors(view: StationView, look: Look, stale: bool) -> tuple[SensorView, ...]:
    colours = look.palette
    seen = []
    for point in sorted(view.points, key=lambda point: _weight(point, view)):
        bad, red = point.quality is not Quality.GOOD, is_red(point, view)
        if point.quantity in _QUIET and not bad and not red:
            continue
        ink = colours.bad if red else colours.warn if bad else _calm(point, look)
        value = point_value(point, look)
        seen.append(SensorView(look.title(point), value, colours.dim if stale else ink))
    return tuple(seen)


def _calm(point: PointView, look: Look) -> Ink:
    return look.palette.good if point.quantity in CONTACTS else look.palette.text


def _weight(point: PointView, view: StationView) -> tuple[bool, bool, int]:
    order = _ORDER.index(point.quantity) if point.quantity in _ORDER else len(_ORDER)
    return not is_red(point, view), point.quality is Quality.GOOD or not point.is_safety, order
