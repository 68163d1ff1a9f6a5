"""What a chaos run sees of a journal from outside."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from edge.journal import Journal, Put
from ops.chaos.look import is_writing, read_journal
from shared.clock import SystemClock


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "station.db"


async def test_a_journal_is_read_while_its_owner_has_it(database: Path) -> None:
    journal = Journal.open(database, SystemClock())
    assert await journal.commit([], [Put("closed", "0001", b"x"), Put("other", "0002", b"x")])

    contents = read_journal(database)

    assert contents.closed == {"0001"}
    assert (contents.batches, contents.events) == ((), 0)
    assert contents.epoch == journal.epoch
    await journal.close()


def test_an_open_write_transaction_is_seen_and_whose_it_is(database: Path) -> None:
    assert not is_writing(database, os.getpid())
    ready, let_go = os.pipe(), os.pipe()
    pid = os.fork()  # a lock of our own process would not be shown to us
    if pid == 0:
        db = sqlite3.connect(database, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN IMMEDIATE")
        os.write(ready[1], b"1")
        os.read(let_go[0], 1)
        db.execute("COMMIT")
        os.write(ready[1], b"2")
        os.read(let_go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        assert is_writing(database, pid)
        assert not is_writing(database, os.getpid())
        os.write(let_go[1], b"1")
        os.read(ready[0], 1)
        assert not is_writing(database, pid)
    finally:
        os.write(let_go[1], b"1")
        os.waitpid(pid, 0)
