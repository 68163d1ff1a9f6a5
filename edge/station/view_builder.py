"""What the screen on site is shown: the station at one moment, in one value.

Built only while somebody watches. What the station's own parts do not know (the link, the disk,
outputs, channels) comes through `Sources`, which whoever puts the agent together fills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from edge import view as v
from edge.devices.chargers import reports as r
from edge.devices.sensors.reports import PointSampled
from edge.safety.latches import STATION, Place
from edge.station.alarms import OpenAlarm, severity_of
from edge.station.live import ConnectorNow
from edge.station.places import Places
from edge.station.titles import PointTitle
from edge.station.trends import Latest, PointHistory
from shared.contracts.alarm_codes import entry_of
from shared.contracts.protection import Protection, Quality
from shared.contracts.words import Severity

if TYPE_CHECKING:
    from edge.bus import EventBus
    from edge.station.core import Station

_WORST_FIRST = tuple(Severity)
_STARTING_UP_S = 60.0
_NO_SYSTEM = v.SystemView(version="", started_ms=0, hq_configured=False, hq_connected=False)


@dataclass
class Sources:
    """What others know. Each is called while a view is built and returns at once."""

    system: Callable[[], v.SystemView] = lambda: _NO_SYSTEM
    outputs: Callable[[], tuple[v.OutputView, ...]] = tuple
    channels: Callable[[], tuple[v.ChannelView, ...]] = tuple
    isolated: Callable[[tuple[str, int]], bool] = lambda _connector: False
    starts_refused: Callable[[], str] = str
    drill_running: Callable[[], bool] = bool
    last_drill_ms: Callable[[], int | None] = lambda: None
    sound: Callable[[], str] = str
    point_titles: Callable[[Protection], Mapping[tuple[str, str], PointTitle]] = lambda _: {}


class ViewBuilder:
    """Builds a `StationView`; keeps only what the station itself has no use for."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._started_s = station.now().mono_s
        self._beat = 0
        self._firmware: dict[str, str] = {}
        self._places: Places | None = None
        self._places_of: object = None
        self._titles: Mapping[tuple[str, str], PointTitle] = {}
        self.points = PointHistory()
        self.sources = Sources()

    def subscribe(self, bus: EventBus[r.AnyReport]) -> None:
        """Listen to what only the screen shows, behind everybody else."""
        bus.subscribe("screen", self._on_logged_in, r.LoggedIn)
        bus.subscribe("screen", self.points.on_point, PointSampled)

    def _on_logged_in(self, report: r.LoggedIn) -> None:
        self._firmware[report.charge_point_no] = report.firmware

    def build(self) -> v.StationView:
        """Return the station as it is now; the beat counts up."""
        station, sources, now = self._station, self.sources, self._station.now()
        held = station.protection.held
        places = self._places_now()
        charge_points = self._charge_points(places, now)
        self._beat += 1
        connectors = [each for point in charge_points for each in point.connectors]
        return v.StationView(
            beat=self._beat,
            at_ms=now.wall_ms,
            station_no=station.station_no,
            zone_name=station.zone.key,
            site=held.protection.site,
            charge_points=charge_points,
            alarms=self.alarms(),
            points=self._points(places, held.protection, now),
            outputs=sources.outputs(),
            channels=sources.channels(),
            instructions=tuple(
                v.InstructionView(
                    instruction_id=str(each.instruction_id),
                    text_zh=each.text_zh,
                    text_en=each.text_en,
                    by=each.by,
                    sent_ms=each.sent_ms,
                )
                for each in station.instructions.all()
            ),
            system=sources.system(),
            power_w=sum(each.power_w or 0 for each in connectors),
            power_limit_w=held.protection.site.power_limit_w,
            starting_up=self._is_starting_up(charge_points, now),
            starts_refused=self._starts_refused(),
            drill_running=sources.drill_running(),
            sound=sources.sound(),
        )

    def _is_starting_up(self, points: tuple[v.ChargePointView, ...], now: r.Moment) -> bool:
        young = now.mono_s - self._started_s < _STARTING_UP_S
        return young and any(
            not point.online and point.charge_point_no not in self._firmware for point in points
        )

    def _starts_refused(self) -> str:
        station = self._station
        if station.tariffs.current(station.now().wall_ms) is None:
            return "tariff_missing"
        return self.sources.starts_refused()

    def _places_now(self) -> Places:
        """Return the names of places, made anew when charge points or the document changed."""
        station = self._station
        held = station.protection.held
        numbers = {entry.connector[0] for entry in station.live.all()}
        key = (held, frozenset(numbers))
        if self._places is None or self._places_of != key:
            self._places_of = key
            self._places = Places(numbers, held.protection)
            self._titles = self.sources.point_titles(held.protection)
            self.points.keep_only({device.name for device in held.protection.devices})
        return self._places

    # Charge points

    def _charge_points(self, places: Places, now: r.Moment) -> tuple[v.ChargePointView, ...]:
        blocked = defaultdict(list)
        for latch in self._station.latches.all():
            blocked[latch.place].append(latch.cause)
        by_number: dict[str, list[v.ConnectorView]] = {}
        online = set()
        for entry in self._station.live.all():
            number = entry.connector[0]
            if entry.online:
                online.add(number)
            by_number.setdefault(number, []).append(self._connector(entry, places, blocked, now))
        return tuple(
            v.ChargePointView(
                charge_point_no=number,
                label=places.charge_point(number),
                online=number in online,
                connectors=tuple(connectors),
                firmware=self._firmware.get(number, ""),
            )
            for number, connectors in by_number.items()
        )

    def _connector(
        self,
        entry: ConnectorNow,
        places: Places,
        blocked: Mapping[Place, list[str]],
        now: r.Moment,
    ) -> v.ConnectorView:
        connector = entry.connector
        number, connector_no = connector
        causes: dict[str, None] = {}
        for place in (connector, (number, 0), STATION):
            causes.update(dict.fromkeys(blocked.get(place, ())))
        common = v.ConnectorView(
            charge_point_no=number,
            connector_no=connector_no,
            label=places.connector(connector),
            status=entry.status,
            blocked_by=tuple(causes),
            isolated=self.sources.isolated(connector),
            stopping=self._station.safety.stopping(connector),
        )
        if entry.sample is None:
            return common
        return self._measured(common, entry, entry.sample, now)

    def _measured(
        self, view: v.ConnectorView, entry: ConnectorNow, sample: r.ConnectorSampled, now: r.Moment
    ) -> v.ConnectorView:
        running = self._station.book.find(sample.charge_point_no, sample.transaction_no)
        return v.ConnectorView(
            charge_point_no=view.charge_point_no,
            connector_no=view.connector_no,
            label=view.label,
            status=view.status,
            blocked_by=view.blocked_by,
            isolated=view.isolated,
            stopping=view.stopping,
            plugged_in=sample.plugged_in,
            age_s=round(now.mono_s - sample.at.mono_s, 1),
            power_w=sample.voltage_dv * sample.current_da // 100,
            voltage_dv=sample.voltage_dv,
            current_da=sample.current_da,
            energy_dwh=sample.energy_dwh,
            amount_fen=self._station.live.amount_fen(entry) if running else None,
            soc_percent=sample.soc_percent,
            charged_min=sample.charged_min,
            remaining_min=sample.remaining_min,
            battery_temp_max_c=sample.battery_temp_max_c,
            cable_temp_c=sample.cable_temp_c,
            cell_voltage_max_cv=entry.cell_voltage_max_cv,
            transaction_no=sample.transaction_no,
            vin=(running.battery.vin if running else "") or entry.vin,
            faults=sample.faults,
        )

    # Alarms

    def alarms(self) -> tuple[v.AlarmView, ...]:
        """Return the open alarms, worst first; of equals the unseen, then the oldest."""
        places, book = self._places_now(), self._station.alarms
        mono_s = self._station.now().mono_s
        alarms = [
            _alarm_view(alarm, places, book.escalates_in_s(alarm.alarm_id, mono_s))
            for alarm in book.open_alarms()
        ]
        alarms.sort(
            key=lambda a: (_WORST_FIRST.index(a.severity), a.acknowledged_ms is not None, a.drill)
        )
        return tuple(alarms)

    # Points

    def _points(
        self, places: Places, protection: Protection, now: r.Moment
    ) -> tuple[v.PointView, ...]:
        zones = {device.name: device.zone for device in protection.devices}
        alarming = {alarm.object for alarm in self._station.alarms.open_alarms()}
        return tuple(
            self._point(name, latest, places, zones, alarming, now)
            for name, latest in sorted(self.points.latest().items())
        )

    def _point(
        self,
        name: tuple[str, str],
        latest: Latest,
        places: Places,
        zones: Mapping[str, str],
        alarming: set[str],
        now: r.Moment,
    ) -> v.PointView:
        device, point = name
        report = latest.report
        since = latest.good or report
        device_zh, device_en = places.device(device)
        zh, en, is_safety = self._titles.get(name, (point, point, False))
        return v.PointView(
            device=device,
            point=point,
            title_zh=f"{device_zh} {zh}",
            title_en=f"{device_en} {en}",
            quantity=report.quantity,
            value=report.value if report.quality is Quality.GOOD else None,
            quality=report.quality,
            age_s=round(now.mono_s - since.at.mono_s, 1),
            zone=zones.get(device, ""),
            is_safety=is_safety,
            alarming=f"sensor:{device}/{point}" in alarming or f"sensor:{device}" in alarming,
        )


class _Unknown(dict[str, str]):
    """What an alarm does not say is left open, as in HQ's texts."""

    def __missing__(self, key: str) -> str:
        return "…"


def _alarm_view(alarm: OpenAlarm, places: Places, escalates_in_s: float | None) -> v.AlarmView:
    texts, params = entry_of(alarm.code), _Unknown(alarm.params)
    place_zh, place_en = places.place(alarm.object)
    trip = alarm.trip
    return v.AlarmView(
        alarm_id=str(alarm.alarm_id),
        code=alarm.code,
        severity=severity_of(alarm),
        object=alarm.object,
        place_zh=place_zh,
        place_en=place_en,
        title_zh=texts.title_zh.format_map(params),
        title_en=texts.title_en.format_map(params),
        advice_zh=texts.advice_zh.format_map(params),
        advice_en=texts.advice_en.format_map(params),
        raised_ms=alarm.raised_ms,
        active=alarm.active,
        value=alarm.params.get("value", ""),
        limit=alarm.params.get("limit", ""),
        acknowledged_by=alarm.acknowledged_by,
        acknowledged_ms=alarm.acknowledged_ms,
        silenced=alarm.silenced,
        shelved_until_ms=alarm.shelved_until_ms,
        shelved_reason=alarm.shelved_reason,
        escalation=alarm.escalation,
        escalates_in_s=None if escalates_in_s is None else ceil(escalates_in_s),
        drill=alarm.drill,
        stopped=tuple(map(places.connector, trip.connectors)) if trip else (),
        isolated=tuple(map(places.connector, places.fed_by(trip.contactors))) if trip else (),
        trip_stop_ms=_ms(trip.stop_us) if trip else None,
        trip_siren_ms=_ms(trip.siren_us) if trip else None,
        trip_zero_ms=trip.zero_ms if trip else None,
    )


def _ms(time_us: int | None) -> float | None:
    return None if time_us is None else time_us / 1000
