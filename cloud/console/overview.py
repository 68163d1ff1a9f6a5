"""Gathers what the overview shows. Reads only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms.queries import open_alarms
from cloud.core.commands import TIME_SCALE
from cloud.live.reading import Values, read_values
from cloud.orders.queries import DayTotals, ended_since, newest
from cloud.stations import lookup
from cloud.stations.service import zone_of
from cloud.tariffs import service as tariffs
from shared.clock import to_ms
from shared.contracts.words import ConnectorStatus
from shared.money import divide_half_up

if TYPE_CHECKING:
    from cloud.alarms.models import Alarm
    from cloud.orders.models import Order
    from cloud.stations.models import Station

STATIONS_A_PAGE = 20
ORDERS_SHOWN = 12
ALARMS_SHOWN = 20
STALE_AFTER_S = 45
"""Three times the 15 s in which a charge point reports while it charges."""

_E4_PER_FEN = 100


class ConnectorView(Struct, frozen=True, kw_only=True):
    """One connector and its latest values, `age_s` real seconds old; None where none are known."""

    charge_point_no: str
    connector_no: int
    status: str
    power_w: int | None = None
    energy_dwh: int | None = None
    amount_fen: int | None = None
    soc_percent: int | None = None
    battery_temp_max_c: int | None = None
    remaining_min: int | None = None
    age_s: int = 0

    @property
    def is_stale(self) -> bool:
        """Whether values that should move have not been heard of for too long."""
        return self.status == ConnectorStatus.CHARGING and self.age_s > STALE_AFTER_S


class Place(Struct, frozen=True):
    """A station's number, names and time zone; all empty for what is of HQ itself."""

    station_no: str = ""
    name_zh: str = ""
    name_en: str = ""
    zone: str = "UTC"


class StationView(Struct, frozen=True, kw_only=True):
    """One station with its connectors."""

    place: Place
    online: bool
    last_seen_at: datetime | None
    tariff_version: int | None
    connectors: list[ConnectorView]


class Overview(Struct, frozen=True, kw_only=True):
    """All of the page. Totals are of all stations, `stations` are those of one page."""

    charging: int
    connectors: int
    online: int
    station_count: int
    power_w: int
    today: DayTotals
    stations: list[StationView]
    pages: int
    orders: list[tuple[Order, Place]]
    alarms: list[tuple[Alarm, Place]]
    alarm_count: int


async def gather(
    session: AsyncSession, redis: Redis, *, operator_id: UUID, page: int, now: datetime
) -> Overview:
    """Return the overview of an operator.

    Args:
        session: An open transaction.
        redis: Where the latest values are; without it they are missing, nothing else.
        operator_id: Whose.
        page: Which part of the stations, from 1.
        now: HQ's time.
    """
    stations = await lookup.stations_of(session, operator_id)
    places = {each.id: _place_of(each) for each in stations}
    values = await read_values(redis, [each.station_no for each in stations])
    views = await _station_views(session, stations, values, operator_id=operator_id, now=now)
    midnights = {each.id: _midnight(now, zone_of(each)) for each in stations}
    alarms, alarm_count = await open_alarms(session, operator_id, limit=ALARMS_SHOWN)
    orders = await newest(session, operator_id, limit=ORDERS_SHOWN)
    running = [each for view in views for each in view.connectors if _runs(each)]
    return Overview(
        charging=len(running),
        connectors=sum(len(view.connectors) for view in views),
        online=sum(view.online for view in views),
        station_count=len(views),
        power_w=sum(each.power_w or 0 for each in running if not each.is_stale),
        today=await ended_since(session, operator_id, midnights),
        stations=views[(page - 1) * STATIONS_A_PAGE : page * STATIONS_A_PAGE],
        pages=max(-(-len(views) // STATIONS_A_PAGE), 1),
        orders=[(order, places[order.station_id]) for order in orders],
        alarms=[
            (alarm, places[alarm.station_id] if alarm.station_id else Place()) for alarm in alarms
        ],
        alarm_count=alarm_count,
    )


async def _station_views(
    session: AsyncSession,
    stations: Sequence[Station],
    values: Mapping[str, Mapping[str, Values]],
    *,
    operator_id: UUID,
    now: datetime,
) -> list[StationView]:
    versions = await tariffs.current_versions(session, operator_id=operator_id, now=now)
    scale: float = session.info.get(TIME_SCALE, 1.0)
    known = {each.id: values[each.station_no] for each in stations}
    connectors: dict[UUID, list[ConnectorView]] = {each.id: [] for each in stations}
    for row in await lookup.connectors_of(session, operator_id):
        view = connector_view(
            row.charge_point_no,
            row.connector_no,
            row.status,
            known[row.station_id].get(f"{row.charge_point_no}:{row.connector_no}", {}),
            now_ms=to_ms(now),
            scale=scale,
        )
        connectors[row.station_id].append(view)
    return [
        StationView(
            place=_place_of(each),
            online=each.online,
            last_seen_at=each.last_seen_at,
            tariff_version=versions.get(each.id),
            connectors=connectors[each.id],
        )
        for each in stations
    ]


def connector_view(
    charge_point_no: str,
    connector_no: int,
    status: ConnectorStatus,
    values: Values,
    *,
    now_ms: int,
    scale: float,
) -> ConnectorView:
    """Return a connector with its latest values, of the live lane or of telemetry. Pure.

    `scale` is how much faster than real the clock runs, so that ages are real seconds.
    """
    voltage_dv, current_da = values.get("voltage_dv"), values.get("current_da")
    amount_fen = values.get("amount_fen")
    if amount_fen is None and "amount_e4" in values:
        amount_fen = divide_half_up(values["amount_e4"], _E4_PER_FEN)
    power_w = None
    if voltage_dv is not None and current_da is not None:
        power_w = abs(voltage_dv * current_da) // 100
    age_ms = now_ms - values.get("values_at_ms", now_ms)
    return ConnectorView(
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        status=status,
        power_w=power_w,
        energy_dwh=values.get("energy_dwh"),
        amount_fen=amount_fen,
        soc_percent=values.get("soc_percent"),
        battery_temp_max_c=values.get("battery_temp_max_c"),
        remaining_min=values.get("remaining_min"),
        age_s=max(int(age_ms / scale / 1000), 0),
    )


def _runs(connector: ConnectorView) -> bool:
    return connector.status == ConnectorStatus.CHARGING


def _place_of(station: Station) -> Place:
    return Place(station.station_no, station.name_zh, station.name_en, station.time_zone)


def _midnight(now: datetime, zone: ZoneInfo) -> datetime:
    return datetime.combine(now.astimezone(zone), time(), zone)
