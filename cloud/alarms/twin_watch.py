"""Two agents with one station number are one alarm: a disk or a configuration was copied.

They throw each other off the broker, or both stay and speak in turns. HQ keeps what both say; what
they say of themselves cannot both be the station's, so somebody has to stop one of them.
"""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms import service
from cloud.alarms.models import Alarm
from cloud.core.db import Sessions
from cloud.ingest.events import raw_connection
from cloud.ingest.journals import RETURNS, Heard, heard_lately
from shared.clock import Clock

logger = logging.getLogger(__name__)

CODE = "station_twice"
_LOCK = 0x76775053
_OPEN = (Alarm.code == CODE, col(Alarm.cleared_at).is_(None))


async def look_for_twins(sessions: Sessions, clock: Clock) -> None:
    """Raise the alarm of stations that speak twice, end it where one agent alone was heard.

    One worker at a time. A station that nobody hears keeps its alarm: nothing new is known.
    """
    now = clock.now()
    async with sessions() as session, session.begin():
        if not await session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK))):
            return
        known = set(await session.scalars(select(Alarm.station_id).where(*_OPEN)))
        for heard in await heard_lately(await raw_connection(session), clock.now_ms()):
            if heard.returns >= RETURNS and heard.station_id not in known:
                await _raise(session, heard, now)
            elif not heard.returns and heard.station_id in known:
                await _clear(session, heard, now)


async def is_twice(session: AsyncSession, station_id: UUID) -> bool:
    """Return whether a station is known to have two agents."""
    found = await session.scalar(select(Alarm.id).where(Alarm.station_id == station_id, *_OPEN))
    return found is not None


async def _raise(session: AsyncSession, heard: Heard, now: datetime) -> None:
    await service.raise_own(
        session,
        operator_id=heard.operator_id,
        station_id=heard.station_id,
        code=CODE,
        now=now,
    )
    logger.warning("two agents with one number station=%s", heard.station_id)


async def _clear(session: AsyncSession, heard: Heard, now: datetime) -> None:
    await service.clear_own(
        session,
        operator_id=heard.operator_id,
        station_id=heard.station_id,
        code=CODE,
        now=now,
    )
    logger.info("one agent again station=%s", heard.station_id)
