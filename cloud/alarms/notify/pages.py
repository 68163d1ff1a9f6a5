"""Notices for people: over which channels, in which order, and what became of the last ones."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from sqlmodel import col, select
from starlette.responses import RedirectResponse, Response

from cloud.alarms.notify import service
from cloud.alarms.notify.models import Notice, NoticeState
from cloud.alarms.pages import STREAM
from cloud.alarms.trip_list import title_of
from cloud.core.audit import note_change
from cloud.core.db import SessionDep
from cloud.core.deps import Admin, ClockDep, Reader
from cloud.core.pagination import PageRequest, newest_first
from cloud.core.security import MATRIX, Permission
from cloud.stations import lookup
from cloud.web.forms import local_path
from cloud.web.pages import Pages

if TYPE_CHECKING:
    from cloud.stations.models import Station

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.alarms")

_A_PAGE = 50
_HOME = "/notices"
Next = Annotated[str, Form(alias="next", max_length=500)]


@router.get("/notices")
async def notices_page(
    request: Request,
    staff: Reader,
    session: SessionDep,
    clock: ClockDep,
    state: Annotated[str, Query(max_length=16)] = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show what was told to whom and what became of it; channels and chains to administrators."""
    wanted = state if state in set(NoticeState) else ""
    statement = select(Notice).where(Notice.operator_id == staff.operator_id)
    if wanted:
        statement = statement.where(Notice.state == wanted)
    page = PageRequest(limit=_A_PAGE, cursor=cursor)
    rows, next_cursor = await newest_first(session, statement, page, id_column=col(Notice.id))
    stations = await lookup.stations_of(session, staff.operator_id)
    channels = await service.channels_of(session, staff.operator_id)
    may_administer = staff.role in MATRIX[Permission.ADMINISTER]
    return _pages.render(
        request,
        "alarms/notices.html",
        notices=rows,
        channels=channels,
        names={str(channel.id): channel.name for channel in channels},
        rules=await service.rules_of(session, staff.operator_id) if may_administer else [],
        may_administer=may_administer,
        places={station.id: station for station in stations},
        numbers=_numbers(stations),
        states=list(NoticeState),
        wanted=wanted,
        cursor=cursor,
        next_cursor=next_cursor,
        title_of=title_of,
        zone=stations[0].time_zone if stations else "UTC",
        here=f"{_HOME}?state={wanted}" if wanted else _HOME,
        now=clock.now(),
        stream=STREAM,
    )


@router.post("/notices/channels/{channel_id}/test")
async def test_channel_with_form(
    request: Request, channel_id: UUID, staff: Admin, session: SessionDep, clock: ClockDep
) -> Response:
    """Send a test notice, and go back."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    await service.send_test(session, channel, now=clock.now())
    note_change(request, after={"tested": channel.name})
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


@router.post("/notices/channels/{channel_id}/switch")
async def switch_channel_with_form(
    request: Request,
    channel_id: UUID,
    staff: Admin,
    session: SessionDep,
    *,
    active: Annotated[bool, Form()],
) -> Response:
    """Use a channel or leave it off; switched off it sends nothing, not even what waits."""
    channel = await service.channel_by_id(session, staff.operator_id, channel_id)
    note_change(request, before={"active": channel.active}, after={"active": active})
    await service.change_channel(session, channel, {"active": active})
    return RedirectResponse(_HOME, HTTPStatus.SEE_OTHER)


@router.post("/notices/{notice_id}/redeliver")
async def redeliver_with_form(
    notice_id: UUID,
    staff: Admin,
    session: SessionDep,
    clock: ClockDep,
    next_path: Next = _HOME,
) -> Response:
    """Try a notice again that was given up, and go back."""
    await service.redeliver(session, staff.operator_id, notice_id, now=clock.now())
    return RedirectResponse(local_path(next_path), HTTPStatus.SEE_OTHER)


def _numbers(stations: Sequence[Station]) -> dict[str, str]:
    return {str(station.id): station.station_no for station in stations}
