"""Orders as CSV for spreadsheets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from cloud.core.csv_export import MARK, csv_line, csv_time, parts_of
from cloud.core.db import Sessions
from cloud.orders.models import Order
from shared.energy import format_kwh
from shared.money import format_yuan

if TYPE_CHECKING:
    from cloud.stations.models import Station

COLUMNS = (
    "order_id",
    "station_no",
    "charge_point_no",
    "connector_no",
    "transaction_no",
    "state",
    "means",
    "token_kind",
    "token",
    "vin",
    "started_at",
    "ended_at",
    "energy_kwh",
    "payable_yuan",
    "failure_reason",
    "flags",
)


async def order_lines(
    sessions: Sessions, statement: SelectOfScalar[Order], stations: Mapping[UUID, Station]
) -> AsyncIterator[bytes]:
    """Yield a file, newest order first; times are ISO 8601 on the station's clock."""
    yield MARK + csv_line(COLUMNS)
    async for orders in parts_of(sessions, statement, col(Order.id)):
        yield b"".join(order_line(order, stations[order.station_id]) for order in orders)


def order_line(order: Order, station: Station) -> bytes:
    """Return the line of an order."""
    zone = ZoneInfo(station.time_zone)
    return csv_line(
        (
            order.id,
            station.station_no,
            order.charge_point_no,
            order.connector_no,
            order.transaction_no,
            order.state,
            order.means,
            order.token_kind,
            order.token_value,
            order.vin,
            csv_time(order.started_at, zone),
            csv_time(order.ended_at, zone),
            format_kwh(order.energy_dwh),
            format_yuan(order.payable_fen),
            order.failure_reason,
            " ".join(order.flags),
        )
    )
