"""What the bench of the screen waits for: output, not time."""

from __future__ import annotations

import sys

import pytest

from ops.bench.children import BenchError
from ops.bench.safety_kiosk import Screen


def test_a_screen_that_starts_slowly_is_waited_for() -> None:
    program = "import time; time.sleep(1); print('x' * 9000, flush=True); time.sleep(60)"
    with Screen(sys.executable, "-c", program) as shown:
        shown.wait_until_written(9000)
        assert shown.written >= 9000


def test_a_screen_that_ended_is_not_waited_for() -> None:
    with Screen(sys.executable, "-c", "print('x')") as shown, pytest.raises(BenchError):
        shown.wait_until_written(9000)
