"""Alarms over HTTP: what is open, what was, who saw it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header
from sqlmodel import col, select

from cloud.alarms import service
from cloud.alarms.models import Alarm, Trip
from cloud.alarms.schemas import AlarmRead, TripRead
from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Dispatcher, Reader
from cloud.core.errors import error_responses
from cloud.core.language import wants_chinese
from cloud.core.pagination import Page, PageDep, newest_first
from cloud.stations import lookup
from shared.contracts.words import Severity

router = APIRouter(prefix="/api/v1/alarms", tags=["alarms"])

Language = Annotated[str, Header(alias="Accept-Language", max_length=200)]


@router.get("", operation_id="alarms_list", responses=error_responses(lookup.StationNotFoundError))
async def list_alarms(
    session: SessionDep,
    staff: Reader,
    page: PageDep,
    station: str = "",
    open_only: bool = True,
    severity: Severity | None = None,
    code: str = "",
    accept_language: Language = "",
) -> Page[AlarmRead]:
    """List open alarms, or all of them with `open_only=false`; newest first."""
    statement = select(Alarm).where(Alarm.operator_id == staff.operator_id)
    if station:
        found = await lookup.station_by_no(session, staff.operator_id, station)
        statement = statement.where(Alarm.station_id == found.id)
    if open_only:
        statement = statement.where(col(Alarm.cleared_at).is_(None))
    if severity is not None:
        statement = statement.where(Alarm.severity == severity)
    if code:
        statement = statement.where(Alarm.code == code)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Alarm.id))
    chinese = wants_chinese(accept_language)
    return Page(items=[AlarmRead.of(row, chinese=chinese) for row in rows], next_cursor=cursor)


@router.get("/trips", operation_id="alarms_trips")
async def list_trips(session: SessionDep, staff: Reader, page: PageDep) -> Page[TripRead]:
    """List what the stations' safety did by itself, newest first."""
    statement = select(Trip).where(Trip.operator_id == staff.operator_id)
    rows, cursor = await newest_first(session, statement, page, id_column=col(Trip.id))
    return Page(items=[TripRead(**row.model_dump()) for row in rows], next_cursor=cursor)


@router.post(
    "/{alarm_id}/acknowledge",
    operation_id="alarms_acknowledge",
    responses=error_responses(service.AlarmNotFoundError),
)
async def acknowledge(
    alarm_id: UUID,
    session: SessionDep,
    staff: Dispatcher,
    clock: ClockDep,
    accept_language: Language = "",
) -> AlarmRead:
    """Say that somebody saw it. It stays open until its cause is gone."""
    alarm = await service.acknowledge(
        session,
        operator_id=staff.operator_id,
        alarm_id=alarm_id,
        by=staff.name,
        now=clock.now(),
    )
    return AlarmRead.of(alarm, chinese=wants_chinese(accept_language))
