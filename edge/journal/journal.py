"""The journal as the station sees it: append and go on, hear later that it is on the disk.

Everything here runs on the event loop and returns at once; one writer thread does the waiting.
Facts leave in sealed batches, in order within a lane, and are deleted only by `acknowledge`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self
from uuid import UUID, uuid4

from msgspec import msgpack

from edge.failpoints import Failpoints
from edge.journal.store import LANES, Batch, Change, Put, Store, Work
from edge.journal.waiting import WaitingNote
from edge.journal.writer import Report, Writer, open_store
from shared.clock import Clock
from shared.contracts.events import AnyEvent
from shared.contracts.topics import Lane

logger = logging.getLogger(__name__)

PENDING_MAX = 32 * 1024 * 1024
"""Bytes of facts and changes that may wait in memory while the disk fails."""
_STATE_SHARE = 0.75
"""State alone gets no more of it: what is refused can be stored anew later, a fact cannot."""
_FACTS_SHARE = 0.875
"""What is left beside these is for alarms and trips: of all facts they are lost last."""
_OVERHEAD = 200
"""Bytes that one call is counted for beside what it carries."""

OnDone = Callable[[bool], None]
_encoder = msgpack.Encoder(uuid_format="bytes")


class Journal:
    """Facts until HQ has them, and the state that a restart needs, in one SQLite file.

    When the disk fails: whoever waits is told `False`, the call stays queued in memory and is
    written once the disk works again, exactly once; meanwhile `failed` says what is wrong. When
    too much waits, at most `pending_max` bytes, new calls are refused: `False` at once, counted in
    `refused`, and never written. State alone is refused first, facts of the alarm lane last; facts
    that were refused are counted in `lost`. What waits is lost when the agent ends: the next run
    finds how much it was in `lost`, and of which kinds of state in `lost_kinds`.
    """

    def __init__(
        self, path: Path, clock: Clock, loop: asyncio.AbstractEventLoop, pending_max: int
    ) -> None:
        """Use `open`."""
        self.boot_id = uuid4()
        failpoints = Failpoints.from_environment()
        opened = open_store(path, clock, self.boot_id, failpoints)
        store = opened.store
        self.recovered = opened.recovered
        """Name of the broken file that was moved aside and why, None if all was well."""
        self.clean = store.was_clean and opened.recovered is None
        """Whether the run before this one closed the journal (true for a new file)."""
        self.epoch: UUID = store.epoch
        """Made with the file; new if a broken file had to be replaced while running."""
        self.failed: str | None = None
        """Why nothing can be written at present, None while all is well."""
        self.refused = 0
        """Calls turned away because too much was waiting for the disk."""
        note = WaitingNote(path.with_name(path.name + "-waiting"))
        self.lost = note.found.facts
        """Facts in them, and those that waited for the disk when the run before this one ended."""
        self.lost_kinds = note.found.kinds
        """Kinds of state of which something waited then: what was loaded may be older."""
        if self.lost:
            text = "journal lost what waited for the disk facts=%d state=%s"
            logger.error(text, self.lost, ",".join(self.lost_kinds))
        self.damaged = 0
        """State entries that `load` left out because their checksum was wrong."""
        self.parked = store.parked
        """Facts set aside, because they are damaged or too large for a batch."""
        self._path = path
        self._loop = loop
        self._pending_max = pending_max
        self._pending_bytes = 0
        self._sizes: dict[int, int] = {}
        self._waiters: dict[int, OnDone] = {}
        self._next_no = 1
        self._heads = store.heads.copy()
        self._waiting = store.waiting.copy()
        self._ready_listeners: list[Callable[[], None]] = []
        self._trouble_listeners: list[Callable[[], None]] = []
        self._state_reader: Store | None = store
        store.set_clean(clean=False)
        self._writer = Writer(
            opened,
            path=path,
            note=note,
            clock=clock,
            boot_id=self.boot_id,
            failpoints=failpoints,
            report=self._hand_over,
        )
        self._closed = False
        self._started = False

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Clock,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        pending_max: int = PENDING_MAX,
    ) -> Self:
        """Open or make the journal. Blocks shortly; meant for the start of the agent.

        Args:
            path: The file; its folder must exist and be on a local disk.
            clock: Stamps batches and the names of files moved aside.
            loop: Where callbacks run; by default the running loop.
            pending_max: Bytes that may wait in memory while the disk fails.

        Raises:
            sqlite3.Error, OSError: The file cannot be opened at all (folder, rights, disk).
        """
        return cls(path, clock, loop or asyncio.get_running_loop(), pending_max)

    def load(self, kind: str) -> dict[str, bytes]:
        """Return the state of a kind as it was at start. Blocks; only before the first append.

        Entries with a wrong checksum are left out and counted in `damaged`.
        """
        assert self._state_reader is not None, "load comes before append"
        blobs, damaged = self._state_reader.load(kind)
        if damaged:
            logger.error("state damaged kind=%s entries=%d", kind, damaged)
            self.damaged += damaged
        return blobs

    def append(
        self,
        events: Sequence[AnyEvent],
        changes: Sequence[Change] = (),
        on_done: OnDone | None = None,
    ) -> None:
        """Have facts and changes of state written, all or nothing; return at once.

        Args:
            events: Facts, each into its own lane's outbox.
            changes: Applied in order, in the same transaction.
            on_done: Called once, on the event loop: True after the commit; False if it failed
                for now or was refused (see the class).

        Raises:
            TypeError, ValueError, OverflowError: Something cannot be encoded; nothing is queued.
        """
        payloads = [(event.lane, _encoder.encode(event)) for event in events]
        size = _OVERHEAD + sum(len(payload) for _, payload in payloads)
        for change in changes:
            change.key.encode()
            if isinstance(change, Put):
                size += len(change.blob)
        if self._closed or self._pending_bytes + size > self._room_for(events):
            self._refuse(events, on_done)
            return
        self._submit(Work(self._next_no, payloads, tuple(changes)), size, on_done)

    def _room_for(self, events: Sequence[AnyEvent]) -> float:
        """Return up to how many bytes may wait with a call that carries these."""
        if any(event.lane is Lane.ALARM for event in events):
            return self._pending_max
        return self._pending_max * (_FACTS_SHARE if events else _STATE_SHARE)

    def _refuse(self, events: Sequence[AnyEvent], on_done: OnDone | None) -> None:
        self.refused += 1
        self.lost += len(events)
        if self.refused & (self.refused - 1) == 0:
            # Once for 1, 2, 4, 8 … of them: a disk that is full stays so for long.
            text = "journal calls refused count=%d facts_lost=%d pending_bytes=%d"
            logger.error(text, self.refused, self.lost, self._pending_bytes)
        if on_done is not None:
            self._loop.call_soon(on_done, False)

    async def commit(self, events: Sequence[AnyEvent], changes: Sequence[Change] = ()) -> bool:
        """As `append`; return what `on_done` would be told."""
        done: asyncio.Future[bool] = self._loop.create_future()
        self.append(events, changes, lambda ok: None if done.done() else done.set_result(ok))
        return await done

    def acknowledge(self, lane: Lane, seqs: Sequence[int]) -> None:
        """Delete exactly these batches of a lane; unknown numbers are passed over."""
        head = self._heads[lane]
        if head is not None and head.seq in seqs and not self._closed:
            self._submit(Work(self._next_no, acknowledged=(lane, frozenset(seqs))), 0, None)

    def head(self, lane: Lane) -> Batch | None:
        """Return the batch of a lane that is to be sent, until it is acknowledged."""
        return self._heads[lane]

    @property
    def unacknowledged(self) -> Mapping[Lane, int]:
        """Facts of each lane that HQ has not confirmed, as of the last commit."""
        return MappingProxyType(
            {
                lane: self._waiting[lane] + (head.count if (head := self._heads[lane]) else 0)
                for lane in LANES
            }
        )

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait in memory for the disk."""
        return self._pending_bytes

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop whenever a lane has another batch at its head."""
        self._ready_listeners.append(listener)

    def on_trouble(self, listener: Callable[[], None]) -> None:
        """Call `listener` on the event loop whenever `failed`, `recovered` or `parked` changes."""
        self._trouble_listeners.append(listener)

    async def close(self) -> None:
        """Write what is queued, mark the run as clean, let go of the file."""
        if self._closed:
            return
        self._closed = True
        self._start()
        await self._loop.run_in_executor(None, self._writer.stop)
        # What the writer handed over last is in the loop's queue, in front of this.
        await asyncio.sleep(0)

    def _submit(self, work: Work, size: int, on_done: OnDone | None) -> None:
        self._start()
        self._next_no += 1
        self._sizes[work.no] = size
        self._pending_bytes += size
        if on_done is not None:
            self._waiters[work.no] = on_done
        self._writer.put(work)

    def _start(self) -> None:
        # The writer takes the file over with the first write, so that `load` needs no lock.
        if not self._started:
            self._started = True
            self._state_reader = None
            self._writer.start()

    def _hand_over(self, report: Report) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take_report, report)
        except RuntimeError:
            # The loop is closed: nobody waits for an answer any more.
            logger.debug("journal report after the end of the loop")

    def _take_report(self, report: Report) -> None:
        was = (self.failed, self.recovered, self.parked)
        self.failed = report.error
        self.epoch = report.epoch
        self.parked = report.parked
        if report.recovered is not None:
            self.recovered = report.recovered
            self._heads = dict.fromkeys(LANES)
            self._waiting = dict.fromkeys(LANES, 0)
        if report.outcome is not None:
            self._heads.update(report.outcome.heads)
            self._waiting.update(report.outcome.waiting)
        for work in report.works:
            if report.outcome is not None:
                self._pending_bytes -= self._sizes.pop(work.no)
            if (on_done := self._waiters.pop(work.no, None)) is not None:
                _call(on_done, report.outcome is not None)
        if (self.failed, self.recovered, self.parked) != was:
            for listener in self._trouble_listeners:
                listener()
        if report.outcome is not None and report.outcome.heads:
            for listener in self._ready_listeners:
                listener()


def _call(on_done: OnDone, ok: bool) -> None:
    try:
        on_done(ok)
    except Exception:
        # One waiter's bug must not keep the others waiting; its traceback says whose it is.
        logger.exception("a waiter for the journal failed")
