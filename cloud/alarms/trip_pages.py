"""Trips for people: what stations' safety did by itself, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from msgspec import Struct
from sqlmodel import col
from starlette.responses import Response

from cloud.alarms.models import Trip
from cloud.alarms.pages import STREAM
from cloud.alarms.trip_csv import trip_csv_lines
from cloud.alarms.trip_list import (
    TripFilter,
    count_trips,
    latest_trips,
    matching_trips,
    with_alarms,
)
from cloud.core.csv_export import csv_answer
from cloud.core.db import SessionDep, Sessions
from cloud.core.deps import ClockDep, Reader
from cloud.core.pagination import PageRequest, newest_first
from cloud.protection.titles import titles_of
from cloud.stations import lookup
from cloud.web.days import begin_of, end_of, read_day
from cloud.web.formats import moment_s
from cloud.web.pages import Pages
from cloud.web.plots import Plot, Value, plot
from cloud.web.texts import texts_for

if TYPE_CHECKING:
    from cloud.stations.models import Station

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.alarms")

STOP_LIMIT_US = 5_000
"""What the station's own work may take from the deciding value to the last stop frame."""
SIREN_LIMIT_US = 5_000
ZERO_LIMIT_MS = 10_000
"""Above it the stop is not confirmed, which is an alarm of its own."""
_A_PAGE = 50
_PLOTTED = 60
Text = Annotated[str, Query(max_length=64)]
Day = Annotated[str, Query(max_length=10)]


class WantedTrips(Struct, frozen=True, kw_only=True):
    """A filter as the page's form gives it: what is not chosen, or makes no sense, is empty."""

    station: str
    cause: str
    drill: str
    since: str
    until: str

    def query(self, **changes: str) -> str:
        """Return it as a query, with changes and without what is empty."""
        values = {name: str(getattr(self, name)) for name in self.__struct_fields__} | changes
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def narrows(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.query())


def _wanted(
    station: Text = "", cause: Text = "", drill: Text = "", since: Day = "", until: Day = ""
) -> WantedTrips:
    return WantedTrips(
        station=station,
        cause=cause,
        drill=drill if drill in {"yes", "no"} else "",
        since=since if read_day(since) else "",
        until=until if read_day(until) else "",
    )


WantedDep = Annotated[WantedTrips, Depends(_wanted)]


@router.get("/trips")
async def trips_page(
    request: Request,
    staff: Reader,
    session: SessionDep,
    clock: ClockDep,
    wanted: WantedDep,
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """List trips by filter, newest first, with plots of how fast the last ones were."""
    stations = await lookup.stations_of(session, staff.operator_id)
    places = {station.id: station for station in stations}
    filter_ = _filter(wanted, stations)
    rows, next_cursor = await newest_first(
        session,
        matching_trips(staff.operator_id, filter_),
        PageRequest(limit=_A_PAGE, cursor=cursor),
        id_column=col(Trip.id),
    )
    # What comes in one batch has ids of one moment; what happened later stands first.
    rows.sort(key=lambda trip: trip.at, reverse=True)
    latest = await latest_trips(session, staff.operator_id, filter_, limit=_PLOTTED)
    return _pages.render(
        request,
        "alarms/trips.html",
        trips=await with_alarms(session, rows),
        total=await count_trips(session, staff.operator_id, filter_),
        plots=_plots(latest, places),
        plotted=len(latest),
        titles=await titles_of(session, staff.operator_id, {row.station_id for row in rows}),
        stations=stations,
        places=places,
        wanted=wanted,
        next_cursor=next_cursor,
        cursor=cursor,
        limits={"stop": STOP_LIMIT_US, "siren": SIREN_LIMIT_US, "zero": ZERO_LIMIT_MS},
        now=clock.now(),
        stream=STREAM,
    )


@router.get("/trips/export")
async def export_trips(
    request: Request, staff: Reader, session: SessionDep, wanted: WantedDep
) -> StreamingResponse:
    """Return the same list whole as CSV for spreadsheets, times on the stations' clocks."""
    sessions: Sessions = request.app.state.sessions
    stations = await lookup.stations_of(session, staff.operator_id)
    lines = trip_csv_lines(
        sessions,
        matching_trips(staff.operator_id, _filter(wanted, stations)),
        {station.id: station for station in stations},
        await titles_of(session, staff.operator_id, {station.id for station in stations}),
        chinese=texts_for(request).chinese,
    )
    return csv_answer(lines, "trips.csv")


def _filter(wanted: WantedTrips, stations: Sequence[Station]) -> TripFilter:
    chosen = next((each for each in stations if each.station_no == wanted.station), None)
    # Days are those of the station, or of the first one: somebody's day they must be.
    place = chosen or next(iter(stations), None)
    zone = ZoneInfo(place.time_zone if place is not None else "UTC")
    return TripFilter(
        # A station that is not there has no trips; no station chosen has all.
        station_id=chosen.id if chosen else (UUID(int=0) if wanted.station else None),
        cause=wanted.cause,
        drill={"yes": True, "no": False}.get(wanted.drill),
        since=begin_of(wanted.since, zone),
        until=end_of(wanted.until, zone),
    )


def _plots(trips: Sequence[Trip], places: dict[UUID, Station]) -> dict[str, Plot]:
    """Return how fast trips were, in milliseconds; zero current in seconds."""

    def figures(value_of: Callable[[Trip], int | None], unit: str) -> list[Value]:
        return [
            Value(
                None if (value := value_of(trip)) is None else value / 1000,
                text=_said(trip, places.get(trip.station_id), value, unit),
                hollow=trip.drill,
            )
            for trip in trips
        ]

    return {
        "stop": plot(figures(lambda trip: trip.stop_sent_us, "ms"), limit=STOP_LIMIT_US / 1000),
        "siren": plot(figures(lambda trip: trip.siren_us, "ms"), limit=SIREN_LIMIT_US / 1000),
        "zero": plot(figures(lambda trip: trip.zero_current_ms, "s"), limit=ZERO_LIMIT_MS / 1000),
    }


def _said(trip: Trip, station: Station | None, value: int | None, unit: str) -> str:
    zone = station.time_zone if station is not None else "UTC"
    number = station.station_no if station is not None else ""
    return f"{moment_s(trip.at, zone)} {number}: {(value or 0) / 1000:.1f} {unit}"
