"""What waits in memory while the disk fails, noted where no new space is needed for it.

So an agent that ended meanwhile knows at its next start what is lost, and can say so.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.journal.store import Work

logger = logging.getLogger(__name__)

_SIZE = 512


class Lost(Struct, frozen=True):
    """What waited when an agent ended: how many facts at most, and which kinds of state."""

    facts: int = 0
    kinds: tuple[str, ...] = ()


class WaitingNote:
    """A small file that is overwritten in place. Nothing here raises; the writer's thread only."""

    def __init__(self, path: Path) -> None:
        """Read what the run before this one has left; `found` keeps it."""
        self._path = path
        self.found = _read(path)
        self._facts = self.found.facts
        self._kinds = set(self.found.kinds)

    def make(self) -> None:
        """Take the space while there is some."""
        if not self._path.exists():
            self._write()

    def wait(self, works: Iterable[Work]) -> None:
        """Note works that wait from now on."""
        before = (self._facts, len(self._kinds))
        for work in works:
            self._facts += len(work.events)
            self._kinds.update(change.kind for change in work.changes)
        if (self._facts, len(self._kinds)) != before:
            self._write()

    def clear(self) -> None:
        """Note that nothing waits any more."""
        if self._facts or self._kinds:
            self._facts = 0
            self._kinds.clear()
            self._write()

    def _write(self) -> None:
        lost = Lost(self._facts, tuple(sorted(self._kinds)))
        try:
            # Not synced: it is for an agent that is restarted, and the disk is in trouble.
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(file, msgspec.json.encode(lost).ljust(_SIZE), 0)
            finally:
                os.close(file)
        except OSError as error:
            logger.warning("what waits could not be noted file=%s: %s", self._path, error)


def _read(path: Path) -> Lost:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lost)
    except (OSError, msgspec.MsgspecError):
        return Lost()
