"""A database file is ours and whole, or it is closed, named broken and put aside."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.database import BrokenDatabaseError, Design, closed_on_error, move_aside, open_database
from tests.fakes.manual_clock import ManualClock

NOW = datetime(2026, 11, 22, 2, tzinfo=UTC)
TABLES = "CREATE TABLE a (x); CREATE TABLE b (y);"


def design(**changes: object) -> Design:
    values: dict[str, object] = {
        "version": 3,
        "tables": TABLES,
        "first_meta": lambda: {"epoch": b"e", "clean": 1},
        "synced": "FULL",
        "log_max": 8192,
        "checkpoint_pages": 7,
        **changes,
    }
    return Design(**values)  # type: ignore[arg-type]  # any field, by its name


def pragma(db: sqlite3.Connection, name: str) -> object:
    return db.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(("synced", "level"), [("FULL", 2), ("NORMAL", 1)])
def test_a_new_file_has_its_tables_and_is_kept_as_its_design_says(
    tmp_path: Path, synced: str, level: int
) -> None:
    db, meta = open_database(tmp_path / "a.db", design(synced=synced))
    assert meta == {"epoch": b"e", "clean": 1}
    assert db.execute("SELECT count(*) FROM a, b").fetchone() == (0,)
    assert pragma(db, "synchronous") == level
    assert pragma(db, "journal_mode") == "wal"
    assert pragma(db, "wal_autocheckpoint") == 7
    assert pragma(db, "journal_size_limit") == 8192
    assert pragma(db, "user_version") == 3
    db.close()


def test_what_stands_in_a_file_stays_when_it_is_opened_again(tmp_path: Path) -> None:
    db, _ = open_database(tmp_path / "a.db", design())
    db.execute("UPDATE meta SET value = 0 WHERE key = 'clean'")
    db.close()
    db, meta = open_database(tmp_path / "a.db", design())
    assert meta["clean"] == 0
    db.close()


def test_a_file_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        open_database(tmp_path / "a.db", design(tables="CREATE TABLE a (x); CREATE nonsense"))
    db, _ = open_database(tmp_path / "a.db", design())
    db.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": 4}, "version 3, expected 4"),
        ({"first_meta": lambda: {"epoch": b"e", "clean": 1, "new": 0}}, "meta table is incomplete"),
    ],
)
def test_a_file_of_another_design_is_broken(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    open_database(tmp_path / "a.db", design())[0].close()
    with pytest.raises(BrokenDatabaseError, match=says):
        open_database(tmp_path / "a.db", design(**changes))


def test_what_is_no_database_is_broken_and_put_aside_with_its_log(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(BrokenDatabaseError, match="not a database"):
        open_database(path, design())
    (tmp_path / "a.db-wal").write_bytes(b"log")
    aside = move_aside(path, ManualClock(NOW), "not a database")
    assert aside == "a.db.broken-20261122T020000.000000Z: not a database"
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {f"a.db.broken-20261122T020000.000000Z{end}" for end in ("", "-wal")}


def test_damage_inside_is_found_where_the_whole_file_is_looked_through(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    db, _ = open_database(path, design())
    db.executemany("INSERT INTO a VALUES (?)", [("x" * 500,)] * 100)
    db.close()
    data = bytearray(path.read_bytes())
    data[-8192:-4096] = b"\xff" * 4096
    path.write_bytes(data)
    open_database(path, design())[0].close()
    with pytest.raises(BrokenDatabaseError):
        open_database(path, design(is_looked_through=True))


def test_a_connection_that_something_goes_wrong_with_is_closed(tmp_path: Path) -> None:
    db, _ = open_database(tmp_path / "a.db", design())
    with pytest.raises(KeyError), closed_on_error(db):
        raise KeyError
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")
