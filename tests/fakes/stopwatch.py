"""Time that counts only while the processor was ours.

A limit in a test is a promise about the product, not about what else its machine does: what a
process waited for a processor is taken off, as Linux counts it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path


class Stopwatch:
    """Runs from its making; `pids` are the processes, beside this one, whose work is timed."""

    def __init__(self, *pids: int) -> None:
        self._pids = (os.getpid(), *pids)
        self._waited_s = self._waiting_s()
        self._started_s = time.monotonic()

    def elapsed_s(self) -> float:
        """Seconds since it was made, without those in which a process could not run."""
        passed_s = time.monotonic() - self._started_s
        return passed_s - (self._waiting_s() - self._waited_s)

    def _waiting_s(self) -> float:
        return sum(_waiting_ns(pid) for pid in self._pids) / 1e9


def _waiting_ns(pid: int) -> int:
    """How long a process's first thread could have run and was not let, since it began."""
    try:
        _ran_ns, waited_ns, _turns = Path(f"/proc/{pid}/schedstat").read_text().split()
    except OSError:  # a kernel that does not count it
        return 0
    return int(waited_ns)
