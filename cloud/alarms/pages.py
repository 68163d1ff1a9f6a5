"""Alarms for people: what is wrong now, what was, and what they do about it."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request
from msgspec import Struct
from sqlmodel import col
from starlette.responses import RedirectResponse, Response

from cloud.alarms import life, queries
from cloud.alarms.history import moments_of
from cloud.alarms.models import Alarm
from cloud.alarms.notify.queries import notices_about
from cloud.alarms.queries import Filter, View
from cloud.alarms.rules import SHELVED_MAX_H, texts_of
from cloud.alarms.trips import trips_of
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Dispatcher, Reader
from cloud.core.pagination import PageRequest, newest_first
from cloud.core.security import MATRIX, Permission
from cloud.protection.titles import titles_of
from cloud.stations import lookup
from cloud.web.forms import local_path
from cloud.web.pages import Pages
from shared.contracts.words import Severity

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.alarms")

_A_PAGE = 50
_GROUPS_SHOWN = 12
_HISTORY = frozenset({View.CLEARED, View.ALL})
"""Views that read like a log; what still stands is listed worst first."""
STREAM = "/api/v1/alarms/stream"
Text = Annotated[str, Query(max_length=64)]
Day = Annotated[str, Query(max_length=10)]
Next = Annotated[str, Form(alias="next", max_length=500)]


class Wanted(Struct, frozen=True, kw_only=True):
    """A filter as the page's form gives it: what is not chosen, or makes no sense, is empty."""

    view: View
    severity: str
    station: str
    code: str
    drill: str
    since: str
    until: str

    def query(self, **changes: str) -> str:
        """Return it as a query, with changes and without what is empty."""
        values = {name: str(getattr(self, name)) for name in self.__struct_fields__} | changes
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def narrows(self) -> bool:
        """Whether it leaves out more than what is over."""
        names = ("severity", "station", "code", "drill", "since", "until")
        return self.view is not View.OPEN or any(getattr(self, name) for name in names)


def _wanted(
    view: Text = "",
    severity: Text = "",
    station: Text = "",
    code: Text = "",
    drill: Text = "",
    since: Day = "",
    until: Day = "",
) -> Wanted:
    return Wanted(
        view=View(view) if view in set(View) else View.OPEN,
        severity=severity if severity in set(Severity) else "",
        station=station,
        code=code,
        drill=drill if drill in {"yes", "no"} else "",
        since=since if _day(since) else "",
        until=until if _day(until) else "",
    )


@router.get("/alarms")
async def alarms_page(
    request: Request,
    staff: Reader,
    session: SessionDep,
    clock: ClockDep,
    wanted: Annotated[Wanted, Depends(_wanted)],
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """List alarms by filter, with groups of one cause above, the worst first."""
    now = clock.now()
    stations = await lookup.stations_of(session, staff.operator_id)
    filter_ = _filter(wanted, stations)
    statement = queries.matching(staff.operator_id, filter_, now)
    if wanted.view in _HISTORY:
        rows, next_cursor = await newest_first(
            session,
            statement,
            PageRequest(limit=_A_PAGE, cursor=cursor),
            id_column=col(Alarm.id),
        )
    else:
        found, next_cursor = await queries.worst_first(
            session, statement, cursor=cursor, limit=_A_PAGE
        )
        rows = list(found)
    groups = await queries.groups(session, staff.operator_id, filter_, now)
    return _pages.render(
        request,
        "alarms/list.html",
        alarms=rows,
        titles=await titles_of(session, staff.operator_id, {row.station_id for row in rows}),
        groups=[group for group in groups if group.count > 1][:_GROUPS_SHOWN],
        worst_params=groups[0].params if groups else None,
        total=sum(group.count for group in groups),
        aside=sum(group.aside for group in groups),
        counts=await queries.counts_by_severity(session, staff.operator_id, now),
        aside_count=await queries.count_aside(session, staff.operator_id, now),
        stations=stations,
        places={station.id: station for station in stations},
        wanted=wanted,
        views=list(View),
        severities=list(Severity),
        export_query=_export_query(filter_, wanted),
        next_cursor=next_cursor,
        cursor=cursor,
        now=now,
        here=f"/alarms?{wanted.query(cursor=cursor)}",
        **_common(staff.role),
    )


@router.get("/alarms/{alarm_id}")
async def alarm_page(
    alarm_id: UUID, request: Request, staff: Reader, session: SessionDep, clock: ClockDep
) -> Response:
    """Show one alarm: what to do, its life, what safety did about it and who was told."""
    alarm = await life.alarm_by_id(session, operator_id=staff.operator_id, alarm_id=alarm_id)
    station = None
    if alarm.station_id is not None:
        station = await lookup.station_by_id(session, staff.operator_id, alarm.station_id)
    titles = await titles_of(session, staff.operator_id, {alarm.station_id})
    return _pages.render(
        request,
        "alarms/detail.html",
        alarm=alarm,
        titles=titles.get(alarm.station_id, {}),
        place=station,
        zone=station.time_zone if station is not None else "UTC",
        moments=await moments_of(session, alarm.id),
        trips=await trips_of(session, alarm),
        notices=await notices_about(session, alarm.id),
        now=clock.now(),
        here=f"/alarms/{alarm.id}",
        **_common(staff.role),
    )


@router.post("/alarms/{alarm_id}/acknowledge")
async def acknowledge_with_form(
    alarm_id: UUID,
    request: Request,
    staff: Dispatcher,
    session: SessionDep,
    clock: ClockDep,
    next_path: Next = "/alarms",
) -> Response:
    """Say that somebody saw it, and go back."""
    await life.acknowledge(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        by=staff.name,
        now=clock.now(),
    )
    note_change(request, after={"acknowledged_by": staff.name})
    return RedirectResponse(local_path(next_path), HTTPStatus.SEE_OTHER)


@router.post("/alarms/{alarm_id}/shelve")
async def shelve_with_form(
    alarm_id: UUID,
    request: Request,
    staff: Dispatcher,
    session: SessionDep,
    clock: ClockDep,
    *,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
    hours: Annotated[int, Form(ge=1, le=SHELVED_MAX_H)],
    next_path: Next = "/alarms",
) -> Response:
    """Put it aside, and go back."""
    until = clock.now() + timedelta(hours=hours)
    await life.shelve(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        until=until,
        reason=reason,
        by=staff.name,
        now=clock.now(),
    )
    note_change(request, after={"until": until.isoformat(), "reason": reason})
    return RedirectResponse(local_path(next_path), HTTPStatus.SEE_OTHER)


@router.post("/alarms/{alarm_id}/unshelve")
async def unshelve_with_form(
    alarm_id: UUID,
    staff: Dispatcher,
    session: SessionDep,
    clock: ClockDep,
    next_path: Next = "/alarms",
) -> Response:
    """Take it back, and go back."""
    await life.unshelve(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        by=staff.name,
        now=clock.now(),
    )
    return RedirectResponse(local_path(next_path), HTTPStatus.SEE_OTHER)


def _common(role: str) -> dict[str, Any]:
    return {
        "stream": STREAM,
        "texts_of": texts_of,
        "hours": [1, 2, 4, SHELVED_MAX_H],
        "may_act": role in MATRIX[Permission.OPERATE],
    }


def _filter(wanted: Wanted, stations: Any) -> Filter:
    chosen = next((each for each in stations if each.station_no == wanted.station), None)
    # Days are those of the station, or of the first one: somebody's day they must be.
    place = chosen or next(iter(stations), None)
    zone = ZoneInfo(place.time_zone if place is not None else "UTC")
    since, until = _day(wanted.since), _day(wanted.until)
    return Filter(
        view=wanted.view,
        severities=(Severity(wanted.severity),) if wanted.severity else (),
        # A station that is not there has no alarms; no station chosen has all.
        station_id=chosen.id if chosen else (UUID(int=0) if wanted.station else None),
        code=wanted.code,
        drill={"yes": True, "no": False}.get(wanted.drill),
        since=datetime.combine(since, time(), zone) if since else None,
        until=datetime.combine(until + timedelta(days=1), time(), zone) if until else None,
    )


def _export_query(filter_: Filter, wanted: Wanted) -> str:
    """Return the same filter as the API takes it."""
    drill = {"yes": "true", "no": "false"}.get(wanted.drill, "")
    since = filter_.since.isoformat() if filter_.since else ""
    until = filter_.until.isoformat() if filter_.until else ""
    return wanted.query(drill=drill, since=since, until=until)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # Arithmetic with days near the calendar's ends leaves it.
    return day if 2000 <= day.year <= 2100 else None
