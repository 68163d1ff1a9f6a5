"""Daily partitions: made ahead by a job, and on demand for a backlog of days gone by."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import asyncpg

from cloud.ingest.batches import Pool
from cloud.telemetry.models import PARTITION_PREFIX
from shared.clock import Clock, from_ms

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
AHEAD_DAYS = 7
AROUND_DAYS = 400
"""Samples further away than this from now stand in the default partition, for somebody to see."""
_LOCK = 0x76775450
"""Advisory lock: two workers that make one partition would otherwise fail on each other."""


class Partitions:
    """Knows which days have a partition and makes those that are needed."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._known: set[int] = set()

    async def make_ahead(self) -> None:
        """Make today's and the next days', and the default. Run daily, and at the start."""
        await self._make_default()
        today = self._clock.now_ms() // DAY_MS
        await self.ensure(range(today - 1, today + AHEAD_DAYS + 1))

    async def _make_default(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS {PARTITION_PREFIX}default"
                " PARTITION OF telemetry_sample DEFAULT"
            )

    async def ensure(self, days: Iterable[int]) -> None:
        """Make the partitions of these days (days since 1970, UTC) that can have one."""
        today = self._clock.now_ms() // DAY_MS
        missing = [
            day for day in sorted(set(days) - self._known) if abs(day - today) <= AROUND_DAYS
        ]
        for day in missing:
            await self._make(day)
            self._known.add(day)

    async def _make(self, day: int) -> None:
        name = f"{PARTITION_PREFIX}{from_ms(day * DAY_MS):%Y%m%d}"
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
                return
            try:
                async with connection.transaction():
                    await connection.execute(
                        f"CREATE TABLE {name} PARTITION OF telemetry_sample"
                        f" FOR VALUES FROM ({day * DAY_MS}) TO ({(day + 1) * DAY_MS})"
                    )
            except asyncpg.CheckViolationError:
                # The default partition holds samples of that day: from before it was near.
                # They stay there, and so do its others; every query still sees them.
                logger.warning("day stays in the default partition day=%s", name)
