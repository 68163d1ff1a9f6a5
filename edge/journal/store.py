"""The journal's database: blocking, one owner at a time, one transaction a call.

What holds between any two transactions, and so after any crash: a lane with facts has exactly
one sealed batch, an immutable one, and the facts that came after it as rows of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4
from zlib import crc32

from msgspec import Raw, msgpack

from edge.database import BrokenDatabaseError, Design, closed_on_error, open_database
from edge.failpoints import Failpoints
from shared.contracts.envelope import PACKED_MAX, compress
from shared.contracts.topics import Lane

logger = logging.getLogger(__name__)

LANES = (Lane.ALARM, Lane.BILL, Lane.STATE)
"""The lanes of durable facts, first things first."""

_RAW_MAX = 1024 * 1024
"""Bytes of facts that are tried as one batch."""
_BODY_MAX = PACKED_MAX - 1024
_COUNT_MAX = 2000
_TABLES = """
CREATE TABLE state (
    kind TEXT NOT NULL, key TEXT NOT NULL, blob BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, lane TEXT NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE INDEX event_by_lane ON event (lane, id);
CREATE TABLE batch (
    lane TEXT PRIMARY KEY, seq INTEGER NOT NULL, sealed_at_ms INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE parked (
    id INTEGER PRIMARY KEY, lane TEXT NOT NULL, reason TEXT NOT NULL, payload BLOB NOT NULL
);
"""
_DESIGN = Design(
    version=1,
    tables=_TABLES,
    first_meta=lambda: {"epoch": uuid4().bytes, "clean": 1, "applied": bytes(24)},
    # A transaction record lost to a power cut is money lost, and power cuts are what a charging
    # station has.
    synced="FULL",
    # Short, so that on a full disk the log is not what takes the reserved space.
    log_max=1024 * 1024,
    checkpoint_pages=256,
    is_looked_through=True,
)
_encoder = msgpack.Encoder()


class Put(NamedTuple):
    """Keep `blob` under (kind, key), in place of what was there."""

    kind: str
    key: str
    blob: bytes


class Delete(NamedTuple):
    """Keep nothing under (kind, key) any more."""

    kind: str
    key: str


Change = Put | Delete


@dataclass(frozen=True, slots=True)
class Batch:
    """One sealed batch of a lane; never changes. `body` is as in `Uplink`."""

    epoch: UUID
    lane: Lane
    seq: int
    sealed_at_ms: int
    count: int
    body: bytes


@dataclass(slots=True)
class Work:
    """What one call asked to have written, all or nothing.

    `no` rises by one a call: after a commit whose result is unknown it tells what was written.
    """

    no: int
    events: Sequence[tuple[Lane, bytes]] = ()
    changes: Sequence[Change] = ()
    acknowledged: tuple[Lane, frozenset[int]] | None = None


@dataclass(slots=True)
class Outcome:
    """What a transaction changed: per lane the batch at its head (None: nothing to send)."""

    heads: dict[Lane, Batch | None] = field(default_factory=dict)
    waiting: dict[Lane, int] = field(default_factory=dict)
    """Facts of each lane that are not in its batch yet."""


class Store:
    """An open journal file. Errors of sqlite3 leave it unusable: close it and open it again."""

    def __init__(self, path: Path, boot_id: UUID, failpoints: Failpoints) -> None:
        """Open or make the file.

        Raises:
            BrokenDatabaseError: Damaged, or not a journal of this version.
            sqlite3.Error: It cannot be opened now.
        """
        self._failpoints = failpoints
        self._boot_id = boot_id.bytes
        self._db, meta = open_database(path, _DESIGN)
        with closed_on_error(self._db):
            self._read(meta)

    def _read(self, meta: Mapping[str, Any]) -> None:
        db = self._db
        self.epoch = UUID(bytes=meta["epoch"])
        self.was_clean = meta["clean"] == 1
        applied: bytes = meta["applied"]
        same_boot = applied[:16] == self._boot_id
        self.applied_no = int.from_bytes(applied[16:], "big") if same_boot else 0
        self._seqs = {lane: int(meta.get(f"seq.{lane}", 0)) for lane in LANES}
        self.heads: dict[Lane, Batch | None] = {lane: self._read_batch(lane) for lane in LANES}
        rows = db.execute("SELECT lane, count(*) FROM event GROUP BY lane")
        self.waiting = dict.fromkeys(LANES, 0) | {Lane(lane): count for lane, count in rows}
        """Facts of each lane that are in no batch yet."""
        self.parked = int(db.execute("SELECT count(*) FROM parked").fetchone()[0])

    def set_clean(self, *, clean: bool) -> None:
        """Note that a run begins (false) or has ended as it should (true)."""
        self._db.execute("UPDATE meta SET value = ? WHERE key = 'clean'", (int(clean),))

    def apply(self, works: Sequence[Work], now_ms: int) -> Outcome:
        """Write works in one transaction; those that an earlier one wrote are passed over."""
        works = [work for work in works if work.no > self.applied_no]
        outcome = Outcome()
        if not works:
            return outcome
        self._db.execute("BEGIN IMMEDIATE")
        touched = self._write(works)
        for lane in touched:
            if self.heads[lane] is None:
                self.heads[lane] = self._seal(lane, now_ms)
        for lane in touched:
            outcome.heads[lane] = self.heads[lane]
            outcome.waiting[lane] = self.waiting[lane]
        last_no = works[-1].no
        self._set_meta("applied", self._boot_id + last_no.to_bytes(8, "big"))
        self._failpoints.hit("journal.before_commit")
        self._db.execute("COMMIT")
        self.applied_no = last_no
        return outcome

    def snapshot(self) -> Outcome:
        """Return what the file holds now, as if all of it had just changed."""
        return Outcome(self.heads.copy(), self.waiting.copy())

    def _write(self, works: Iterable[Work]) -> list[Lane]:
        touched: set[Lane] = set()
        rows: list[tuple[Lane, bytes, int]] = []
        for work in works:
            for lane, payload in work.events:
                rows.append((lane, payload, crc32(payload)))
                touched.add(lane)
                self.waiting[lane] += 1
            for change in work.changes:
                self._change(change)
            if work.acknowledged is not None:
                lane, seqs = work.acknowledged
                head = self.heads[lane]
                if head is not None and head.seq in seqs:
                    self._failpoints.hit("journal.after_ack_before_delete")
                    self._db.execute("DELETE FROM batch WHERE lane = ?", (lane,))
                    self.heads[lane] = None
                    touched.add(lane)
        self._db.executemany("INSERT INTO event (lane, payload, crc) VALUES (?, ?, ?)", rows)
        return [lane for lane in LANES if lane in touched]

    def _change(self, change: Change) -> None:
        if isinstance(change, Put):
            self._db.execute(
                "INSERT INTO state VALUES (?, ?, ?, ?) ON CONFLICT (kind, key)"
                " DO UPDATE SET blob = excluded.blob, crc = excluded.crc",
                (change.kind, change.key, change.blob, crc32(change.blob)),
            )
        else:
            self._db.execute("DELETE FROM state WHERE kind = ? AND key = ?", change)

    def _seal(self, lane: Lane, now_ms: int) -> Batch | None:
        """Turn the oldest facts of a lane into its batch; None when there are none."""
        while rows := self._oldest(lane):
            taken, body = _pack([payload for _, payload in rows])
            if taken == 0:
                # It would stand in front of all that follow, for ever.
                self._park(rows[0][0], lane, f"a fact of {len(rows[0][1])} bytes fits no batch")
                continue
            seq = self._seqs[lane] + 1
            batch = Batch(self.epoch, lane, seq, now_ms, taken, body)
            self._db.execute(
                "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
                (lane, seq, now_ms, taken, body, crc32(body)),
            )
            self._db.execute(
                "DELETE FROM event WHERE lane = ? AND id <= ?", (lane, rows[taken - 1][0])
            )
            self._set_meta(f"seq.{lane}", seq)
            self._seqs[lane] = seq
            self.waiting[lane] -= taken
            return batch
        return None

    def _oldest(self, lane: Lane) -> list[tuple[int, bytes]]:
        rows: list[tuple[int, bytes]] = []
        size = 0
        cursor = self._db.execute(
            "SELECT id, payload, crc FROM event WHERE lane = ? ORDER BY id LIMIT ?",
            (lane, _COUNT_MAX),
        )
        damaged: list[int] = []
        for row_id, payload, crc in cursor:
            if crc32(payload) != crc:
                damaged.append(row_id)
                continue
            size += len(payload)
            if rows and size > _RAW_MAX:
                break
            rows.append((row_id, payload))
        cursor.close()
        for row_id in damaged:
            self._park(row_id, lane, "its checksum is wrong")
        return self._oldest(lane) if damaged and not rows else rows

    def _park(self, row_id: int, lane: Lane, reason: str) -> None:
        logger.error("fact parked lane=%s: %s", lane, reason)
        self._db.execute(
            "INSERT INTO parked (lane, reason, payload)"
            " SELECT lane, ?, payload FROM event WHERE id = ?",
            (reason, row_id),
        )
        self._db.execute("DELETE FROM event WHERE id = ?", (row_id,))
        self.parked += 1
        self.waiting[lane] -= 1

    def _read_batch(self, lane: Lane) -> Batch | None:
        row = self._db.execute(
            "SELECT seq, sealed_at_ms, count, body, crc FROM batch WHERE lane = ?", (lane,)
        ).fetchone()
        if row is None:
            return None
        *fields, crc = row
        if crc32(fields[-1]) != crc:
            raise BrokenDatabaseError(f"the checksum of batch {lane} {fields[0]} is wrong")
        return Batch(self.epoch, lane, *fields)

    def _set_meta(self, key: str, value: bytes | int) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def load(self, kind: str) -> tuple[dict[str, bytes], int]:
        """Return all blobs of a kind, and how many were left out as damaged."""
        blobs: dict[str, bytes] = {}
        damaged = 0
        for key, blob, crc in self._db.execute(
            "SELECT key, blob, crc FROM state WHERE kind = ?", (kind,)
        ):
            if crc32(blob) == crc:
                blobs[key] = blob
            else:
                damaged += 1
        return blobs, damaged

    def close(self) -> None:
        """Let go of the file; what was committed stays."""
        self._db.close()


def _pack(payloads: list[bytes]) -> tuple[int, bytes]:
    """Return how many of the first facts fit one batch, and the body that holds them.

    The body is what `envelope.pack_events` makes of the facts themselves: an array of encoded
    facts is the encoded array of facts.
    """
    count = len(payloads)
    while count:
        packed = _encoder.encode([Raw(payload) for payload in payloads[:count]])
        if len(packed) <= _RAW_MAX * 2 and len(body := compress(packed)) <= _BODY_MAX:
            return count, body
        count //= 2
    return 0, b""
