"""A station's stores as they stand after a week without HQ: telemetry, and bills."""

from __future__ import annotations

import asyncio
import shutil
import time
from datetime import timedelta
from itertools import islice
from pathlib import Path

from edge.failpoints import Failpoints
from edge.journal import Journal
from edge.telemetry.store import TelemetryStore
from ops.bench.samples import charging_samples
from shared.clock import SystemClock, from_ms, to_ms
from shared.contracts.events import TransactionEnded
from shared.contracts.words import EndKind, StartMeans
from shared.ids import uuid7
from shared.rating import Reading

_STEP_MS = 15_000
_CHUNK = 4_000
_BILLS = 200
_HOUR = timedelta(hours=1)


def make_telemetry(path: Path, connectors: int, records: int) -> None:
    """Fill a telemetry store with samples every 15 s up to now, sealed as the agent seals."""
    now_ms = int(time.time() * 1000)
    start_ms = now_ms - records // connectors * _STEP_MS
    samples = charging_samples(connectors, start_ms, _STEP_MS)
    store = TelemetryStore(path, SystemClock(), Failpoints())
    left = records
    while left:
        chunk = list(islice(samples, min(_CHUNK, left)))
        left -= len(chunk)
        store.begin()
        store.take(chunk, 0, _CHUNK, now_ms)
        store.commit()
    store.close()


def copy_telemetry(source: Path, target: Path) -> None:
    """Copy a closed store."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def make_bills(path: Path) -> int:
    """Put ended transactions into a journal; return how many."""
    path.parent.mkdir(parents=True, exist_ok=True)

    async def fill() -> None:
        journal = Journal.open(path, SystemClock())
        now_ms = int(time.time() * 1000)
        if not await journal.commit([_bill(index, now_ms) for index in range(_BILLS)]):
            raise OSError(f"{path}: {journal.failed}")
        await journal.close()

    asyncio.run(fill())
    return _BILLS


def _bill(index: int, now_ms: int) -> TransactionEnded:
    ended_at = from_ms(now_ms) - index * _HOUR / 2
    started_at = ended_at - _HOUR
    return TransactionEnded(
        occurred_at=ended_at,
        transaction_id=uuid7(now_ms - index),
        transaction_no=f"{now_ms:020d}{index:012d}",
        charge_point_no=f"88000000{index % 10:06d}",
        connector_no=index % 2 + 1,
        means=StartMeans.CARD,
        ended_by=EndKind.ESTIMATED,
        started_at=started_at,
        ended_at=ended_at,
        readings=(
            Reading(to_ms(started_at), 0),
            Reading(to_ms(ended_at), 500_000),
        ),
        rated_w=120_000,
    )
