"""The journal's one writer thread: groups what is asked into transactions, outlives bad disks.

A failed transaction leaves it unknown what reached the disk: SQLite and the kernel may disagree.
So the file is closed and opened again, what it holds is read back, and only what is missing is
written again. A failed fsync is never simply retried.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import NamedTuple
from uuid import UUID

from edge.database import BrokenDatabaseError, move_aside
from edge.failpoints import Failpoints
from edge.journal.reserve import Reserve
from edge.journal.store import Outcome, Store, Work
from edge.journal.waiting import WaitingNote
from shared.clock import Clock

logger = logging.getLogger(__name__)

_GROUP_MAX = 500
"""Calls that one transaction takes at most, so that none waits long."""
_TRY_MAX = 20
"""Calls that a try on a failed disk takes: the more that wait, the longer the loop would too."""
_RETRY_FIRST_S = 0.05
_RETRY_MAX_S = 2.0
_ANSWER_S = 0.25
"""How long whoever comes while the disk fails waits for the try that tells."""
_TRIES_AT_CLOSE = 3
_RESERVE_PERIOD_S = 60.0


class Report(NamedTuple):
    """What the writer tells its owner: works written (`outcome`) or failed for now (`error`)."""

    works: list[Work]
    outcome: Outcome | None
    error: str | None
    recovered: str | None
    epoch: UUID
    parked: int


class Opened(NamedTuple):
    """An open store, and what became of a broken one before it."""

    store: Store
    recovered: str | None


def open_store(path: Path, clock: Clock, boot_id: UUID, failpoints: Failpoints) -> Opened:
    """Open the file; one that is broken is moved aside and a new one made."""
    recovered = None
    if path.exists() and path.stat().st_size == 0:
        # A file cut to nothing looks like a new one, but a state is missing.
        recovered = move_aside(path, clock, "the file is empty")
    try:
        return Opened(Store(path, boot_id, failpoints), recovered)
    except BrokenDatabaseError as error:
        recovered = move_aside(path, clock, str(error))
        return Opened(Store(path, boot_id, failpoints), recovered)


class Writer:
    """Owns the store from `start` on. `report` is called in the writer's own thread."""

    def __init__(
        self,
        opened: Opened,
        *,
        path: Path,
        note: WaitingNote,
        clock: Clock,
        boot_id: UUID,
        failpoints: Failpoints,
        report: Callable[[Report], None],
    ) -> None:
        self._store: Store | None = opened.store
        self._epoch = opened.store.epoch
        self._parked = opened.store.parked
        self._path = path
        self._note = note
        self._clock = clock
        self._boot_id = boot_id
        self._failpoints = failpoints
        self._report = report
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._closing = False
        self._recovered: str | None = None
        self._reserve = Reserve(path.with_name(path.name + "-reserve"))
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, work: Work) -> None:
        """Queue work; returns at once."""
        self._queue.put(work)

    def stop(self) -> None:
        """Write what is queued, mark the file clean, end. Blocks until that is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        reserve_due_s = self._clock.monotonic_s()
        while not self._closing:
            if self._clock.monotonic_s() >= reserve_due_s:
                self._reserve.make()
                self._note.make()
                reserve_due_s = self._clock.monotonic_s() + _RESERVE_PERIOD_S
            works = self._take(None)
            if works:
                self._write(works)
        if self._store is not None:
            try:
                self._store.set_clean(clean=True)
            except sqlite3.Error as error:
                logger.warning("journal not marked clean: %s", error)
            self._store.close()

    def _take(self, timeout_s: float | None) -> list[Work]:
        """Wait for work, then take what else is queued."""
        works: list[Work] = []
        try:
            work = self._queue.get(timeout=timeout_s)
            while True:
                if work is None:
                    self._closing = True
                    return works
                works.append(work)
                if len(works) >= _GROUP_MAX:
                    return works
                work = self._queue.get_nowait()
        except Empty:
            return works

    def _write(self, works: list[Work]) -> None:
        pause_s = _RETRY_FIRST_S
        tries_at_close = told = failures = 0
        size = len(works)
        while works:
            tried = works[:size]
            error, recovered, outcome = None, None, None
            try:
                reopened = self._store is None
                recovered = self._ensure_open()
                assert self._store is not None
                outcome = self._store.apply(tried, self._clock.now_ms())
                kinds = {change.kind for work in tried for change in work.changes}
                self._failpoints.hit("journal.after_commit_before_done", kinds)
                self._parked = self._store.parked
                if reopened:
                    outcome = self._store.snapshot()
            except (sqlite3.Error, OSError, BrokenDatabaseError) as failure:
                outcome, error = None, f"{type(failure).__name__}: {failure}"
                failures += 1
                if failures & (failures - 1) == 0:
                    # Once for 1, 2, 4, 8 … failures: a full disk fails several times a second.
                    text = "journal write failed works=%d failures=%d: %s"
                    logger.error(text, len(works), failures, error)
                self._let_go()
                if _is_full(failure) and self._reserve.release():
                    continue
            news = tried if error is None else works[told:]
            if error is not None:
                # First: who hears that it failed may be gone the moment after.
                self._note.wait(news)
            self._report(Report(news, outcome, error, recovered, self._epoch, self._parked))
            if error is None:
                del works[:size]
                if not works:
                    self._note.clear()
                pause_s, told, size = _RETRY_FIRST_S, max(0, told - len(tried)), _GROUP_MAX
                continue
            told = len(works)
            if self._closing and (tries_at_close := tries_at_close + 1) >= _TRIES_AT_CLOSE:
                logger.error("journal closed with works=%d unwritten", len(works))
                return
            works += self._rest(pause_s)
            pause_s = min(pause_s * 2, _RETRY_MAX_S)
            size = _TRY_MAX

    def _rest(self, pause_s: float) -> list[Work]:
        """Let a failed disk be, and take what comes meanwhile; shorter once somebody waits."""
        works = self._take(pause_s)
        until_s = time.monotonic() + min(pause_s, _ANSWER_S)
        while works and not self._closing and (left_s := until_s - time.monotonic()) > 0:
            works += self._take(left_s)
        return works

    def _ensure_open(self) -> str | None:
        """Open the file again after a failure; return what became of a broken one."""
        if self._store is not None:
            return None
        if not self._path.exists():
            now = self._clock.now().strftime("%Y%m%dT%H%M%SZ")
            self._recovered = f"{self._path.name}: the file was gone at {now}"
        opened = open_store(self._path, self._clock, self._boot_id, self._failpoints)
        self._store = opened.store
        self._epoch = opened.store.epoch
        self._recovered = opened.recovered or self._recovered
        # It may fail too: then the next try tells of the new file.
        self._store.set_clean(clean=False)
        recovered, self._recovered = self._recovered, None
        return recovered

    def _let_go(self) -> None:
        """Close the file; whether it is damaged is found when it is opened again."""
        store, self._store = self._store, None
        if store is not None:
            store.close()


def _is_full(failure: Exception) -> bool:
    return getattr(failure, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
