"""Periodic work: what nobody can ask for any more is deleted."""

from __future__ import annotations

from datetime import timedelta

from cloud.core.idempotency import KEPT
from cloud.ingest.batches import Pool
from shared.clock import Clock

_DAY_MS = 86_400_000
INBOX_DAYS = 60
"""Telemetry rows of the inbox. A station that was away for longer and sends an acknowledged
batch again is caught by the samples' own key; facts are remembered for ever."""
PURGE_ROWS = 10_000
COMMAND_DAYS = 400
WATCH_DAYS = 1


_PURGE_LOCK = 0x76775052
_PURGE = (
    "DELETE FROM ingest_inbox WHERE (stream_id, seq, content) IN"
    " (SELECT i.stream_id, i.seq, i.content"
    " FROM ingest_inbox i JOIN ingest_stream s ON s.id = i.stream_id"
    " WHERE s.lane = 'telemetry' AND i.received_ms < $1 LIMIT $2)"
)


async def purge_inbox(pool: Pool, clock: Clock) -> None:
    """Forget old telemetry batches, a part at a time, in one worker at a time.

    Millions go at once after a station was moved; one statement would hold the disk for minutes.
    """
    before_ms = clock.now_ms() - INBOX_DAYS * _DAY_MS
    while True:
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _PURGE_LOCK):
                return
            gone = await connection.execute(_PURGE, before_ms, PURGE_ROWS)
        if gone != f"DELETE {PURGE_ROWS}":
            return


async def purge_commands(pool: Pool, clock: Clock) -> None:
    """Forget settled commands: leases after a day, the others with the evidence."""
    now = clock.now()
    await pool.execute(
        "DELETE FROM core_command WHERE settled_at < $1 OR (kind = 'Watch' AND settled_at < $2)",
        now - timedelta(days=COMMAND_DAYS),
        now - timedelta(days=WATCH_DAYS),
    )


async def purge_idempotency(pool: Pool, clock: Clock) -> None:
    """Forget the keys of calls that nobody repeats any more."""
    await pool.execute("DELETE FROM core_idempotency WHERE at < $1", clock.now() - KEPT)
