"""Drills over HTTP: starting one."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cloud.alarms import drills
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Dispatcher
from cloud.core.errors import error_responses
from cloud.stations import lookup

router = APIRouter(prefix="/api/v1", tags=["alarms"])


class DrillAsked(BaseModel):
    """A drill was asked for; `/api/v1/alarms/drills` has its results once it is over."""

    command_id: UUID = Field(description="`GET /commands/{id}` says whether it has begun")


@router.post(
    "/stations/{station_no}/drills",
    operation_id="drills_start",
    status_code=202,
    responses=error_responses(lookup.StationNotFoundError, drills.DrillAskedError),
)
async def start_drill(
    station_no: str, request: Request, session: SessionDep, staff: Dispatcher, clock: ClockDep
) -> DrillAsked:
    """Have a station try its sirens, strobes and loudspeaker, within a minute or not at all."""
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    row = await drills.start_drill(session, station_id=station.id, by=staff.name, now=clock.now())
    note_change(request, after={"command_id": row.id})
    return DrillAsked(command_id=row.id)
