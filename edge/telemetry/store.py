"""The telemetry database: blocking, used by one thread at a time.

What is in no batch yet (the open window) is kept in memory as well as in chunk rows, so that
sealing reads nothing back; after a restart it comes from the chunks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zlib import crc32

from msgspec import MsgspecError, msgpack

from edge.database import (
    BrokenDatabaseError,
    Design,
    closed_on_error,
    is_damage,
    move_aside,
    open_database,
)
from edge.failpoints import Failpoints
from shared.clock import Clock
from shared.contracts.envelope import PACKED_MAX, compress, decompress
from shared.contracts.telemetry import COLUMNS, Sample, pack_samples
from shared.errors import MalformedContractError

logger = logging.getLogger(__name__)

_BODY_MAX = PACKED_MAX - 1024
_TABLES = """
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY, count INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE batch (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sealed_at_ms INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL
);
"""
_DESIGN = Design(
    version=1,
    tables=_TABLES,
    first_meta=lambda: {"epoch": uuid4().bytes},
    # No fsync a second. A power cut may cost the last samples, never a bill.
    synced="NORMAL",
    log_max=4 * 1024 * 1024,
    lock_s=1.0,
    # Not looked through: it may hold weeks, and nobody starts while it is read.
)
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
        except BrokenDatabaseError as error:
            self.recovered = move_aside(self._path, self._clock, str(error))
            self._try_open()

    def _try_open(self) -> None:
        self._db, meta = open_database(self._path, _DESIGN)
        with closed_on_error(self._db):
            self._read(meta)

    def _read(self, meta: Mapping[str, Any]) -> None:
        self.epoch = UUID(bytes=meta["epoch"])
        self.dropped = int(meta.get("dropped", 0))
        self._batch_bytes = self._size_of("batch")
        self._chunk_bytes = self._size_of("chunk")
        self._window: list[Sample] = []
        self._read_chunks()

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
        if is_damage(reason):
            self.recovered = move_aside(self._path, self._clock, str(reason))
        self._open()

    def take(
        self, samples: Sequence[Sample], over: int, records_max: int, now_ms: int
    ) -> tuple[list[Sealed], int]:
        """Take in samples, make batches of what is due, oldest first, and keep the rest as a row.

        Args:
            samples: What comes into the open window.
            over: Seal while the window has at least so many samples; with 0 all of it, and an
                empty batch if there is none.
            records_max: Samples that a batch takes at most.
            now_ms: When they are sealed.

        Returns:
            The new batches, and how many samples were rejected because none could send them.
        """
        good = samples
        if not all(map(_fits, samples)):
            good = [sample for sample in samples if _fits(sample)]
            logger.error("telemetry samples rejected count=%d", len(samples) - len(good))
        self._window += good
        sealed: list[Sealed] = []
        while self.open_count >= max(over, 1) or (over == 0 and not sealed):
            taken, self._window = self._window[:records_max], self._window[records_max:]
            sealed += self._seal(taken, now_ms)
        if sealed:
            self._db.execute("DELETE FROM chunk")
            self._chunk_bytes = 0
        # A batch is as durable as a row: only what is in none needs one.
        self._insert_chunk(self._window if sealed else good)
        return sealed, len(samples) - len(good)

    def _insert_chunk(self, samples: Sequence[Sample]) -> None:
        if not samples:
            return
        body = compress(_encoder.encode(samples))
        row = (len(samples), body, crc32(body))
        self._db.execute("INSERT INTO chunk (count, body, crc) VALUES (?, ?, ?)", row)
        self._chunk_bytes += len(body)

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
