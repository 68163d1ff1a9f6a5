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
COMMAND_DAYS = 400
WATCH_DAYS = 1


async def purge_inbox(pool: Pool, clock: Clock) -> None:
    """Forget old telemetry batches."""
    await pool.execute(
        "DELETE FROM ingest_inbox i USING ingest_stream s"
        " WHERE i.stream_id = s.id AND s.lane = 'telemetry' AND i.received_ms < $1",
        clock.now_ms() - INBOX_DAYS * _DAY_MS,
    )


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
