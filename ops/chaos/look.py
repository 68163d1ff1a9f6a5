"""What a station was about to do at one instant, seen from outside while its agent stands still.

The agent's own code is not asked: the simulator says what it sent and what it waits for, the
journal's tables are read from a copy, and the kernel says whether a transaction on it is open.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from ops.demo.stage import StationProcesses
from ops.sim import book

JOURNAL = "station.db"
_WRITE_LOCK_BYTE = 120  # of SQLite's -shm file: who holds it is writing a transaction
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux


@dataclass(frozen=True, slots=True)
class Look:
    """What would be in danger if the agent died now.

    Attributes:
        unacknowledged_records: Records that were sent to the agent and not confirmed by it.
        open_transactions: Running transactions.
        batch_in_flight: A sealed batch, or a fact for the next, that HQ has not confirmed.
        half_written: The journal's writer was inside a transaction: a batch was half written.
    """

    unacknowledged_records: int
    open_transactions: int
    batch_in_flight: bool
    half_written: bool

    def count_into(self, hits: Counter[str]) -> None:
        """Count this instant as hit."""
        hits["hit_unacknowledged_record"] += self.unacknowledged_records > 0
        hits["hit_open_transaction"] += self.open_transactions > 0
        hits["hit_half_written_batch"] += self.half_written
        hits["hit_batch_in_flight"] += self.batch_in_flight


@dataclass(frozen=True, slots=True)
class JournalContents:
    """What the journal's file holds, uncommitted writes left out."""

    epoch: UUID
    batches: tuple[tuple[str, int], ...]  # lane, seq
    events: int
    closed: frozenset[str]  # transaction numbers


async def look_at(station: StationProcesses) -> Look:
    """Look at a station whose agent is frozen."""
    points: dict[str, Any] = await station.status()
    connectors = [c for point in points.values() for c in point["connectors"].values()]
    journal = read_journal(station.folder / JOURNAL)
    return Look(
        # A charge point sends its record at once, and all it has at a login.
        unacknowledged_records=sum(p["unconfirmed"] for p in points.values() if p["logged_in"]),
        open_transactions=sum(bool(connector["transaction_no"]) for connector in connectors),
        batch_in_flight=bool(journal.batches) or journal.events > 0,
        half_written=is_writing(station.folder / JOURNAL, station.agent.process.pid),
    )


def is_writing(database: Path, pid: int) -> bool:
    """Tell whether a process is inside a write transaction on an SQLite file in WAL mode."""
    try:
        descriptor = os.open(database.with_name(f"{database.name}-shm"), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WRITE_LOCK_BYTE, 1, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    finally:
        os.close(descriptor)
    kind, _, _, _, holder = struct.unpack(_FLOCK, answer)
    return bool(kind != fcntl.F_UNLCK and holder == pid)


def read_journal(database: Path) -> JournalContents:
    """Read a journal that nobody writes to just now, from a copy, so that nothing changes."""
    with tempfile.TemporaryDirectory(prefix="vw-chaos-") as folder:
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            if source.exists():
                shutil.copyfile(source, Path(folder, source.name))
        db = sqlite3.connect(Path(folder, database.name))
        try:
            epoch = db.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()[0]
            batches = tuple(db.execute("SELECT lane, seq FROM batch"))
            events = db.execute("SELECT count(*) FROM event").fetchone()[0]
            closed = [row[0] for row in db.execute("SELECT key FROM state WHERE kind = 'closed'")]
        finally:
            db.close()
    return JournalContents(UUID(bytes=epoch), batches, events, frozenset(closed))


def stored_unconfirmed(station: StationProcesses) -> int:
    """Count the records that a dead agent had stored and never confirmed."""
    closed = read_journal(station.folder / JOURNAL).closed
    entries = book.read(station.book).entries.values()
    return sum(entry.transaction_no in closed for entry in entries if not entry.confirmed)
