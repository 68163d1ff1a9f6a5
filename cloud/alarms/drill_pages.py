"""Drills of a station for people: when, what sounded, and starting one."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from cloud.alarms import drills
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Dispatcher, Reader
from cloud.protection.pages import STREAM, station_context
from cloud.stations import lookup
from cloud.web.pages import Pages

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.alarms")


@router.get("/protection/{station_no}/drills")
async def drills_page(
    request: Request, station_no: str, staff: Reader, session: SessionDep, clock: ClockDep
) -> Response:
    """Show a station's drills with what each output did, newest first."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    running = await drills.stations_saying(session, staff.operator_id, drills.RUNNING)
    due = await drills.stations_saying(session, staff.operator_id, drills.DUE)
    return _pages.render(
        request,
        "alarms/drills.html",
        drills=await drills.drills_of(session, station.id),
        asked=await drills.last_asked(session, station.id),
        running=station.id in running,
        due=station.id in due,
        now=clock.now(),
        stream=STREAM,
        **station_context(staff, station),
    )


@router.post("/protection/{station_no}/drills")
async def start_drill_with_form(
    request: Request, station_no: str, staff: Dispatcher, session: SessionDep, clock: ClockDep
) -> Response:
    """Have the station try its sirens, and go back."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    row = await drills.start_drill(session, station_id=station.id, by=staff.name, now=clock.now())
    note_change(request, after={"command_id": row.id})
    return RedirectResponse(f"/protection/{station.station_no}/drills", HTTPStatus.SEE_OTHER)
