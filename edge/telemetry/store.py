"""The telemetry database: blocking, used by one thread at a time.

What is in no batch yet (the open window) is kept in memory as well as in chunk rows, so that
sealing reads nothing back; after a restart it comes from the chunks.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4
from zlib import crc32

from msgspec import MsgspecError, msgpack

from edge.failpoints import Failpoints
from edge.journal.store import BrokenStoreError, is_damage, move_aside
from shared.clock import Clock
from shared.contracts.envelope import PACKED_MAX, compress, decompress
from shared.contracts.telemetry import COLUMNS, Sample, pack_samples
from shared.errors import MalformedContractError

logger = logging.getLogger(__name__)

_VERSION = 1
_BODY_MAX = PACKED_MAX - 1024
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, count INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE batch (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sealed_at_ms INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL
);
"""
_INT_MAX = 2**62
_encoder = msgpack.Encoder(uuid_format="bytes")
_decoder = msgpack.Decoder(list[Sample])


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is known of a sealed batch without reading it. `size` is its body's, in bytes."""

    seq: int
    sealed_at_ms: int
    count: int
    size: int


class TelemetryStore:
    """An open telemetry file, and its open window in memory."""

    def __init__(self, path: Path, clock: Clock, failpoints: Failpoints) -> None:
        """Open or make the file; a broken one is moved aside.

        Raises:
            sqlite3.Error, OSError: It cannot be opened now.
        """
        self._path = path
        self._clock = clock
        self._failpoints = failpoints
        self.recovered: str | None = None
        """Name of the last broken file that was moved aside and why."""
        self._open()

    def _open(self) -> None:
        try:
            self._try_open()
        except BrokenStoreError as error:
            self._move_aside(str(error))
            self._try_open()

    def _move_aside(self, reason: str) -> None:
        aside = move_aside(self._path, self._clock.now().strftime("%Y%m%dT%H%M%S.%fZ"))
        logger.error("telemetry file broken, moved aside file=%s: %s", aside, reason)
        self.recovered = f"{aside.name}: {reason}"

    def _try_open(self) -> None:
        self._db = sqlite3.connect(
            self._path, timeout=1.0, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            if is_damage(error):
                raise BrokenStoreError(str(error)) from error
            raise
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        if (version := db.execute("PRAGMA user_version").fetchone()[0]) not in (0, _VERSION):
            raise BrokenStoreError(f"version {version}, expected {_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        # NORMAL: no fsync a second. A power cut may cost the last samples, never a bill.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA journal_size_limit = 4194304")
        db.execute("PRAGMA cache_size = -1024")
        if version == 0:
            self._create()
        meta = dict(db.execute("SELECT key, value FROM meta"))
        if "epoch" not in meta:
            raise BrokenStoreError("its meta table is incomplete")
        self.epoch = UUID(bytes=meta["epoch"])
        self.dropped = int(meta.get("dropped", 0))
        self._batch_bytes = self._size_of("batch")
        self._chunk_bytes = self._size_of("chunk")
        self._window: list[Sample] = []
        self._read_chunks()

    def _create(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        self._db.execute("INSERT INTO meta VALUES ('epoch', ?)", (uuid4().bytes,))
        self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._db.execute("COMMIT")

    def _size_of(self, table: str) -> int:
        query = f"SELECT total(length(body)) FROM {table}"  # noqa: S608 - our own two names
        return int(self._db.execute(query).fetchone()[0])

    def _read_chunks(self) -> None:
        for row_id, body, crc in self._db.execute("SELECT id, body, crc FROM chunk ORDER BY id"):
            try:
                if crc32(body) != crc:
                    raise MalformedContractError("its checksum is wrong")
                self._window += _decoder.decode(decompress(body))
            except (MalformedContractError, MsgspecError) as error:
                logger.error("telemetry chunk left out id=%d: %s", row_id, error)

    @property
    def open_count(self) -> int:
        """Samples that are in no batch yet."""
        return len(self._window)

    def sealed(self) -> list[Sealed]:
        """Return what batches there are, oldest first."""
        query = "SELECT seq, sealed_at_ms, count, length(body) FROM batch ORDER BY seq"
        return [Sealed(*row) for row in self._db.execute(query)]

    def begin(self) -> None:
        """Start a transaction; what follows counts only after `commit`."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End a transaction."""
        self._failpoints.hit("telemetry.before_commit")
        self._db.execute("COMMIT")
        self._failpoints.hit("telemetry.after_seal_before_ready")

    def reopen(self, reason: Exception) -> None:
        """Close and open again after an error, which goes back to what the file holds.

        Raises:
            sqlite3.Error, OSError: It cannot be opened now either; call this again later.
        """
        self._db.close()
        if isinstance(reason, sqlite3.DatabaseError) and is_damage(reason):
            self._move_aside(str(reason))
        self._open()

    def add_chunk(self, samples: Sequence[Sample]) -> int:
        """Write samples as one row; return how many were rejected because none could send them."""
        if not samples:
            return 0
        rejected = 0
        try:
            raw = _encoder.encode(samples)
        except (OverflowError, MsgspecError, TypeError, ValueError):
            raw = b""
        if not raw or not all(map(_fits, samples)):
            good = [sample for sample in samples if _fits(sample)]
            rejected = len(samples) - len(good)
            logger.error("telemetry samples rejected count=%d", rejected)
            samples, raw = good, _encoder.encode(good)
        self._insert_chunk(len(samples), raw)
        self._window += samples
        return rejected

    def _insert_chunk(self, count: int, raw: bytes) -> None:
        body = compress(raw)
        row = (count, body, crc32(body))
        self._db.execute("INSERT INTO chunk (count, body, crc) VALUES (?, ?, ?)", row)
        self._chunk_bytes += len(body)

    def seal(self, over: int, records_max: int, now_ms: int) -> list[Sealed]:
        """Make batches of the open window, oldest samples first.

        Args:
            over: Seal while the window has at least so many samples; with 0 all of it, and an
                empty batch if there is none.
            records_max: Samples that a batch takes at most.
            now_ms: When they are sealed.
        """
        sealed: list[Sealed] = []
        while self.open_count >= max(over, 1) or (over == 0 and not sealed):
            taken, self._window = self._window[:records_max], self._window[records_max:]
            sealed += self._seal(taken, now_ms)
        if sealed:
            self._db.execute("DELETE FROM chunk")
            self._chunk_bytes = 0
            if self._window:
                self._insert_chunk(self.open_count, _encoder.encode(self._window))
        return sealed

    def _seal(self, samples: list[Sample], now_ms: int) -> list[Sealed]:
        body = pack_samples(samples)
        if len(body) > _BODY_MAX:
            half = len(samples) // 2
            return self._seal(samples[:half], now_ms) + self._seal(samples[half:], now_ms)
        cursor = self._db.execute(
            "INSERT INTO batch (sealed_at_ms, count, body) VALUES (?, ?, ?)",
            (now_ms, len(samples), body),
        )
        assert cursor.lastrowid is not None
        self._batch_bytes += len(body)
        return [Sealed(cursor.lastrowid, now_ms, len(samples), len(body))]

    def drop_oldest(self, bytes_max: int) -> list[Sealed]:
        """Delete the oldest batches until the rest, with the open window, fits."""
        dropped: list[Sealed] = []
        if self._batch_bytes + self._chunk_bytes <= bytes_max:
            return dropped
        for sealed in self.sealed():
            if self._batch_bytes + self._chunk_bytes <= bytes_max:
                break
            dropped.append(sealed)
            self._batch_bytes -= sealed.size
        self._db.executemany("DELETE FROM batch WHERE seq = ?", [(d.seq,) for d in dropped])
        self.dropped += sum(sealed.count for sealed in dropped)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES ('dropped', ?)", (self.dropped,))
        return dropped

    def read(self, seq: int) -> bytes | None:
        """Return the body of a batch, None if it is gone."""
        row = self._db.execute("SELECT body FROM batch WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else bytes(row[0])

    def delete(self, seqs: Sequence[int]) -> None:
        """Delete batches."""
        for seq in seqs:
            query = "DELETE FROM batch WHERE seq = ? RETURNING length(body)"
            self._batch_bytes -= sum(size for (size,) in self._db.execute(query, (seq,)).fetchall())

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def _fits(sample: Sample) -> bool:
    values = sample.values
    return len(values) == len(COLUMNS[sample.kind]) and (
        not values or (max(values) < _INT_MAX and min(values) > -_INT_MAX)
    )
