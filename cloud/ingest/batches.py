"""Batches on their way through a worker, and the stations that may send them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from shared.clock import Clock
from shared.contracts.envelope import Uplink
from shared.contracts.topics import Lane

logger = logging.getLogger(__name__)

_FORGET_UNKNOWN_S = 10.0
_FORGET_KNOWN_S = 300.0
KNOWN_MAX = 50_000
"""Stations, and streams, that are remembered; what comes anew puts out the oldest."""

Pool = asyncpg.Pool


@dataclass(frozen=True, slots=True)
class KnownStation:
    """What ingest needs to know of a station."""

    operator_id: UUID
    station_id: UUID
    station_no: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Batch:
    """One uplink batch of a known station, read as far as its envelope.

    `content` stands for its body: a cloned disk goes on with the epoch and the numbers of the
    first, so these alone do not tell a batch from another.
    """

    station: KnownStation
    uplink: Uplink
    stream_id: int
    received_at: datetime
    content: int = field(init=False)

    def __post_init__(self) -> None:
        """Work out what stands for the body."""
        digest = blake2b(self.uplink.body, digest_size=8).digest()
        object.__setattr__(self, "content", int.from_bytes(digest, "big", signed=True))


FindStation = Callable[[str], Awaitable[KnownStation | None]]
"""Looks a station number up; the composition root gives it, because slices stand above."""


class Directory:
    """Known stations, cached; unknown numbers are asked for again after ten seconds."""

    def __init__(self, find: FindStation, clock: Clock) -> None:
        self._find = find
        self._clock = clock
        self._cache: dict[str, tuple[KnownStation | None, float]] = {}

    async def get(self, station_no: str) -> KnownStation | None:
        """Return the station, None for a number that HQ did not give out."""
        now_s = self._clock.monotonic_s()
        station, good_until_s = self._cache.get(station_no, (None, 0.0))
        if now_s < good_until_s:
            return station
        station = await self._find(station_no)
        if station is None and (station_no not in self._cache):
            logger.warning("batch of an unknown station station=%s", station_no)
        keep_s = _FORGET_UNKNOWN_S if station is None else _FORGET_KNOWN_S
        if len(self._cache) >= KNOWN_MAX:
            self._cache.pop(next(iter(self._cache)))
        self._cache[station_no] = (station, now_s + keep_s)
        return station


class StreamIds:
    """Short numbers for (station, epoch, lane), made on first sight, outside any transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._ids: dict[tuple[UUID, UUID, Lane], int] = {}

    async def get(self, station: KnownStation, epoch: UUID, lane: Lane) -> int:
        """Return the number of a stream."""
        key = (station.station_id, epoch, lane)
        if (found := self._ids.get(key)) is not None:
            return found
        args = (station.operator_id, *key[:2], lane.value)
        await self._pool.execute(
            "INSERT INTO ingest_stream (operator_id, station_id, epoch, lane)"
            " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            *args,
        )
        made: int = await self._pool.fetchval(
            "SELECT id FROM ingest_stream WHERE operator_id = $1 AND station_id = $2"
            " AND epoch = $3 AND lane = $4",
            *args,
        )
        if len(self._ids) >= KNOWN_MAX:
            self._ids.pop(next(iter(self._ids)))
        self._ids[key] = made
        return made


class Waiting:
    """Batches that wait for a transaction, bounded in bytes.

    What does not fit is not taken: it is not acknowledged, so its station sends it again.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._batches: list[Batch] = []
        self._bytes = 0
        self._records = 0
        self._some = asyncio.Event()

    @property
    def records(self) -> int:
        """Records that wait."""
        return self._records

    @property
    def bytes(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def offer(self, batch: Batch) -> bool:
        """Take a batch, False if there is no room."""
        size = len(batch.uplink.body)
        if self._bytes + size > self._bytes_max:
            return False
        self._batches.append(batch)
        self._bytes += size
        self._records += batch.uplink.count
        self._some.set()
        return True

    async def some(self) -> None:
        """Wait until there is something."""
        await self._some.wait()

    def take(self, records_max: int) -> list[Batch]:
        """Return the oldest batches, together at most `records_max` records, at least one."""
        count = records = 0
        for batch in self._batches:
            records += batch.uplink.count
            if count and records > records_max:
                break
            count += 1
        taken, self._batches = self._batches[:count], self._batches[count:]
        self._bytes -= sum(len(batch.uplink.body) for batch in taken)
        self._records -= sum(batch.uplink.count for batch in taken)
        if not self._batches:
            self._some.clear()
        return taken
