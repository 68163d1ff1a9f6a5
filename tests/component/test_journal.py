"""The journal on a real disk: crashes at the worst moments, disks that fail, files that break."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from edge.failpoints import EXIT_CODE, FAILPOINTS, Failpoints
from edge.journal import Batch, Journal, Put
from edge.journal import store as journal_store
from edge.journal.journal import PENDING_MAX
from edge.journal.store import Store, Work
from edge.telemetry import Telemetry
from shared.clock import SystemClock
from shared.contracts.envelope import PACKED_MAX, VERSION, Uplink, encode, unpack_events
from shared.contracts.events import AlarmEscalated, ChargePointLost, CommandSettled
from shared.contracts.topics import Lane
from shared.contracts.words import Outcome
from shared.errors import ConfigError

NOW = datetime(2026, 11, 22, tzinfo=UTC)

# Appends facts for ever, one group a turn, and prints each number once it is told "done"; has
# batches acknowledged now and then; samples and seals telemetry beside it.
WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from edge.journal import Journal, Put
from edge.telemetry import Telemetry, TelemetrySettings
from shared.clock import SystemClock
from shared.contracts.events import ChargePointLost
from shared.contracts.telemetry import COLUMNS, Sample
from shared.contracts.topics import Lane
from shared.contracts.words import SampleKind

async def main(folder):
    clock = SystemClock()
    journal = Journal.open(folder / "station.db", clock)
    telemetry = Telemetry.open(folder / "telemetry.db", clock,
                               settings=TelemetrySettings(window_s=0.0, records_min=1))
    values = (1,) * len(COLUMNS[SampleKind.METER])
    number = 0
    while True:
        for _ in range(5):
            fact = ChargePointLost(occurred_at=datetime.now(UTC), charge_point_no=str(number),
                                   reason="r")
            def done(ok, number=number):
                assert ok
                sys.stdout.write(f"{number}\\n")
                sys.stdout.flush()
            journal.append([fact], [Put("counter", "last", str(number).encode())], done)
            number += 1
        telemetry.add(Sample(SampleKind.METER, "1", 1, None, number, values))
        await journal.commit([])
        await telemetry.flushed()
        head = journal.head(Lane.STATE)
        if number % 50 == 0 and head is not None:
            sys.stdout.write(f"ack {head.seq} {head.count}\\n")
            sys.stdout.flush()
            journal.acknowledge(Lane.STATE, [head.seq])

asyncio.run(main(Path(sys.argv[1])))
"""


def fact(number: int, reason: str = "r") -> ChargePointLost:
    return ChargePointLost(occurred_at=NOW, charge_point_no=str(number), reason=reason)


@contextlib.asynccontextmanager
async def opened(path: Path, *, pending_max: int = PENDING_MAX) -> AsyncIterator[Journal]:
    journal = Journal.open(path, SystemClock(), pending_max=pending_max)
    try:
        yield journal
    finally:
        await journal.close()


def numbers_in(batch: Batch) -> list[int]:
    events = unpack_events(batch.body)
    return [int(event.charge_point_no) for event in events if isinstance(event, ChargePointLost)]


async def drain(journal: Journal) -> list[int]:
    """Take all facts of the state lane, as HQ would; return their numbers in order."""
    numbers: list[int] = []
    while (head := journal.head(Lane.STATE)) is not None:
        numbers += numbers_in(head)
        journal.acknowledge(Lane.STATE, [head.seq])
        assert await journal.commit([])
    return numbers


def run_writer(folder: Path, failpoint: str, kill_after_lines: int) -> tuple[int, list[str]]:
    """Run the writer until it dies, by its failpoint or by `kill -9`; return what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"VW_ENV": "test", "VW_FAILPOINT": failpoint},
    )
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        if line.endswith("\n"):
            lines.append(line.strip())
        if len(lines) == kill_after_lines:
            os.kill(process.pid, signal.SIGKILL)
    process.stdout.close()
    return process.wait(), lines


async def check_survivors(folder: Path, lines: list[str]) -> None:
    """All that was promised is there, in order, once; an acknowledged batch may be gone."""
    promised = [int(line) for line in lines if not line.startswith("ack")]
    given_away = sum(int(line.split()[2]) for line in lines if line.startswith("ack"))
    async with opened(folder / "station.db") as journal:
        assert journal.recovered is None
        assert not journal.clean
        last = int(journal.load("counter")["last"])
        held = await drain(journal)
    assert held == list(range(held[0], last + 1))
    assert last >= promised[-1]
    # The last acknowledgement may or may not have reached the disk.
    assert 0 <= held[0] <= given_away


@pytest.mark.parametrize("lines", [7, 60, 333])
async def test_kill_9_keeps_what_was_promised(tmp_path: Path, lines: int) -> None:
    code, printed = await asyncio.to_thread(run_writer, tmp_path, "", lines)
    assert code == -signal.SIGKILL
    await check_survivors(tmp_path, printed)


@pytest.mark.parametrize("name", sorted(FAILPOINTS))
async def test_death_at_each_failpoint_keeps_what_was_promised(tmp_path: Path, name: str) -> None:
    code, printed = await asyncio.to_thread(run_writer, tmp_path, f"{name}:exit:3", 0)
    assert code == EXIT_CODE, "the failpoint was never hit"
    await check_survivors(tmp_path, printed)
    telemetry = Telemetry.open(tmp_path / "telemetry.db", SystemClock())
    assert telemetry.recovered is None
    await telemetry.close()


def test_failpoints_work_in_tests_only() -> None:
    armed = {"VW_FAILPOINT": "journal.before_commit:error"}
    Failpoints.from_environment(armed).hit("journal.before_commit")
    with pytest.raises(OSError, match="failpoint"):
        Failpoints.from_environment(armed | {"VW_ENV": "test"}).hit("journal.before_commit")
    with pytest.raises(ConfigError):
        Failpoints.from_environment({"VW_ENV": "test", "VW_FAILPOINT": "nowhere:exit"})


def test_a_failpoint_may_wait_for_what_it_is_about() -> None:
    failpoints = Failpoints("journal.before_commit:error:2:closed")
    for about in ((), ("open",), ("closed", "open"), ("alarm",)):
        failpoints.hit("journal.before_commit", about)
    with pytest.raises(OSError, match="failpoint"):
        failpoints.hit("journal.before_commit", {"closed"})


@pytest.mark.parametrize("name", ["before_commit", "after_commit_before_done"])
async def test_failed_commit_is_told_and_written_later_exactly_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VW_ENV", "test")
    monkeypatch.setenv("VW_FAILPOINT", f"journal.{name}:error:2")
    async with opened(tmp_path / "station.db") as journal:
        troubles: list[str | None] = []
        journal.on_trouble(lambda: troubles.append(journal.failed))
        assert await journal.commit([fact(0)])
        assert not await journal.commit([fact(1)], [Put("k", "a", b"1")])
        assert journal.failed is not None
        assert await journal.commit([fact(2)])
        assert journal.failed is None
        assert [trouble is None for trouble in troubles] == [False, True]
        assert await drain(journal) == [0, 1, 2]
        assert journal.pending_bytes == 0
    async with opened(tmp_path / "station.db") as journal:
        assert journal.load("k") == {"a": b"1"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk needs root; the failpoints stand in for it")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_full_disk_refuses_promises_and_recovers(small_disk: Path) -> None:
    async with opened(small_disk / "station.db") as journal:
        written = 0
        while await journal.commit([fact(written, secrets.token_hex(20_000))]):
            written += 1
        assert written > 3
        assert "full" in (journal.failed or "")
        assert not await journal.commit([fact(written + 1)])
        assert journal.pending_bytes > 40_000
        remount = ["mount", "-o", "remount,size=8m", str(small_disk)]
        await asyncio.to_thread(subprocess.run, remount, check=True)
        assert await journal.commit([fact(written + 2)])
        assert journal.failed is None
        assert await drain(journal) == list(range(written + 3))


async def test_facts_have_space_of_their_own_on_a_full_disk(small_disk: Path) -> None:
    grow = ["mount", "-o", "remount,size=24m", str(small_disk)]
    await asyncio.to_thread(subprocess.run, grow, check=True)
    async with opened(small_disk / "station.db") as journal:
        assert await journal.commit([fact(0)])
        # Whatever else writes here takes all that is left.
        with contextlib.suppress(OSError), (small_disk / "other").open("wb", buffering=0) as other:
            while True:
                other.write(bytes(65536))
        reason = secrets.token_hex(5_000)
        for number in range(1, 101):
            assert await journal.commit([fact(number, reason)])
        assert await drain(journal) == list(range(101))


async def test_a_try_on_a_failed_disk_stays_small_however_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    apply, broken = Store.apply, threading.Event()
    broken.set()

    def apply_or_fail(store: Store, works: Sequence[Work], now_ms: int) -> journal_store.Outcome:
        sizes.append(len(works))
        if broken.is_set():
            raise sqlite3.OperationalError("disk I/O error")
        return apply(store, works, now_ms)

    monkeypatch.setattr(Store, "apply", apply_or_fail)
    async with opened(tmp_path / "station.db") as journal:
        assert not await journal.commit([fact(0)])
        for number in range(1, 1000):
            journal.append([fact(number)])
            await asyncio.sleep(0)
        assert not await journal.commit([fact(1000)])
        assert max(sizes[1:]) <= 20
        assert len(sizes) < 100, "a failed disk is let be for a moment, whoever comes"
        broken.clear()
        assert await journal.commit([fact(1001)])
        assert await drain(journal) == list(range(1002))
        assert journal.pending_bytes == 0


async def test_calls_are_refused_when_too_much_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "station.db", pending_max=2_000) as journal:
        commits = [journal.commit([fact(n)]) for n in range(20)]
        told = await asyncio.gather(*commits)
        kept = told.count(True)
        assert 0 < kept < 20
        assert journal.refused == 20 - kept
        # What was refused is not written; what was taken is.
        assert await drain(journal) == [n for n, ok in enumerate(told) if ok]
        assert await journal.commit([fact(99)])


async def test_facts_find_room_when_state_does_not_and_alarms_when_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "apply", broken)
    alarm = AlarmEscalated(occurred_at=NOW, alarm_id=uuid4(), level=1)
    async with opened(tmp_path / "station.db", pending_max=20_000) as journal:
        while not journal.refused:
            journal.append([], [Put("k", "k", bytes(300))])
        assert journal.lost == 0, "state is stored anew"
        facts = 0
        while journal.refused == 1:
            journal.append([fact(facts)])
            facts += 1
        assert journal.lost == 1
        assert facts > 5, "there was room for some"
        journal.append([alarm])
        assert journal.refused == 2
        while journal.refused == 2:
            journal.append([alarm, fact(-1)])
        assert journal.lost == 3, "whatever its facts are, a call is kept or lost as a whole"
        assert journal.pending_bytes <= 20_000
        monkeypatch.undo()
        while not await journal.commit([]):
            pass
        told = await drain(journal)
        assert told[: facts - 1] == list(range(facts - 1)), "in order, each once"
        assert set(told[facts - 1 :]) == {-1}
        assert journal.head(Lane.ALARM) is not None


@pytest.mark.parametrize("damage", ["garbage", "empty", "zeroed page", "other database"])
async def test_broken_file_is_moved_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "station.db"
    async with opened(path) as journal:
        before = journal.epoch
        for n in range(200):
            journal.append([fact(n, "x" * 200)], [Put("k", str(n), b"x" * 300)])
    data = bytearray(path.read_bytes())
    if damage == "garbage":
        data[:4096] = secrets.token_bytes(4096)
    elif damage == "zeroed page":
        data[4096 * 5 : 4096 * 6] = bytes(4096)
    elif damage == "empty":
        data.clear()
    path.write_bytes(data)
    if damage == "other database":
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE t (x)")
            other.execute("PRAGMA user_version = 77")
    async with opened(path) as journal:
        assert journal.recovered is not None
        moved, _, _ = journal.recovered.partition(":")
        assert moved.startswith("station.db.broken-20")
        assert not journal.clean
        assert journal.epoch != before
        assert journal.load("k") == {}
        assert await journal.commit([fact(1)])
    aside = path.with_name(moved)
    assert aside.exists()
    async with opened(path) as journal:
        assert journal.recovered is None
        assert journal.clean


@pytest.mark.parametrize("table", ["state", "event"])
async def test_an_index_that_lies_is_damage_too(tmp_path: Path, table: str) -> None:
    path = tmp_path / "station.db"
    await write_two_facts(path)
    lose_rows(path, table)
    async with opened(path) as journal:
        assert journal.recovered is not None
        assert journal.load("k") == {}
        assert await journal.commit([fact(3)])


async def test_damage_that_a_query_stumbles_over_is_moved_aside(tmp_path: Path) -> None:
    path = tmp_path / "station.db"
    await write_two_facts(path)
    async with opened(path) as journal:
        before = journal.epoch
        # Behind the back of the agent, and looked through again it would seem whole.
        lose_rows(path, "event")
        journal.acknowledge(Lane.STATE, [1])
        async with asyncio.timeout(20):
            while journal.recovered is None:
                await journal.commit([])
        assert journal.epoch != before
        assert await journal.commit([fact(3)])
        assert await drain(journal) == [3]
    moved, _, _ = journal.recovered.partition(":")
    assert path.with_name(moved).exists()


@pytest.mark.parametrize("loss", ["gone", "moved aside"])
async def test_a_new_file_is_told_of_however_long_it_takes_to_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    path = tmp_path / "station.db"
    await write_two_facts(path)
    async with opened(path) as journal:
        before = journal.epoch
        journal.acknowledge(Lane.STATE, [7])  # the writer has the file from now on
        assert await journal.commit([])
        if loss == "gone":
            path.unlink()
        else:
            lose_rows(path, "state")
        set_clean, left = Store.set_clean, [sqlite3.OperationalError("disk I/O error")] * 2

        def failing(store: Store, *, clean: bool) -> None:
            if left:
                raise left.pop()
            set_clean(store, clean=clean)

        monkeypatch.setattr(Store, "set_clean", failing)
        apply, failed = Store.apply, [sqlite3.OperationalError("disk I/O error")]

        def failing_once(store: Store, works: Sequence[Work], now_ms: int) -> Any:
            if failed:
                raise failed.pop()
            return apply(store, works, now_ms)

        monkeypatch.setattr(Store, "apply", failing_once)
        async with asyncio.timeout(20):
            while journal.epoch == before or not await journal.commit([]):
                await journal.commit([])
        assert journal.recovered is not None


async def write_two_facts(path: Path) -> None:
    """One is in the batch, one waits behind it."""
    async with opened(path) as journal:
        for n in (1, 2):
            assert await journal.commit([fact(n)], [Put("k", str(n), b"x")])


def lose_rows(path: Path, table: str) -> None:
    """Give a table the root of an empty one, as a lost write would; its index keeps its rows."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a, b, c, d)")
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))
        db.execute("PRAGMA writable_schema = ON")
        for name, other in ((table, "t"), ("t", table)):
            swap = "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?"
            db.execute(swap, (roots[other], name))
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_damaged_entries_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "station.db"
    async with opened(path) as journal:
        await journal.commit([fact(0)])
        await journal.commit([fact(1), fact(2)], [Put("k", "a", b"good"), Put("k", "b", b"good")])
    with contextlib.closing(sqlite3.connect(path)) as flipped, flipped:
        flipped.execute("UPDATE state SET blob = x'00' WHERE key = 'b'")
        flipped.execute("UPDATE event SET payload = x'c1' WHERE id = 1")
    async with opened(path) as journal:
        assert journal.load("k") == {"a": b"good"}
        assert journal.damaged == 1
        assert await drain(journal) == [0, 2]
        assert journal.parked == 1


async def test_fact_too_large_for_a_batch_does_not_block_its_lane(tmp_path: Path) -> None:
    answer = secrets.token_bytes(PACKED_MAX)
    huge = CommandSettled(occurred_at=NOW, command_id=uuid4(), outcome=Outcome.DONE, answer=answer)
    async with opened(tmp_path / "station.db") as journal:
        await journal.commit([fact(0), huge, fact(1)])
        assert await drain(journal) == [0, 1]
        assert journal.parked == 1
        assert journal.unacknowledged[Lane.STATE] == 0


async def test_batches_fit_the_wire(tmp_path: Path) -> None:
    async with opened(tmp_path / "station.db") as journal:
        facts = [fact(n, secrets.token_urlsafe(30_000)) for n in range(60)]
        await journal.commit(facts)
        numbers: list[int] = []
        batches = 0
        while (head := journal.head(Lane.STATE)) is not None:
            uplink = Uplink(
                VERSION, "S" * 32, head.epoch, head.lane, head.seq, 2**45, head.count, head.body
            )
            assert len(encode(uplink)) <= PACKED_MAX
            numbers += numbers_in(head)
            journal.acknowledge(Lane.STATE, [head.seq])
            await journal.commit([])
            batches += 1
        assert numbers == list(range(60))
        assert batches < 30


async def test_unencodable_fact_is_the_callers_error(tmp_path: Path) -> None:
    async with opened(tmp_path / "station.db") as journal:
        with pytest.raises((TypeError, ValueError, OverflowError)):
            journal.append([fact(0, object())])  # type: ignore[arg-type]
        assert await journal.commit([fact(1)])
