"""Which stations are heard of: a Redis key each that any message renews.

A key's expiry and the broker's will give speed; a sweep over all stations gives truth. While a
worker itself has no broker, or has had it for less than the silence that counts, nobody is
declared off-line: a dead broker is one alarm, not one per station.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cloud.core import metrics
from cloud.core.transient import is_transient
from cloud.ingest.batches import KNOWN_MAX, KnownStation
from cloud.ingest.handlers import Ingested
from cloud.stations import lookup, service
from shared.clock import Clock, to_ms
from shared.contracts.envelope import Status
from shared.contracts.events import AlarmCleared, AlarmRaised, Event
from shared.contracts.words import Severity
from shared.ids import uuid7

if TYPE_CHECKING:
    from cloud.stations.models import Station

logger = logging.getLogger(__name__)

_PREFIX = "vw:presence:"
_KNOWN = "vw:hq:presence-known"
_SETTLING = "vw:hq:presence-settling"
_SWEEP_LOCK = 0x76775051
_CODE = "station_offline"

Dispatch = Callable[[AsyncSession, Ingested, Event], Awaitable[None]]
"""Hands a fact of HQ's own to the slices."""
LinkUpSince = Callable[[], float | None]
"""Monotonic seconds since when the broker is connected, None while it is not."""


class Presence:
    """Renews keys, and tells the slices who came and who went."""

    def __init__(
        self,
        *,
        redis: Redis,
        sessions: async_sessionmaker[AsyncSession],
        dispatch: Dispatch,
        link_up_since: LinkUpSince,
        clock: Clock,
        silence_s: int,
        sweep_s: float,
    ) -> None:
        self._redis = redis
        self._sessions = sessions
        self._dispatch = dispatch
        self._link_up_since = link_up_since
        self._clock = clock
        self._silence_s = silence_s
        self._sweep_s = sweep_s
        self._heard: set[str] = set()
        self._renewed_s: dict[str, float] = {}
        self._some = asyncio.Event()
        self._look = asyncio.Event()
        self._keys_since_s: float | None = None
        self._said_off: set[str] = set()

    def heard(self, station: KnownStation) -> None:
        """Any message of a station came."""
        number = station.station_no
        self._said_off.discard(number)
        last_s = self._renewed_s.get(number)
        now_s = self._clock.monotonic_s()
        if last_s is None or now_s - last_s > self._silence_s / 5:
            if last_s is None:
                self._look.set()
            if len(self._renewed_s) >= KNOWN_MAX:
                self._renewed_s.pop(next(iter(self._renewed_s)))
            self._renewed_s[number] = now_s
            self._heard.add(number)
            self._some.set()

    async def on_status(self, station: KnownStation, status: Status) -> None:
        """The station, or its will, says whether it is there."""
        if status.online:
            self._renewed_s.pop(station.station_no, None)
            self.heard(station)
            return
        self._renewed_s.pop(station.station_no, None)
        self._heard.discard(station.station_no)
        self._said_off.add(station.station_no)
        with contextlib.suppress(RedisError, OSError):
            await self._redis.delete(_PREFIX + station.station_no)
        self._look.set()

    async def run(self) -> None:
        """Renew, listen and sweep until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew())
            tasks.create_task(self._listen())
            tasks.create_task(self._sweep_often())

    async def _renew(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            numbers, self._heard = self._heard, set()
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for number in numbers:
                        pipe.set(_PREFIX + number, 1, ex=self._silence_s)
                    await pipe.execute()
            except (RedisError, OSError) as error:
                logger.warning("redis is away, presence waits error=%s", error)
                for number in numbers:
                    self._renewed_s.pop(number, None)
            await asyncio.sleep(0.2)

    async def _listen(self) -> None:
        while True:
            try:
                # A server that is not ours may forbid it; then the sweep alone decides.
                with contextlib.suppress(ResponseError):
                    await self._redis.config_set("notify-keyspace-events", "Ex")
                async with self._redis.pubsub() as pubsub:
                    await pubsub.psubscribe("__keyevent@*__:expired")
                    while True:
                        message = await pubsub.get_message(
                            ignore_subscribe_messages=True, timeout=1.0
                        )
                        if message and message["data"].startswith(_PREFIX.encode()):
                            self._look.set()
            except (RedisError, OSError) as error:
                logger.debug("not listening for expiry error=%s", error)
            await asyncio.sleep(2.0)

    async def _sweep_often(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._sweep_s):
                    await self._look.wait()
                # The key of whoever was just heard is written first.
                await asyncio.sleep(0.5)
            self._look.clear()
            try:
                await self.sweep()
            except Exception as error:
                if is_transient(error):
                    logger.warning("sweep is put off error=%r", error)
                else:
                    # One station's trouble must not end what takes in every station's facts.
                    logger.exception("sweep failed")

    async def sweep(self) -> None:
        """Compare keys with what the database says of every station, one worker at a time."""
        async with self._sessions() as session, session.begin():
            if not await session.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_SWEEP_LOCK))):
                return
            stations = await lookup.all_stations(session)
            if not stations:
                return
            keys, keys_are_trusted = await self._keys([each.station_no for each in stations])
            metrics.ONLINE.set(sum(key is not None for key in keys))
            link_is_trusted = self._silence_is_trusted()
            now = self._clock.now()
            for station, key in zip(stations, keys, strict=True):
                silence_counts = keys_are_trusted or station.station_no in self._said_off
                if key is not None and not station.online:
                    await self._came(session, station, now)
                elif key is None and station.online and link_is_trusted and silence_counts:
                    await self._went(session, station, now)

    async def _keys(self, numbers: Sequence[str]) -> tuple[list[bytes | None], bool]:
        """Return the keys of stations, and whether a missing one can only mean silence.

        It cannot after Redis was away, when keys ran out that nobody could renew, nor after it
        came back empty: then every station has as long as a silent one to be heard. All is read
        at one moment: it may be emptied in any other.
        """
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.exists(_KNOWN)
                pipe.exists(_SETTLING)
                pipe.mget([_PREFIX + number for number in numbers])
                known, settling, keys = await pipe.execute()
            if not known:
                # In this order: a worker that dies in between settles again.
                await self._redis.set(_SETTLING, 1, ex=self._silence_s)
                await self._redis.set(_KNOWN, 1)
        except (RedisError, OSError):
            self._keys_since_s = None
            raise
        now_s = self._clock.monotonic_s()
        if self._keys_since_s is None:
            self._keys_since_s = now_s
        long_enough = now_s - self._keys_since_s >= self._silence_s
        return keys, bool(known) and not settling and long_enough

    def _silence_is_trusted(self) -> bool:
        since_s = self._link_up_since()
        return since_s is not None and self._clock.monotonic_s() - since_s >= self._silence_s

    async def _came(self, session: AsyncSession, station: Station, now: datetime) -> None:
        logger.info("station on-line station=%s", station.station_no)
        alarm_id = await service.mark_online(session, station_id=station.id, now=now)
        if alarm_id is not None:
            cleared = AlarmCleared(occurred_at=now, alarm_id=alarm_id, code=_CODE, object="station")
            await self._dispatch(session, _context(station, now), cleared)

    async def _went(self, session: AsyncSession, station: Station, now: datetime) -> None:
        logger.warning("station off-line station=%s", station.station_no)
        alarm_id: UUID = uuid7(to_ms(now))
        last = now - timedelta(seconds=self._silence_s)
        if await service.mark_offline(session, station_id=station.id, alarm_id=alarm_id, now=last):
            raised = AlarmRaised(
                occurred_at=now,
                alarm_id=alarm_id,
                code=_CODE,
                severity=Severity.MAJOR,
                object="station",
                params={"station_no": station.station_no},
            )
            await self._dispatch(session, _context(station, now), raised)


def _context(station: Station, now: datetime) -> Ingested:
    return Ingested(
        operator_id=station.operator_id,
        station_id=station.id,
        station_no=station.station_no,
        zone=service.zone_of(station),
        received_at=now,
    )
