"""The agent's SQLite files: opened, made and put aside in one way, whatever stands in them.

A file has the tables of its design and `meta`: names and values that were written with it. Errors
of sqlite3 leave a connection unusable: close it and open the file again.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shared.clock import Clock

logger = logging.getLogger(__name__)

Meta = Mapping[str, bytes | int]


class BrokenDatabaseError(Exception):
    """The file is damaged, or not what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a file holds, and what is done to keep it.

    Attributes:
        version: Of the tables; a file of another one is broken.
        tables: The statements that make them, apart from `meta`.
        first_meta: Makes the first names and values; a file that lacks one of them is broken.
        synced: `FULL` has a transaction on the disk when its commit returns, at an fsync each;
            `NORMAL` syncs with checkpoints only, so that a power cut takes the last of them.
        log_max: Bytes that the write-ahead log is cut down to once it is folded in.
        checkpoint_pages: Pages of 4 KiB in the log after which it is folded in.
        lock_s: How long to wait for whoever looks into the file from outside.
        is_looked_through: Whether opening reads the whole file to find damage.
    """

    version: int
    tables: str
    first_meta: Callable[[], Meta]
    synced: Literal["FULL", "NORMAL"]
    log_max: int
    checkpoint_pages: int = 1000
    lock_s: float = 5.0
    is_looked_through: bool = False


def open_database(path: Path, design: Design) -> tuple[sqlite3.Connection, dict[str, Any]]:
    """Open or make a file; return it with what stands in `meta`. One thread at a time uses it.

    Raises:
        BrokenDatabaseError: Damaged, of another version, or not ours.
        sqlite3.Error: It cannot be opened now.
    """
    # Transactions are begun and ended by hand: what belongs together is said, not guessed.
    db = sqlite3.connect(path, timeout=design.lock_s, isolation_level=None, check_same_thread=False)
    with closed_on_error(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, design.version):
            raise BrokenDatabaseError(f"version {version}, expected {design.version}")
        if design.is_looked_through:
            # Not the quick one: it passes over indexes, and queries stumble over those.
            check = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if check != "ok":
                raise BrokenDatabaseError(str(check))
        _tune(db, design)
        if version == 0:
            _make(db, design)
        meta = dict(db.execute("SELECT key, value FROM meta"))
        if not design.first_meta().keys() <= meta.keys():
            raise BrokenDatabaseError("its meta table is incomplete")
    return db, meta


def _tune(db: sqlite3.Connection, design: Design) -> None:
    # A commit appends to the log, one fsync instead of two or three; who reads never waits.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {design.synced}")
    db.execute(f"PRAGMA wal_autocheckpoint = {design.checkpoint_pages}")
    # After a burst, or a long read from outside, the log would keep its greatest size for ever.
    db.execute(f"PRAGMA journal_size_limit = {design.log_max}")
    # 1 MiB in place of 2: what is written is seldom read again, and memory is what a station lacks.
    db.execute("PRAGMA cache_size = -1024")


def _make(db: sqlite3.Connection, design: Design) -> None:
    """Make the tables in one transaction: a file has all of them, or is empty."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
    for statement in design.tables.split(";"):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", design.first_meta().items())
    db.execute(f"PRAGMA user_version = {design.version}")
    db.execute("COMMIT")


@contextlib.contextmanager
def closed_on_error(db: sqlite3.Connection) -> Iterator[None]:
    """Close a connection that something goes wrong with.

    Raises:
        BrokenDatabaseError: In place of an error that tells of damage.
    """
    try:
        yield
    except BaseException as error:
        db.close()
        if is_damage(error):
            raise BrokenDatabaseError(str(error)) from error
        raise


def is_damage(error: BaseException) -> bool:
    """Say whether an error means that the file itself is broken, not that it cannot be used."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def move_aside(path: Path, clock: Clock, reason: str) -> str:
    """Rename a broken file and its companions; return its new name and the reason."""
    stamp = clock.now().strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.broken-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    logger.error("database broken, moved aside file=%s: %s", aside, reason)
    return f"{aside.name}: {reason}"
