"""Alarms over HTTP: what is open, what was, who saw it and who put it aside."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse
from sqlmodel import col, select

from cloud.alarms import life, queries
from cloud.alarms.csv_file import csv_lines
from cloud.alarms.filters import FilterDep
from cloud.alarms.history import moments_of
from cloud.alarms.models import Alarm, Drill, Trip
from cloud.alarms.schemas import (
    AlarmRead,
    DrillRead,
    GroupRead,
    MomentRead,
    ShelveBody,
    TripRead,
)
from cloud.core.audit import note_change
from cloud.core.csv_export import csv_answer
from cloud.core.db import SessionDep, Sessions
from cloud.core.deps import ClockDep, Dispatcher, Reader
from cloud.core.errors import error_responses
from cloud.core.language import wants_chinese
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.protection.titles import titles_of
from cloud.stations import lookup
from cloud.web.texts import texts_for

router = APIRouter(prefix="/api/v1/alarms", tags=["alarms"])

Language = Annotated[str, Header(alias="Accept-Language", max_length=200)]


@router.get("", operation_id="alarms_list", responses=error_responses(lookup.StationNotFoundError))
async def list_alarms(
    session: SessionDep,
    staff: Reader,
    page: PageDep,
    wanted: FilterDep,
    clock: ClockDep,
    accept_language: Language = "",
) -> Page[AlarmRead]:
    """List alarms, the open ones unless `view` says otherwise; newest first."""
    statement = queries.matching(staff.operator_id, wanted, clock.now())
    rows, cursor = await newest_first(session, statement, page, id_column=col(Alarm.id))
    chinese = wants_chinese(accept_language)
    return Page(items=[AlarmRead.of(row, chinese=chinese) for row in rows], next_cursor=cursor)


@router.get(
    "/groups", operation_id="alarms_groups", responses=error_responses(lookup.StationNotFoundError)
)
async def list_groups(
    session: SessionDep,
    staff: Reader,
    wanted: FilterDep,
    clock: ClockDep,
    accept_language: Language = "",
) -> list[GroupRead]:
    """Show alarms by code and station, the worst first; at most 500 groups."""
    found = await queries.groups(session, staff.operator_id, wanted, clock.now())
    stations = await lookup.stations_of(session, staff.operator_id)
    numbers = {station.id: station.station_no for station in stations}
    chinese = wants_chinese(accept_language)
    return [
        GroupRead.of(group, numbers[group.station_id] if group.station_id else "", chinese=chinese)
        for group in found
    ]


@router.get(
    "/export",
    operation_id="alarms_export",
    response_class=StreamingResponse,
    responses=error_responses(lookup.StationNotFoundError),
)
async def export_alarms(
    request: Request,
    session: SessionDep,
    staff: Reader,
    wanted: FilterDep,
    clock: ClockDep,
) -> StreamingResponse:
    """Return the same list whole as CSV for spreadsheets, times on the stations' clocks.

    Titles are in the language that pages are in: `lang`, the cookie, or Accept-Language.
    """
    sessions: Sessions = request.app.state.sessions
    stations = await lookup.stations_of(session, staff.operator_id)
    lines = csv_lines(
        sessions,
        queries.matching(staff.operator_id, wanted, clock.now()),
        {station.id: station for station in stations},
        await titles_of(session, staff.operator_id, {station.id for station in stations}),
        chinese=texts_for(request).chinese,
    )
    return csv_answer(lines, "alarms.csv")


@router.get("/trips", operation_id="alarms_trips")
async def list_trips(session: SessionDep, staff: Reader, page: PageDep) -> Page[TripRead]:
    """List what the stations' safety did by itself, newest first."""
    statement = select(Trip).where(Trip.operator_id == staff.operator_id)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Trip.id))
    return Page(items=[TripRead(**row.model_dump()) for row in rows], next_cursor=cursor)


@router.get("/drills", operation_id="alarms_drills")
async def list_drills(session: SessionDep, staff: Reader, page: PageDep) -> Page[DrillRead]:
    """List drills of sirens and their read-back, newest first."""
    statement = select(Drill).where(Drill.operator_id == staff.operator_id)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Drill.id))
    return Page(items=[DrillRead(**row.model_dump()) for row in rows], next_cursor=cursor)


@router.get(
    "/{alarm_id}", operation_id="alarms_read", responses=error_responses(life.AlarmNotFoundError)
)
async def read_alarm(
    alarm_id: UUID, session: SessionDep, staff: Reader, accept_language: Language = ""
) -> AlarmRead:
    """Show one alarm."""
    alarm = await life.alarm_by_id(session, operator_id=staff.operator_id, alarm_id=alarm_id)
    return AlarmRead.of(alarm, chinese=wants_chinese(accept_language))


@router.get(
    "/{alarm_id}/history",
    operation_id="alarms_history",
    responses=error_responses(life.AlarmNotFoundError),
)
async def read_history(alarm_id: UUID, session: SessionDep, staff: Reader) -> list[MomentRead]:
    """Show the life of an alarm: what, when, who, and whether on site or at HQ; oldest first."""
    alarm = await life.alarm_by_id(session, operator_id=staff.operator_id, alarm_id=alarm_id)
    return [MomentRead.of(moment) for moment in await moments_of(session, alarm.id)]


@router.post(
    "/{alarm_id}/acknowledge",
    operation_id="alarms_acknowledge",
    responses=error_responses(life.AlarmNotFoundError),
)
async def acknowledge(
    alarm_id: UUID,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    accept_language: Language = "",
) -> AlarmRead:
    """Say that somebody saw it; its station is told. It stays open until its cause is gone."""
    alarm = await life.acknowledge(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        by=staff.name,
        now=clock.now(),
    )
    note_change(request, after={"acknowledged_by": alarm.acknowledged_by})
    return AlarmRead.of(alarm, chinese=wants_chinese(accept_language))


@router.post(
    "/{alarm_id}/shelve",
    operation_id="alarms_shelve",
    responses=error_responses(
        life.AlarmNotFoundError, life.CriticalAlarmError, life.ShelvedTooLongError
    ),
)
async def shelve(
    alarm_id: UUID,
    body: ShelveBody,
    request: Request,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    accept_language: Language = "",
) -> AlarmRead:
    """Put it aside for at most 8 hours, for a reason; its station is told. Never a critical one."""
    alarm = await life.shelve(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        until=body.until,
        reason=body.reason,
        by=staff.name,
        now=clock.now(),
    )
    note_change(request, after={"until": body.until.isoformat(), "reason": body.reason})
    return AlarmRead.of(alarm, chinese=wants_chinese(accept_language))


@router.post(
    "/{alarm_id}/unshelve",
    operation_id="alarms_unshelve",
    responses=error_responses(life.AlarmNotFoundError),
)
async def unshelve(
    alarm_id: UUID,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    accept_language: Language = "",
) -> AlarmRead:
    """Take it back that was put aside; its station is told."""
    alarm = await life.unshelve(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        by=staff.name,
        now=clock.now(),
    )
    return AlarmRead.of(alarm, chinese=wants_chinese(accept_language))
