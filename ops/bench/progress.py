"""What a bench is doing now, on stderr: whole benches take minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

_STARTED_S = time.monotonic()


def runs(count: int, what: str) -> Iterator[int]:
    """Count the runs of one measurement from 0, and say when each begins."""
    for index in range(count):
        passed_s = time.monotonic() - _STARTED_S
        sys.stderr.write(f"{passed_s:6.1f} s  {what}, run {index + 1} of {count}\n")
        sys.stderr.flush()
        yield index
