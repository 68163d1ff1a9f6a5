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
from cloud.live.reading import Values, read_values, while_it_charges
from cloud.orders.queries import DayTotals, ended_since, newest
from cloud.orders.rules import OPEN
from cloud.protection.titles import Titles, titles_of
from cloud.stations import lookup
from cloud.stations.service import zone_of
from cloud.tariffs import service as tariffs
from shared.clock import to_ms
from shared.contracts.words import ConnectorStatus

if TYPE_CHECKING:
    from cloud.alarms.models import Alarm
    from cloud.orders.models import Order
    from cloud.stations.models import Connector, Station

STATIONS_A_PAGE = 20
ORDERS_SHOWN = 30
ALARMS_SHOWN = 20
STALE_AFTER_S = 45
"""Three times the 15 s in which a charge point reports while it charges."""


class ConnectorView(Struct, frozen=True, kw_only=True):
    """One connector and its latest values, `age_s` real seconds old; None where none are known."""

    charge_point_no: str
    connector_no: int
    status: str
    transaction_id: UUID | None = None
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


class OrderView(Struct, frozen=True, kw_only=True):
    """One order; while it runs, energy and amount are what its connector shows."""

    order: Order
    place: Place
    energy_dwh: int | None
    amount_fen: int | None
    runs: bool


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
    orders: list[OrderView]
    alarms: list[tuple[Alarm, Place]]
    titles: Mapping[UUID | None, Titles]
    """By station, what people call that which alarms are about."""
    alarm_count: int
    aside_count: int
    """Alarms that are put aside; `alarm_count` is without them."""
    clock_scale: float
    """How much faster than real the clock runs; above 1 in a demo only."""


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
    alarms, alarm_count, aside_count = await open_alarms(
        session, operator_id, now=now, limit=ALARMS_SHOWN
    )
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
        orders=[order_view(order, places[order.station_id], running) for order in orders],
        alarms=[
            (alarm, places[alarm.station_id] if alarm.station_id else Place()) for alarm in alarms
        ],
        titles=await titles_of(session, operator_id, {alarm.station_id for alarm in alarms}),
        alarm_count=alarm_count,
        aside_count=aside_count,
        clock_scale=session.info.get(TIME_SCALE, 1.0),
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
            row,
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


def order_view(order: Order, place: Place, running: Sequence[ConnectorView]) -> OrderView:
    """Return an order as the list shows it. Pure."""
    if order.state not in OPEN:
        return OrderView(
            order=order,
            place=place,
            energy_dwh=order.energy_dwh,
            amount_fen=order.payable_fen,
            runs=False,
        )
    here = next(
        (each for each in running if order.transaction_id == each.transaction_id is not None), None
    )
    return OrderView(
        order=order,
        place=place,
        energy_dwh=here.energy_dwh if here else None,
        amount_fen=here.amount_fen if here else None,
        runs=True,
    )


def connector_view(row: Connector, values: Values, *, now_ms: int, scale: float) -> ConnectorView:
    """Return a connector with its latest values, of the live lane or of telemetry. Pure.

    `scale` is how much faster than real the clock runs, so that ages are real seconds.
    """
    age_ms = now_ms - values.get("values_at_ms", now_ms)
    values = while_it_charges(values, row.status)
    return ConnectorView(
        charge_point_no=row.charge_point_no,
        connector_no=row.connector_no,
        status=row.status,
        transaction_id=row.transaction_id,
        power_w=values.get("power_w"),
        energy_dwh=values.get("energy_dwh"),
        amount_fen=values.get("amount_fen"),
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
