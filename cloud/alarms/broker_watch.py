"""A dead broker is one alarm, of HQ itself; while it lasts nobody is declared off-line.

Every worker watches its own connection and says in Redis that it has one. Only when no worker has
one the broker is what is wrong, and not a worker's own line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cloud.alarms import service
from cloud.core import heartbeat
from cloud.core.db import Sessions
from cloud.stations import lookup
from shared.clock import Clock

logger = logging.getLogger(__name__)

CODE = "broker_unreachable"
OBJECT = "hq:broker"


class BrokerWatch:
    """Raises and clears the alarm; `look` once a second."""

    def __init__(
        self,
        *,
        redis: Redis,
        sessions: Sessions,
        connected: Callable[[], bool],
        clock: Clock,
        patience_s: float,
    ) -> None:
        self._redis = redis
        self._sessions = sessions
        self._connected = connected
        self._clock = clock
        self._patience_s = patience_s
        self._down_since_s: float | None = None
        # What the database says as far as we know: unknown at first, somebody may have raised it.
        self._open: bool | None = None
        self._redis_away = False

    async def look(self) -> None:
        """Compare the connection with the alarm. Raises what a database that is away raises."""
        if self._connected():
            self._down_since_s = None
            await self._beat()
            if self._open is not False:
                await self._clear()
                self._open = False
            return
        if self._down_since_s is None:
            self._down_since_s, self._open = self._clock.monotonic_s(), None
        down_s = self._clock.monotonic_s() - self._down_since_s
        if self._open or down_s < self._patience_s or await self._others_are_connected():
            return
        await self._raise()
        self._open = True

    async def _beat(self) -> None:
        try:
            await heartbeat.beat(self._redis)
        except (RedisError, OSError) as error:
            if not self._redis_away:
                logger.warning("redis is away, the broker's sign is missing error=%s", error)
            self._redis_away = True
        else:
            self._redis_away = False

    async def _others_are_connected(self) -> bool:
        try:
            return await heartbeat.anybody_connected(self._redis)
        except (RedisError, OSError):
            # Nobody to ask: what we see ourselves is all we know.
            return False

    async def _raise(self) -> None:
        now = self._clock.now()
        async with self._sessions() as session, session.begin():
            for operator_id in await lookup.operator_ids(session):
                await service.raise_of_hq(
                    session, operator_id=operator_id, code=CODE, object_=OBJECT, now=now
                )
        logger.error("no worker has the broker, alarm raised")

    async def _clear(self) -> None:
        now = self._clock.now()
        async with self._sessions() as session, session.begin():
            for operator_id in await lookup.operator_ids(session):
                await service.clear_own(
                    session,
                    operator_id=operator_id,
                    station_id=None,
                    code=CODE,
                    object_=OBJECT,
                    now=now,
                )
