"""Pages over all stations: the overview, the first after logging in, and protection."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from cloud.alarms.pages import STREAM
from cloud.alarms.rules import texts_of
from cloud.alarms.trip_list import title_of
from cloud.console import protection
from cloud.console.overview import gather
from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep, Reader, RedisDep
from cloud.web.pages import Pages
from shared.contracts.words import ConnectorStatus

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.console")


@router.get("/")
async def overview_page(
    request: Request,
    staff: Reader,
    session: SessionDep,
    redis: RedisDep,
    clock: ClockDep,
    page: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> Response:
    """Show all stations now. The page's script takes the same page again to bring itself up to
    date."""
    now = clock.now()
    overview = await gather(session, redis, operator_id=staff.operator_id, page=page, now=now)
    numbers = [("station", view.place.station_no) for view in overview.stations]
    return _pages.render(
        request,
        "console/overview.html",
        overview=overview,
        page=page,
        now=now,
        stream=f"/api/v1/live/stream?{urlencode(numbers)}" if numbers else "",
        alarm_stream=STREAM,
        states=list(ConnectorStatus),
        alarm_texts=texts_of,
    )


@router.get("/protection")
async def protection_page(
    request: Request, staff: Reader, session: SessionDep, clock: ClockDep
) -> Response:
    """Show whether each station protects itself as HQ wants, its last trip and its last drill."""
    now = clock.now()
    return _pages.render(
        request,
        "console/protection.html",
        everywhere=await protection.gather(session, operator_id=staff.operator_id, now=now),
        now=now,
        stream=STREAM,
        title_of=title_of,
    )
