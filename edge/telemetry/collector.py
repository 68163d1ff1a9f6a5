"""The collector: takes samples in on the event loop, has a worker thread write and seal them.

Unlike the facts of the journal, samples may be lost to a power cut (the last second or two) and
to the size cap (oldest first, counted). They are never thinned.

`add` is the hot path: an append. `flush`, called each second, hands what gathered to one
worker thread, which writes it as one chunk row. The open window (what is in no batch yet) is kept
in memory as well, so that sealing reads nothing back; after a restart it comes from the chunks.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import UUID

from edge.failpoints import Failpoints
from edge.telemetry.store import Sealed, TelemetryStore
from shared.clock import Clock
from shared.contracts.telemetry import Sample

logger = logging.getLogger(__name__)

_TRY_MAX = 500
"""Samples that a try on a failed disk packs: all that wait, each second, would slow the loop."""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """How telemetry is batched and how much is kept."""

    window_s: float = 60.0
    """A window is sealed this long after the one before; an empty one when the station is idle."""
    records_min: int = 500
    """Samples that seal a window early."""
    records_max: int = 4000
    """Samples of a batch while HQ does not keep up or is out of reach."""
    unacknowledged_max: int = 8
    """Batches that may wait for HQ before windows are left to grow to `records_max`."""
    bytes_max: int = 256 * 1024 * 1024
    """Size cap of batches and chunks, bytes; beyond it the oldest batches are dropped."""
    pending_max: int = 50_000
    """Samples in memory while the disk fails or hangs; the oldest that wait give way."""


@dataclass(slots=True)
class _Job:
    """One flush: what the worker thread is asked to do, and what it did."""

    samples: list[Sample]
    seal_over: int
    """Seal while the open window has at least this many samples; 0 also seals an empty one."""
    now_ms: int
    sealed: list[Sealed] = field(default_factory=list)
    dropped: list[Sealed] = field(default_factory=list)
    open_count: int = 0
    rejected: int = 0
    found: list[Sealed] | None = None
    """After a failure: all batches that the file holds."""


class Telemetry:
    """The collector and its store. Everything public runs on the event loop."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        settings: TelemetrySettings,
    ) -> None:
        """Use `open`."""
        self._store = TelemetryStore(path, clock, Failpoints.from_environment())
        self.recovered = self._store.recovered
        """Name of the broken file that was moved aside and why, None if all was well."""
        self.epoch: UUID = self._store.epoch
        """Made with the file; not the journal's, because either file may be replaced alone."""
        self.failed: str | None = None
        """Why nothing can be written at present, None while all is well."""
        self.dropped = self._store.dropped
        """Samples ever dropped at the size cap or while the disk failed."""
        self.rejected = 0
        """Samples that no batch can hold: wrong number of values, or beyond 64 bits."""
        self._clock = clock
        self._loop = loop
        self._settings = settings
        self._pending: deque[Sample] = deque()
        self._handed_over = 0
        self._let_go = 0
        """Samples given to the worker thread, and samples that it has written or failed to write.
        Each is counted by one thread alone; the difference is what it still holds."""
        self._crowded = settings.pending_max // 4
        """From here on a burst does not wait for the second to end: it might find no room."""
        self._unroomed = 0
        self._open_count = self._store.open_count
        self._opened_s = clock.monotonic_s()
        self._sealed: dict[int, Sealed] = {sealed.seq: sealed for sealed in self._store.sealed()}
        self._bytes = sum(sealed.size for sealed in self._sealed.values())
        self._flushing: set[asyncio.Task[None]] = set()
        self._worker = ThreadPoolExecutor(1, "telemetry")
        self._ready_listeners: list[Callable[[], None]] = []
        self._drop_listeners: list[Callable[[int, int], None]] = []

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Clock,
        loop: asyncio.AbstractEventLoop | None = None,
        settings: TelemetrySettings | None = None,
    ) -> Self:
        """Open or make the store; a broken file is moved aside. Blocks shortly.

        Raises:
            sqlite3.Error, OSError: The file cannot be opened at all.
        """
        settings = settings or TelemetrySettings()
        return cls(path, clock, loop or asyncio.get_running_loop(), settings)

    def add(self, sample: Sample) -> None:
        """Take in a sample; costs an append. Drops the oldest when a disk hangs for long."""
        if len(self._pending) >= self._crowded:
            self._make_room()
        self._pending.append(sample)

    def flush(self) -> None:
        """Hand over what gathered; call it each second. Does nothing while the last one runs."""
        if self._unroomed:
            records, self._unroomed = self._unroomed, 0
            self._tell_dropped(records)
        if not self._flushing:
            self._hand_over()

    def _make_room(self) -> None:
        """Write a burst at once: many charge points may fill the memory in one turn of the loop."""
        in_flight = self._handed_over - self._let_go
        if self.failed is None and in_flight + self._crowded <= self._settings.pending_max:
            self._hand_over()
        elif in_flight + len(self._pending) >= self._settings.pending_max:
            self._pending.popleft()
            self._unroomed += 1  # told with the next flush

    def _hand_over(self) -> None:
        """Give what gathered to the worker thread, which begins while this turn still runs."""
        job = self._make_job()
        if job is None:
            return
        self._handed_over += len(job.samples)
        written = self._loop.run_in_executor(self._worker, self._run, job)
        task = self._loop.create_task(self._settle(job, written), name="telemetry flush")
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    async def flushed(self) -> None:
        """Flush, and return when that has been written (or has failed)."""
        await self.settled()
        self.flush()
        await self.settled()
        if self._pending and self.failed is None:
            # What was handed over was a try: the disk had failed before.
            self.flush()
            await self.settled()

    async def settled(self) -> None:
        """Return when what was handed over has been written, or has failed."""
        while self._flushing:
            await asyncio.wait(tuple(self._flushing))

    async def _settle(self, job: _Job, written: asyncio.Future[None]) -> None:
        try:
            await written
        except (sqlite3.Error, OSError) as error:
            self._keep(job, f"{type(error).__name__}: {error}")
            return
        self.failed = None
        self._open_count = job.open_count
        self.rejected += job.rejected
        if job.sealed:
            self._opened_s = self._clock.monotonic_s()
        for sealed in job.sealed:
            self._sealed[sealed.seq] = sealed
            self._bytes += sealed.size
        for lost in job.dropped:
            self._forget(lost.seq)
        if records := sum(lost.count for lost in job.dropped):
            self._tell_dropped(records)
        if job.sealed:
            for ready in self._ready_listeners:
                ready()

    def _make_job(self) -> _Job | None:
        settings = self._settings
        due = self._clock.monotonic_s() - self._opened_s >= settings.window_s
        count = self._open_count + len(self._pending)
        if len(self._sealed) >= settings.unacknowledged_max:
            seal_over = settings.records_max
        elif due and (count or not self._sealed):
            seal_over = 0
        else:
            seal_over = settings.records_min
        if not self._pending and count < seal_over:
            return None
        taken = len(self._pending)
        if self.failed is not None:
            taken = min(taken, _TRY_MAX)
        samples = [self._pending.popleft() for _ in range(taken)]
        return _Job(samples, seal_over, self._clock.now_ms())

    def _run(self, job: _Job) -> None:
        """In the worker thread."""
        count = len(job.samples)
        try:
            self._write(job)
            job.samples = []  # the loop may be too busy to take the result for long
        finally:
            self._let_go += count

    def _write(self, job: _Job) -> None:
        """Write a chunk, seal what is due, keep below the cap."""
        store = self._store
        store.begin()
        try:
            settings = self._settings
            job.sealed, job.rejected = store.take(
                job.samples, job.seal_over, settings.records_max, job.now_ms
            )
            job.dropped = store.drop_oldest(settings.bytes_max)
            store.commit()
        except (sqlite3.Error, OSError) as error:
            store.reopen(error)
            job.found = store.sealed()
            raise
        job.open_count = store.open_count

    def _keep(self, job: _Job, reason: str) -> None:
        if self.failed is None:
            logger.error("telemetry not written: %s", reason)
        self.failed = reason
        if job.found is not None:
            self.epoch, self.recovered = self._store.epoch, self._store.recovered
            self._open_count = self._store.open_count
            self._sealed = {sealed.seq: sealed for sealed in job.found}
            self._bytes = sum(sealed.size for sealed in job.found)
        surplus = len(job.samples) + len(self._pending) - self._settings.pending_max
        if surplus > 0:
            self._tell_dropped(surplus)
        self._pending.extendleft(reversed(job.samples[max(surplus, 0) :]))

    def _tell_dropped(self, records: int) -> None:
        self.dropped += records
        for listener in self._drop_listeners:
            listener(records, self.dropped)

    def _forget(self, seq: int) -> bool:
        sealed = self._sealed.pop(seq, None)
        if sealed is not None:
            self._bytes -= sealed.size
        return sealed is not None

    def sealed_seqs(self) -> Sequence[int]:
        """Return the numbers of the batches that HQ has not confirmed, oldest first."""
        return tuple(self._sealed)

    async def read(self, seq: int) -> tuple[Sealed, bytes] | None:
        """Return a sealed batch and its body; None if it is gone or cannot be read now."""
        sealed = self._sealed.get(seq)
        if sealed is None:
            return None
        try:
            body = await self._loop.run_in_executor(self._worker, self._store.read, seq)
        except sqlite3.Error as error:
            logger.warning("telemetry batch not read seq=%d: %s", seq, error)
            return None
        if body is None:
            self._forget(seq)
            return None
        return sealed, body

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """Delete exactly these batches; unknown numbers are passed over."""
        known = [seq for seq in seqs if self._forget(seq)]
        if known:
            deletion = self._loop.run_in_executor(self._worker, self._store.delete, known)
            deletion.add_done_callback(_log_failure)

    @property
    def records(self) -> int:
        """Samples that HQ has not confirmed."""
        in_batches = sum(sealed.count for sealed in self._sealed.values())
        in_flight = self._handed_over - self._let_go
        return in_batches + self._open_count + in_flight + len(self._pending)

    @property
    def size_bytes(self) -> int:
        """Size of the sealed batches that HQ has not confirmed, bytes."""
        return self._bytes

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop whenever a batch was sealed."""
        self._ready_listeners.append(listener)

    def on_dropped(self, listener: Callable[[int, int], None]) -> None:
        """Call `listener(records, total)` on the event loop whenever samples were dropped."""
        self._drop_listeners.append(listener)

    async def close(self) -> None:
        """Write what gathered and let go of the file."""
        await self.flushed()
        await self._loop.run_in_executor(self._worker, self._store.close)
        self._worker.shutdown()


def _log_failure(deletion: asyncio.Future[None]) -> None:
    # A batch that could not be deleted is sent again after a restart; HQ knows it by its number.
    if not deletion.cancelled() and (error := deletion.exception()) is not None:
        logger.warning("telemetry batch not deleted: %s", error)
