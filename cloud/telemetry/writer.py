"""Telemetry batches into the database: COPY, a few thousand records to a commit."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import numpy as np

from cloud.core import metrics
from cloud.core.transient import is_transient
from cloud.ingest.batches import Batch, KnownStation, Pool, Waiting
from cloud.ingest.events import Committed
from cloud.ingest.inbox import Key, claim, key_of, park
from cloud.telemetry.columns import (
    Samples,
    copy_bytes,
    copy_columns,
    make_rows,
    read_blocks,
)
from cloud.telemetry.partitions import DAY_MS, Partitions
from shared.backoff import delays
from shared.clock import Clock
from shared.contracts.telemetry import Block, unpack_blocks
from shared.contracts.words import SampleKind
from shared.errors import MalformedContractError

logger = logging.getLogger(__name__)

RECORDS_PER_COMMIT = 5_000
_POINTS_PER_STATION_MAX = 1_000
_GIVE_WAY_S = 0.25
"""Longest wait for facts before a commit: whoever sends nothing but facts stops no telemetry."""

OnParked = Callable[[Batch], Awaitable[None]]
GiveWay = Callable[[float], Awaitable[None]]
"""Waits until nothing more urgent is to be written, at most so many seconds."""
OnLatest = Callable[[KnownStation, Sequence[Samples]], None]


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch with its samples, each with the table's numbers of its charge points.

    `error` says why there are none.
    """

    batch: Batch
    samples: tuple[tuple[Samples, Sequence[int]], ...] = ()
    error: str = ""


class TelemetryWriter:
    """Takes batches and commits them in groups; never thins, never keeps one twice."""

    def __init__(
        self,
        *,
        pool: Pool,
        partitions: Partitions,
        committed: Committed,
        on_parked: OnParked,
        on_latest: OnLatest,
        clock: Clock,
        give_way: GiveWay,
        linger_s: float = 0.02,
        waiting_bytes_max: int = 128 * 1024 * 1024,
    ) -> None:
        self._pool = pool
        self._partitions = partitions
        self._committed = committed
        self._on_parked = on_parked
        self._on_latest = on_latest
        self._clock = clock
        self._give_way = give_way
        self._linger_s = linger_s
        self._waiting = Waiting(waiting_bytes_max)
        self._points: dict[UUID, dict[str, int]] = defaultdict(dict)
        self._random = Random()  # noqa: S311 - spreads retries, guards nothing

    def offer(self, batch: Batch) -> bool:
        """Take a batch, False if there is no room."""
        return self._waiting.offer(batch)

    async def run(self) -> None:
        """Write batches until cancelled. The database's being away only delays them."""
        while True:
            await self._waiting.some()
            if self._waiting.records < RECORDS_PER_COMMIT:
                # A commit costs the same for ten records as for a thousand.
                await asyncio.sleep(self._linger_s)
            # Bills, alarms and states go first also where both could go side by side: a drained
            # week must not take the loop and the database from them.
            await self._give_way(_GIVE_WAY_S)
            metrics.WAITING.labels("telemetry").set(self._waiting.bytes)
            await self._write(self._waiting.take(RECORDS_PER_COMMIT))

    async def _write(self, batches: Sequence[Batch], *, poison: str = "") -> None:
        """Commit batches, or park them all because of `poison`."""
        for delay_s in delays(self._random, first_s=0.1, max_s=5.0):
            try:
                with metrics.COMMIT_SECONDS.labels("telemetry").time():
                    reads = (
                        [_Read(batch, error=poison) for batch in batches]
                        if poison
                        else await self._read(batches)
                    )
                    fresh = await self._commit(reads)
            except Exception as error:
                if not is_transient(error):
                    logger.exception("telemetry transaction failed batches=%d", len(batches))
                    if not poison:
                        await self._write_apart(batches, repr(error))
                    return
                logger.warning("database is away, trying again error=%r", error)
                await asyncio.sleep(delay_s)
                continue
            await self._committed(batches)
            await self._tell(reads, fresh)
            return

    async def _write_apart(self, batches: Sequence[Batch], error: str) -> None:
        """Write one by one what failed together, and park the one that fails alone."""
        if len(batches) == 1:
            await self._write(batches, poison=error)
            return
        for batch in batches:
            await self._write([batch])

    async def _read(self, batches: Sequence[Batch]) -> list[_Read]:
        unpacked = [_unpack(batch) for batch in batches]
        blocks = [b for each in unpacked if not isinstance(each, str) for b in each]
        samples = iter(read_blocks(blocks))
        return [
            _Read(batch, error=each)
            if isinstance(each, str)
            else await self._number(batch, list(islice(samples, len(each))))
            for batch, each in zip(batches, unpacked, strict=True)
        ]

    async def _number(
        self, batch: Batch, parts: Sequence[Samples | MalformedContractError]
    ) -> _Read:
        samples = [part for part in parts if isinstance(part, Samples)]
        try:
            for part in parts:
                if isinstance(part, MalformedContractError):
                    raise part
            points = await self._points_of(batch, samples)
        except MalformedContractError as error:
            return _Read(batch, error=str(error))
        numbered = ((part, [points[point] for point, _ in part.connectors]) for part in samples)
        return _Read(batch, tuple(numbered))

    async def _commit(self, reads: Sequence[_Read]) -> set[Key]:
        await self._partitions.ensure(_days(reads))
        try:
            return await self._commit_once(reads, _copy)
        except asyncpg.UniqueViolationError:
            # Samples that came before in another batch: slower, but only what is new stays.
            return await self._commit_once(reads, _merge)

    async def _commit_once(
        self, reads: Sequence[_Read], store: Callable[..., Awaitable[None]]
    ) -> set[Key]:
        parts: dict[SampleKind, list[tuple[Samples, Sequence[int]]]] = defaultdict(list)
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await claim(connection, [read.batch for read in reads])
            taken = set(fresh)
            for read in reads:
                if key_of(read.batch) not in taken:
                    continue
                # The same batch may stand twice in one group.
                taken.remove(key_of(read.batch))
                if read.error:
                    await park(connection, read.batch, read.error)
                for part in read.samples:
                    parts[part[0].kind].append(part)
            for kind, members in parts.items():
                rows, misfits = make_rows(members)
                metrics.OUT_OF_RANGE.inc(misfits)
                await store(connection, kind, copy_bytes(rows))
        return fresh

    async def _tell(self, reads: Sequence[_Read], fresh: set[Key]) -> None:
        records = 0
        outcomes: Counter[str] = Counter()
        for read in reads:
            outcome = "duplicate"
            if key_of(read.batch) in fresh:
                outcome = "parked" if read.error else "handled"
                records += sum(part.count for part, _ in read.samples)
                self._on_latest(read.batch.station, [part for part, _ in read.samples])
                if read.error:
                    logger.error(
                        "batch parked station=%s lane=telemetry seq=%d error=%s",
                        read.batch.station.station_no,
                        read.batch.uplink.seq,
                        read.error,
                    )
                    await self._on_parked(read.batch)
            outcomes[outcome] += 1
        metrics.RECORDS.inc(records)
        for outcome, count in outcomes.items():
            metrics.BATCHES.labels("telemetry", outcome).inc(count)

    async def _points_of(self, batch: Batch, samples: Sequence[Samples]) -> dict[str, int]:
        station = batch.station
        known = self._points[station.station_id]
        missing = {point for part in samples for point, _ in part.connectors} - known.keys()
        if not missing:
            return known
        if len(known) + len(missing) > _POINTS_PER_STATION_MAX:
            raise MalformedContractError(
                f"more than {_POINTS_PER_STATION_MAX} charge points at one station"
            )
        args = (station.operator_id, station.station_id, sorted(missing))
        await self._pool.execute(
            "INSERT INTO telemetry_charge_point"
            " (operator_id, station_id, charge_point_no, created_at)"
            " SELECT $1, $2, no, $4 FROM unnest($3::text[]) no ON CONFLICT DO NOTHING",
            *args,
            batch.received_at,
        )
        rows = await self._pool.fetch(
            "SELECT charge_point_no, id FROM telemetry_charge_point"
            " WHERE operator_id = $1 AND station_id = $2 AND charge_point_no = ANY($3)",
            *args,
        )
        known.update((row[0], row[1]) for row in rows)
        return known


def _unpack(batch: Batch) -> tuple[Block, ...] | str:
    """Return a batch's blocks, or why there are none."""
    try:
        return unpack_blocks(batch.uplink.body)
    except MalformedContractError as error:
        return str(error)


def _days(reads: Sequence[_Read]) -> set[int]:
    times = [part.keys[0] for read in reads for part, _ in read.samples]
    if not times:
        return set()
    days = np.concatenate(times) // DAY_MS
    first, last = int(days.min()), int(days.max())
    return {first, last} if last - first <= 1 else set(np.unique(days).tolist())


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    # A file would be read in a thread: two switches for each COPY.
    yield data


async def _copy(connection: Any, kind: SampleKind, data: bytes) -> None:
    await connection.copy_to_table(
        "telemetry_sample",
        source=_whole(data),
        columns=copy_columns(kind),
        format="binary",
    )


async def _merge(connection: Any, kind: SampleKind, data: bytes) -> None:
    columns = ", ".join(copy_columns(kind))
    await connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS telemetry_merge (LIKE telemetry_sample) ON COMMIT DROP;"
        "TRUNCATE telemetry_merge"
    )
    await connection.copy_to_table(
        "telemetry_merge", source=_whole(data), columns=copy_columns(kind), format="binary"
    )
    await connection.execute(
        # The names are our own constants.
        f"INSERT INTO telemetry_sample ({columns}) SELECT {columns} FROM telemetry_merge"  # noqa: S608
        " ON CONFLICT DO NOTHING"
    )
