"""Alarms as server-sent events: one event a step of an alarm's life, at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from cloud.alarms.feed import AlarmFeed, News, missed
from cloud.alarms.schemas import AlarmRead, MomentRead
from cloud.core.db import Sessions
from cloud.core.deps import Reader
from cloud.core.errors import UnavailableError, error_responses
from cloud.core.json import dumps
from cloud.core.security import Staff
from cloud.web.streams import BEAT, HEARTBEAT_S, OPENED, STREAM_S, stream
from cloud.web.texts import texts_for
from shared.clock import Clock

router = APIRouter(prefix="/api/v1/alarms", tags=["alarms"])


@router.get(
    "/stream",
    operation_id="alarms_stream",
    responses=error_responses(UnavailableError),
    response_class=StreamingResponse,
)
async def stream_alarms(
    request: Request,
    staff: Reader,
    last_event_id: Annotated[UUID | None, Header()] = None,
) -> StreamingResponse:
    """Send every step of every alarm as it is committed, and a `beat` while there are none.

    An `alarm` event has `moment` (what happened) and `alarm` (as it is after it). After a break,
    `Last-Event-ID` gives what was missed, a minute back; one may come twice. `reload` says that
    some may be missing: read the list. A stream ends after five minutes; open it again. Texts are
    in the language that pages are in: `lang`, the cookie, or Accept-Language.
    """
    chinese = texts_for(request).chinese
    return stream(request, _events(request, staff, last_event_id, chinese=chinese))


async def _events(
    request: Request, staff: Staff, last_id: UUID | None, *, chinese: bool
) -> AsyncIterator[bytes]:
    feed: AlarmFeed = request.app.state.alarm_feed
    sessions: Sessions = request.app.state.sessions
    clock: Clock = request.app.state.clock
    ends_s = clock.monotonic_s() + STREAM_S
    with feed.viewer(staff.operator_id) as news:
        yield OPENED
        if last_id is not None:
            async with sessions() as session:
                missed_news = await missed(session, staff.operator_id, last_id, clock.now())
            for each in missed_news:
                yield _event(each, chinese=chinese)
        while clock.monotonic_s() < ends_s:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    found = await news.get()
            except TimeoutError:
                yield BEAT
                continue
            yield (
                b"event: reload\ndata: {}\n\n" if found is None else _event(found, chinese=chinese)
            )


def _event(news: News, *, chinese: bool) -> bytes:
    moment, alarm = news
    data = dumps(
        {
            "moment": MomentRead.of(moment).model_dump(),
            "alarm": AlarmRead.of(alarm, chinese=chinese).model_dump(),
        }
    )
    return b"id: %b\nevent: alarm\ndata: %b\n\n" % (str(moment.id).encode(), data)
