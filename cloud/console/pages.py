"""The overview: the first page after logging in."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from cloud.alarms.pages import STREAM
from cloud.alarms.rules import texts_of
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
