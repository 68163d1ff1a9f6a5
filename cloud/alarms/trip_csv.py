"""Trips as CSV for spreadsheets, row by row: any number of them in little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Trip
from cloud.alarms.trip_list import TripSeen, with_alarms
from cloud.core.csv_export import MARK, csv_line, csv_time, parts_of
from cloud.core.db import Sessions

if TYPE_CHECKING:
    from cloud.stations.models import Station

COLUMNS = (
    "trip_id",
    "station_no",
    "at",
    "cause",
    "title",
    "object",
    "zone",
    "drill",
    "connectors",
    "stop_sent_us",
    "siren_us",
    "contactor_us",
    "zero_current_ms",
    "contactors",
    "alarm_id",
)


async def trip_csv_lines(
    sessions: Sessions,
    statement: SelectOfScalar[Trip],
    stations: Mapping[UUID, Station],
    *,
    chinese: bool,
) -> AsyncIterator[bytes]:
    """Yield a file: UTF-8 with its mark so that spreadsheets see Chinese, newest trip first.

    Times are ISO 8601 on the station's clock; a figure that is awaited or not fitted is empty.
    """
    yield MARK + csv_line(COLUMNS)
    async for trips in parts_of(sessions, statement, col(Trip.id)):
        async with sessions() as session:
            found = await with_alarms(session, trips)
        for seen in found:
            yield csv_line(_cells(seen, stations.get(seen.trip.station_id), chinese=chinese))


def _cells(seen: TripSeen, station: Station | None, *, chinese: bool) -> tuple[str, ...]:
    trip = seen.trip
    return (
        str(trip.trip_id),
        station.station_no if station is not None else "",
        csv_time(trip.at, ZoneInfo(station.time_zone if station is not None else "UTC")),
        trip.cause,
        seen.title(chinese=chinese),
        trip.object,
        trip.zone,
        "true" if trip.drill else "false",
        " ".join(f"{number}:{connector}" for number, connector in trip.connectors),
        _figure(trip.stop_sent_us),
        _figure(trip.siren_us),
        _figure(trip.contactor_us),
        _figure(trip.zero_current_ms),
        " ".join(trip.contactors),
        str(seen.alarm.id) if seen.alarm is not None else "",
    )


def _figure(value: int | None) -> str:
    return "" if value is None else str(value)
