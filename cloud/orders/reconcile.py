"""Do HQ, station and charge points agree? Sums per station and day, and every difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.billing.models import Bill
from cloud.billing.service import charge_point_fen
from cloud.orders.models import Order
from cloud.stations import lookup

if TYPE_CHECKING:
    from cloud.stations.models import Station


class Difference(Struct, frozen=True):
    """One order whose figures are not the same.

    `explained` is true where the charge point's rounding accounts for it and nobody must look.
    """

    order_id: UUID
    transaction_no: str
    state: str
    charge_point_fen: int | None
    station_fen: int | None
    hq_fen: int | None
    charged_fen: int
    explained: bool


class StationDay(Struct, frozen=True, kw_only=True):
    """One station's local day: the three sums over all orders that ended on it."""

    station_no: str
    day: date
    orders: int
    not_billed: int
    energy_dwh: int
    charge_point_fen: int
    station_fen: int
    hq_fen: int
    charged_fen: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Whether every difference is explained."""
        return all(difference.explained for difference in self.differences)


async def reconcile(
    session: AsyncSession,
    *,
    day: date | None,
    now: datetime,
    operator_id: UUID | None = None,
    station_no: str = "",
) -> list[StationDay]:
    """Compare the three books of a day, station by station.

    Args:
        session: An open session; nothing is written.
        day: The stations' local day on which the transactions ended; None = today there.
        now: HQ's time.
        operator_id: Whose stations; None = all, for HQ's own command line.
        station_no: Only this one; "" = all.
    """
    if operator_id is None:
        stations = await lookup.every_station(session)
    else:
        stations = await lookup.stations_of(session, operator_id)
    wanted = [station for station in stations if station_no in {"", station.station_no}]
    return [await _station_day(session, station, day, now) for station in wanted]


async def _station_day(
    session: AsyncSession, station: Station, day: date | None, now: datetime
) -> StationDay:
    zone = ZoneInfo(station.time_zone)
    day = day or now.astimezone(zone).date()
    start, end = day_bounds(day, zone)
    that_day = (
        Order.station_id == station.id,
        col(Order.ended_at) >= start,
        col(Order.ended_at) < end,
    )
    orders = (
        await session.scalars(select(Order).where(*that_day).order_by(col(Order.ended_at)))
    ).all()
    bills = {
        bill.order_id: bill
        for bill in await session.scalars(
            select(Bill)
            .join(Order, col(Order.id) == col(Bill.order_id))
            .where(*that_day)
            .order_by(col(Bill.version))
        )
    }
    return add_up(station.station_no, day, [(order, bills.get(order.id)) for order in orders])


def add_up(station_no: str, day: date, pairs: Sequence[tuple[Order, Bill | None]]) -> StationDay:
    """Return the sums of a day and what differs."""
    billed = [(order, bill) for order, bill in pairs if bill is not None]
    compared = [_compare(order, bill) for order, bill in billed]
    return StationDay(
        station_no=station_no,
        day=day,
        orders=len(pairs),
        not_billed=len(pairs) - len(billed),
        energy_dwh=sum(bill.energy_dwh for _order, bill in billed),
        charge_point_fen=sum(charge_point_fen(bill) or 0 for _order, bill in billed),
        station_fen=sum(bill.station_fen or 0 for _order, bill in billed),
        hq_fen=sum(bill.hq_fen or 0 for _order, bill in billed),
        charged_fen=sum(bill.payable_fen for _order, bill in billed),
        differences=tuple(difference for difference in compared if difference is not None),
    )


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the first instant of a local day and of the next one."""
    start = datetime.combine(day, time.min, zone)
    return start, datetime.combine(day + timedelta(days=1), time.min, zone)


def _compare(order: Order, bill: Bill) -> Difference | None:
    device_fen = charge_point_fen(bill)
    # A station does not rate what cost nothing.
    station_fen = 0 if bill.station_fen is None and bill.hq_fen == 0 else bill.station_fen
    figures = {bill.hq_fen, station_fen, bill.payable_fen}
    if len(figures) == 1 and device_fen in {None, bill.hq_fen}:
        return None
    # Without a price by time, a charge point's amount inside the arithmetic check is its rounding.
    checks = {check["name"]: check["ok"] for check in bill.checks}
    rounding = len(figures) == 1 and checks.get("amount_nano", False)
    return Difference(
        order.id,
        order.transaction_no,
        order.state,
        device_fen,
        bill.station_fen,
        bill.hq_fen,
        bill.payable_fen,
        rounding,
    )
