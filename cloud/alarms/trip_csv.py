"""Trips as CSV for spreadsheets, row by row: any number of them in little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Trip
from cloud.alarms.trip_list import TripSeen, with_alarms
from cloud.core.csv_export import MARK, csv_line, csv_time, parts_of
from cloud.core.db import Sessions
from cloud.web.texts import Texts, catalogue
from cloud.web.things import thing

if TYPE_CHECKING:
    from cloud.protection.titles import Titles
    from cloud.stations.models import Station

COLUMNS = (
    "trip_id",
    "station_no",
    "station",
    "at",
    "cause",
    "title",
    "place",
    "object",
    "zone",
    "zone_name",
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
    titles: Mapping[UUID | None, Titles],
    *,
    chinese: bool,
) -> AsyncIterator[bytes]:
    """Yield a file: UTF-8 with its mark so that spreadsheets see Chinese, newest trip first.

    Times are ISO 8601 on the station's clock; a figure that is awaited or not fitted is empty.
    Places are what people call them, `titles` by station, with the station's own names beside.
    """
    texts = catalogue()["zh" if chinese else "en"]
    yield MARK + csv_line(COLUMNS)
    async for trips in parts_of(sessions, statement, col(Trip.id)):
        async with sessions() as session:
            found = await with_alarms(session, trips)
        for seen in found:
            id_ = seen.trip.station_id
            yield csv_line(_cells(seen, stations.get(id_), titles.get(id_, {}), texts))


def _cells(
    seen: TripSeen, station: Station | None, titles: Titles, texts: Texts
) -> tuple[str, ...]:
    trip = seen.trip
    return (
        str(trip.trip_id),
        station.station_no if station is not None else "",
        texts.name(station.name_zh, station.name_en) if station is not None else "",
        csv_time(trip.at, ZoneInfo(station.time_zone if station is not None else "UTC")),
        trip.cause,
        seen.title(chinese=texts.chinese),
        thing(texts, trip.object, titles) if trip.object else "",
        trip.object,
        thing(texts, f"zone:{trip.zone}", titles) if trip.zone else "",
        trip.zone,
        "true" if trip.drill else "false",
        _connectors(trip.connectors, texts),
        _figure(trip.stop_sent_us),
        _figure(trip.siren_us),
        _figure(trip.contactor_us),
        _figure(trip.zero_current_ms),
        texts("app.comma").join(trip.contactors),
        str(seen.alarm.id) if seen.alarm is not None else "",
    )


def _connectors(pairs: Sequence[Sequence[Any]], texts: Texts) -> str:
    """Return connectors, those of one charge point together."""
    found: dict[str, list[str]] = {}
    for number, connector_no in pairs:
        found.setdefault(str(number), []).append(texts("connector.short", n=connector_no))
    return texts("app.comma").join(f"{number} {' '.join(each)}" for number, each in found.items())


def _figure(value: int | None) -> str:
    return "" if value is None else str(value)
