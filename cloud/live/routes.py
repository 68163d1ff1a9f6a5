"""What is going on now, once or as a stream of server-sent events.

One stream carries any number of stations: browsers allow six connections to one server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.responses import Response

from cloud.core.commands import enqueue_command
from cloud.core.db import SessionDep, Sessions
from cloud.core.deps import Reader, RedisDep
from cloud.core.errors import NotFoundError, UnavailableError, error_responses
from cloud.core.json import FastJson
from cloud.live.reading import read_values, while_it_charges
from cloud.live.store import stream_key
from cloud.stations import lookup
from cloud.web.streams import BEAT, HEARTBEAT_S, OPENED, STREAM_S, stream
from shared.clock import Clock
from shared.contracts.commands import Watch

router = APIRouter(prefix="/api/v1/live", tags=["live"])

STATIONS_MAX = 50
StationNo = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
LEASE_S = 60
_STREAM_ID = r"^[0-9]{1,19}-[0-9]{1,19}(,[0-9]{1,19}-[0-9]{1,19}){0,49}$"


@router.get(
    "/stations/{station_no}",
    operation_id="live_read",
    responses=error_responses(NotFoundError),
)
async def read_live(
    station_no: str, staff: Reader, session: SessionDep, redis: RedisDep
) -> Response:
    """Show each connector: what it does, from the database; its latest values, from Redis.

    Power, current and minutes left are there only while it charges. `values_at_ms` says how old
    values are. Without Redis they are missing, nothing else.
    """
    station = await lookup.station_by_no(session, staff.operator_id, station_no)
    values = (await read_values(redis, [station_no]))[station_no]
    connectors = [
        {
            **while_it_charges(
                values.get(f"{row.charge_point_no}:{row.connector_no}", {}), row.status
            ),
            "charge_point_no": row.charge_point_no,
            "connector_no": row.connector_no,
            "status": row.status,
            "plugged_in": row.plugged_in,
            "transaction_id": row.transaction_id,
            "last_change_at": row.last_change_at,
        }
        for row in await lookup.connectors(session, station.id)
    ]
    return FastJson({"station_no": station_no, "online": station.online, "connectors": connectors})


@router.get(
    "/stream",
    operation_id="live_stream",
    responses=error_responses(NotFoundError, UnavailableError),
    response_class=StreamingResponse,
)
async def stream_live(
    request: Request,
    staff: Reader,
    station: Annotated[list[StationNo], Query(min_length=1, max_length=STATIONS_MAX)],
    last_event_id: Annotated[str | None, Header(pattern=_STREAM_ID)] = None,
) -> StreamingResponse:
    """Send updates of one or more stations as they come, and a `beat` while there are none.

    After a break, `Last-Event-ID` gives what was missed, as far as the ring of 256 reaches. A
    stream ends after five minutes; open it again.
    """
    sessions: Sessions = request.app.state.sessions
    async with sessions() as session:
        stations = {
            no: (await lookup.station_by_no(session, staff.operator_id, no)).id for no in station
        }
    return stream(request, _events(request, stations, last_event_id))


async def _events(
    request: Request, stations: dict[str, UUID], last_id: str | None
) -> AsyncIterator[bytes]:
    state = request.app.state
    redis: Redis = state.stream_redis
    clock: Clock = state.clock
    ends_s = clock.monotonic_s() + STREAM_S
    renews_s = clock.monotonic_s()
    try:
        yield OPENED
        positions = await _positions(redis, list(stations), last_id)
        while clock.monotonic_s() < ends_s:
            if clock.monotonic_s() >= renews_s:
                renews_s = clock.monotonic_s() + HEARTBEAT_S
                await _renew_watches(redis, state.sessions, clock, stations)
            # The client's own types want wider dicts than they use.
            wanted: dict[Any, Any] = positions
            found: Any = await redis.xread(wanted, block=HEARTBEAT_S * 1000, count=64)
            if not found:
                yield BEAT
            for key, entries in found:
                for entry_id, fields in entries:
                    positions[key.decode()] = entry_id.decode()
                    event_id = ",".join(positions.values()).encode()
                    yield b"id: %b\nevent: live\ndata: %b\n\n" % (event_id, fields[b"d"])
    except RedisError:
        # The browser connects again by itself, with the last id it saw.
        yield b": redis is away\n\n"


async def _positions(redis: Redis, station_nos: list[str], last_id: str | None) -> dict[str, str]:
    """Return from where to read each ring; an id of another set of stations does not count."""
    seen = (last_id or "").split(",")
    if len(seen) != len(station_nos) or not last_id:
        seen = [await _newest_id(redis, station_no) for station_no in station_nos]
    return dict(zip(map(stream_key, station_nos), seen, strict=True))


async def _newest_id(redis: Redis, station_no: str) -> str:
    entries: Any = await redis.xrevrange(stream_key(station_no), count=1)
    return entries[0][0].decode() if entries else "0-0"


async def _renew_watches(
    redis: Redis, sessions: Sessions, clock: Clock, stations: dict[str, UUID]
) -> None:
    # One viewer of many renews, well before the lease ends.
    async with redis.pipeline(transaction=False) as pipe:
        for station_no in stations:
            pipe.set(f"vw:watch:{station_no}", 1, ex=LEASE_S // 2, nx=True)
        is_due = await pipe.execute()
    due = [station_id for station_id, is_ in zip(stations.values(), is_due, strict=True) if is_]
    if not due:
        return
    now = clock.now()
    async with sessions() as session, session.begin():
        for station_id in due:
            await enqueue_command(
                session,
                station_id,
                Watch(lease_s=LEASE_S),
                expires_at=now + timedelta(seconds=LEASE_S // 2),
                now=now,
                replace_kind=True,
            )
