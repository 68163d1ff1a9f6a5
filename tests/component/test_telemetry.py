"""Telemetry on a real disk: what goes in comes out, once; caps, crashes and failures."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from edge.telemetry import Telemetry, TelemetrySettings
from edge.telemetry.store import TelemetryStore
from shared.clock import SystemClock
from shared.contracts.envelope import PACKED_MAX
from shared.contracts.telemetry import COLUMNS, MISSING, Sample, unpack_samples
from shared.contracts.words import SampleKind

TRANSACTION = UUID(int=7)


class SteppedClock(SystemClock):
    """Monotonic time as the test says."""

    def __init__(self) -> None:
        self.monotonic = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic_s(self) -> float:
        return self.monotonic


def sample(number: int, kind: SampleKind = SampleKind.METER, *, spread: int = 1) -> Sample:
    values = tuple(number * spread + place for place in range(len(COLUMNS[kind]) - 1))
    return Sample(kind, f"{number % 3}", 1 + number % 2, TRANSACTION, number, (*values, MISSING))


@contextlib.asynccontextmanager
async def opened(
    path: Path, clock: SystemClock | None = None, **settings: float
) -> AsyncIterator[Telemetry]:
    options = TelemetrySettings(**settings)  # type: ignore[arg-type]
    telemetry = Telemetry.open(path, clock or SystemClock(), settings=options)
    try:
        yield telemetry
    finally:
        await telemetry.close()


async def take_all(telemetry: Telemetry) -> list[Sample]:
    """Read and acknowledge all batches, as HQ would; return their samples by time."""
    samples: list[Sample] = []
    for seq in telemetry.sealed_seqs():
        found = await telemetry.read(seq)
        assert found is not None
        assert found[0].size == len(found[1]) < PACKED_MAX
        samples += unpack_samples(found[1])
        telemetry.acknowledge([seq])
    return sorted(samples, key=lambda one: one.at_ms)


async def test_window_is_sealed_when_its_time_is_up(tmp_path: Path) -> None:
    clock = SteppedClock()
    samples = [sample(n, kind) for n, kind in enumerate(list(SampleKind) * 20)]
    async with opened(tmp_path / "t.db", clock) as telemetry:
        for one in samples:
            telemetry.add(one)
        await telemetry.flushed()
        assert telemetry.sealed_seqs() == ()
        assert telemetry.records == len(samples)
        clock.monotonic = 59.0
        await telemetry.flushed()
        assert telemetry.sealed_seqs() == ()
        clock.monotonic = 60.0
        await telemetry.flushed()
        assert telemetry.sealed_seqs() == (1,)
        assert await take_all(telemetry) == samples
        assert telemetry.records == 0


async def test_many_samples_seal_early_and_one_batch_holds_no_more_than_it_may(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "t.db", SteppedClock(), records_min=100, records_max=150) as t:
        for n in range(99):
            t.add(sample(n))
        await t.flushed()
        assert t.sealed_seqs() == ()
        for n in range(99, 520):
            t.add(sample(n))
        await t.flushed()
        assert len(t.sealed_seqs()) == 3
        assert t.records == 520
        t.add(sample(520))
        assert t.records == 521
        assert await take_all(t) == [sample(n) for n in range(450)]


async def test_windows_grow_while_headquarters_is_away(tmp_path: Path) -> None:
    clock = SteppedClock()
    async with opened(tmp_path / "t.db", clock, unacknowledged_max=2, records_max=50) as telemetry:
        for n in range(100):
            telemetry.add(sample(n))
            clock.monotonic += 61.0
            await telemetry.flushed()
        seqs = telemetry.sealed_seqs()
        # Two small ones while there was hope, then as large as may be.
        assert seqs == (1, 2, 3)
        assert telemetry.records == 100
        await take_all(telemetry)
        await telemetry.flushed()
        assert await take_all(telemetry) == [sample(n) for n in range(52, 100)]


async def test_incompressible_samples_are_split_to_fit_the_wire(tmp_path: Path) -> None:
    places = range(len(COLUMNS[SampleKind.METER]))
    # Differences that jump in all their bytes, as nothing real does.
    samples = [
        Sample(SampleKind.METER, "1", 1, None, n, tuple(pow(n * 31 + k, 9, 2**61) for k in places))
        for n in range(4000)
    ]
    async with opened(tmp_path / "t.db", window_s=0.0) as telemetry:
        for one in samples:
            telemetry.add(one)
        await telemetry.flushed()
        assert len(telemetry.sealed_seqs()) > 1
        assert await take_all(telemetry) == samples


async def test_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with opened(path, records_min=10, records_max=10) as telemetry:
        epoch = telemetry.epoch
        for n in range(25):
            telemetry.add(sample(n))
        await telemetry.flushed()
        telemetry.acknowledge([1])
        telemetry.add(sample(25))
    async with opened(path, records_min=10, records_max=10) as telemetry:
        assert telemetry.epoch == epoch
        assert telemetry.sealed_seqs() == (2,)
        assert telemetry.records == 16
        for n in range(26, 30):
            telemetry.add(sample(n))
        await telemetry.flushed()
        assert telemetry.sealed_seqs() == (2, 3)
        assert await take_all(telemetry) == [sample(n) for n in range(10, 30)]
    async with opened(path, window_s=0.0) as telemetry:
        telemetry.add(sample(1))
        await telemetry.flushed()
        # Numbers are never used again, also when nothing is left.
        assert telemetry.sealed_seqs() == (4,)


async def test_oldest_are_dropped_at_the_cap_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    told: list[tuple[int, int]] = []
    async with opened(path, records_min=50, records_max=50, bytes_max=10_000) as telemetry:
        telemetry.on_dropped(lambda records, total: told.append((records, total)))
        for n in range(2000):
            telemetry.add(sample(n, spread=n * 7919))
            if n % 100 == 99:
                await telemetry.flushed()
        assert telemetry.size_bytes <= 10_000
        assert sum(records for records, _ in told) == told[-1][1] == telemetry.dropped > 0
        kept = await take_all(telemetry)
        assert len(kept) + telemetry.dropped == 2000
        assert [one.at_ms for one in kept] == list(range(telemetry.dropped, 2000))
        dropped = telemetry.dropped
    async with opened(path) as telemetry:
        assert telemetry.dropped == dropped


async def test_samples_that_no_batch_can_hold_are_rejected_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "t.db", window_s=0.0) as telemetry:
        telemetry.add(sample(1))
        telemetry.add(sample(2)._replace(values=(1, 2)))
        telemetry.add(sample(3)._replace(values=(2**70,) * 11))
        telemetry.add(sample(4)._replace(values=(2**63 - 1,) * 11))
        telemetry.add(sample(5))
        await telemetry.flushed()
        assert telemetry.rejected == 3
        assert await take_all(telemetry) == [sample(1), sample(5)]


@pytest.mark.parametrize("name", ["before_commit", "after_seal_before_ready"])
async def test_failing_disk_keeps_samples_for_the_next_second(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VW_ENV", "test")
    monkeypatch.setenv("VW_FAILPOINT", f"telemetry.{name}:error:2")
    async with opened(tmp_path / "t.db", window_s=0.0) as telemetry:
        for n in range(3):
            telemetry.add(sample(n))
            await telemetry.flushed()
            assert (telemetry.failed is not None) == (n == 1)
        # What was written although an error was reported may come twice: HQ knows samples by
        # place and time.
        assert sorted({one.at_ms for one in await take_all(telemetry)}) == [0, 1, 2]


async def test_failing_disk_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with opened(path, pending_max=100, window_s=0.0) as telemetry:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for n in range(150):
                telemetry.add(sample(n))
            await telemetry.flushed()
            assert "locked" in (telemetry.failed or "")
            assert telemetry.dropped == 50
            other.execute("ROLLBACK")
        await telemetry.flushed()
        assert telemetry.failed is None
        # What the writer had already stays; of what waited the oldest gave way.
        kept = [*range(75), *range(125, 150)]
        assert sorted(one.at_ms for one in await take_all(telemetry)) == kept


def _fail(_store: TelemetryStore) -> None:
    raise sqlite3.OperationalError("disk I/O error")


async def test_a_try_on_a_failed_disk_stays_small_however_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    take = TelemetryStore.take

    def counted(store: TelemetryStore, samples: Sequence[Sample], *when: int) -> Any:
        sizes.append(len(samples))
        return take(store, samples, *when)

    monkeypatch.setattr(TelemetryStore, "take", counted)
    async with opened(tmp_path / "t.db", window_s=0.0) as telemetry:
        with monkeypatch.context() as broken:
            broken.setattr(TelemetryStore, "begin", _fail)
            for n in range(3000):
                telemetry.add(sample(n))
            await telemetry.flushed()
            assert telemetry.failed is not None
        await telemetry.flushed()
        assert sizes == [500, 2500]
        assert sorted(one.at_ms for one in await take_all(telemetry)) == list(range(3000))


async def test_a_burst_is_written_before_the_memory_is_full(tmp_path: Path) -> None:
    """More samples than the memory holds come between two flushes: nothing gives way."""
    async with opened(tmp_path / "t.db", pending_max=100, window_s=0.0) as telemetry:
        for n in range(100):
            telemetry.add(sample(n))  # in one turn of the loop
        await telemetry.settled()
        for n in range(100, 200):
            telemetry.add(sample(n))
        assert telemetry.dropped == 0
        await telemetry.flushed()
        assert await take_all(telemetry) == [sample(n) for n in range(200)]


async def test_broken_file_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    path.write_bytes(b"not a database" * 1000)
    async with opened(path, window_s=0.0) as telemetry:
        assert (telemetry.recovered or "").startswith("t.db.broken-20")
        telemetry.add(sample(1))
        await telemetry.flushed()
        assert await take_all(telemetry) == [sample(1)]


async def test_damaged_chunk_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with opened(path) as telemetry:
        for n in range(3):
            telemetry.add(sample(n))
            await telemetry.flushed()
    with contextlib.closing(sqlite3.connect(path)) as flipped, flipped:
        flipped.execute("UPDATE chunk SET body = x'00' WHERE id = 2")
    async with opened(path, window_s=0.0) as telemetry:
        await telemetry.flushed()
        assert await take_all(telemetry) == [sample(0), sample(2)]


async def test_a_disk_that_hangs_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, take = threading.Event(), TelemetryStore.take

    def hang(store: TelemetryStore, samples: Sequence[Sample], *when: int) -> Any:
        go_on.wait()
        return take(store, samples, *when)

    monkeypatch.setattr(TelemetryStore, "take", hang)
    async with opened(tmp_path / "t.db", pending_max=100, window_s=0.0) as telemetry:
        telemetry.add(sample(0))
        telemetry.flush()
        await asyncio.sleep(0)  # the flush takes what is there
        for n in range(1, 151):
            telemetry.add(sample(n))
            telemetry.flush()
        assert telemetry.records <= 101
        assert telemetry.dropped == 50
        go_on.set()
        await telemetry.flushed()
        kept = [*range(76), *range(126, 151)]
        assert sorted(one.at_ms for one in await take_all(telemetry)) == kept
