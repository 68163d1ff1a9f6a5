"""What nobody can ask for any more goes, in parts, in one worker at a time."""

from __future__ import annotations

from uuid import uuid4

import asyncpg

from cloud.ingest.jobs import INBOX_DAYS, PURGE_ROWS, purge_inbox
from cloud.settings import Settings
from shared.clock import SystemClock

DAY_MS = 86_400_000


async def test_old_telemetry_is_forgotten_in_parts_and_facts_never(
    settings: Settings, database: asyncpg.Connection
) -> None:
    clock = SystemClock()
    for lane in ("telemetry", "bill"):
        stream_id = await database.fetchval(
            "INSERT INTO ingest_stream (operator_id, station_id, epoch, lane)"
            " VALUES ($1, $1, $1, $2) RETURNING id",
            *(uuid4(), lane),
        )
        old_ms = clock.now_ms() - (INBOX_DAYS + 1) * DAY_MS
        for first, ms in ((1, old_ms), (PURGE_ROWS * 2 + 1, clock.now_ms())):
            await database.execute(
                "INSERT INTO ingest_inbox SELECT $1, $2 + n, 0, $3 FROM generate_series(0, $4) n",
                *(stream_id, first, ms, PURGE_ROWS + 5),
            )
    parts = "SELECT count(*) FROM ingest_inbox"
    async with asyncpg.create_pool(settings.database.raw_url, min_size=1, max_size=2) as pool:
        async with pool.acquire() as other, other.transaction():
            await other.execute("SELECT pg_advisory_xact_lock($1)", 0x76775052)
            await purge_inbox(pool, clock)
            assert await database.fetchval(parts) == 4 * (PURGE_ROWS + 6)
        await purge_inbox(pool, clock)
    assert await database.fetchval(parts) == 3 * (PURGE_ROWS + 6)
