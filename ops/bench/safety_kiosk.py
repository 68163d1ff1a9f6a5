"""What the station's screen costs: a real `vw edge kiosk` on a pseudo terminal, cars charging."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any, Self

from ops.bench.children import ROOT, BenchError, cpu_s, rss_bytes
from ops.bench.figures import Goal, figure
from ops.bench.plan import SafetyPlan
from ops.bench.progress import runs
from ops.bench.safety_rig import SafetyRig
from ops.embedded.processes import end

_ROWS, _COLUMNS = 45, 160
_CHARGE_POINTS, _CONNECTORS = 12, 2
_FRAMES_PER_S = 12.0
"""Each connector every 2 s."""
_WRITTEN_LIMIT_S = 60.0
_LOOK_EVERY_S = 0.1
_SETTLE_S = 3.0
_MB = 1e6
_CPU = Goal("kiosk", "% of a core", "lower", 5, None)
_MEMORY = Goal("kiosk", "MB", "lower", 60, None)


class Screen:
    """A process on a terminal of its own, whose output is read and counted."""

    def __init__(self, *command: str) -> None:
        """Start it."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
        os.close(slave)
        self.pid = self._process.pid
        self.written = 0
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it and its terminal."""
        end(self._process)
        with contextlib.suppress(OSError):
            os.close(self._master)

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size; its process is told as by any terminal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_until_written(self, count: int) -> None:
        """Wait until it has written so many bytes in all; a busy machine takes its time.

        Raises:
            BenchError: It has ended, or takes more than a minute.
        """
        until_s = time.monotonic() + _WRITTEN_LIMIT_S
        while self.written < count:
            if not self.running() or time.monotonic() > until_s:
                raise BenchError("the screen has drawn nothing new")
            time.sleep(_LOOK_EVERY_S)

    def running(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone, and so is its process
            while data := os.read(self._master, 65536):
                self.written += len(data)


def kiosk(rig: SafetyRig, plan: SafetyPlan) -> list[dict[str, Any]]:
    """Measure processor time and memory of the screen's process."""
    config = rig.config("BENCH-KIOSK", _CHARGE_POINTS, connectors=_CONNECTORS)
    agent = rig.agent(config)
    load = rig.child("ops.bench.load")
    load.ask(do="connect", port=agent.port, connections=_CHARGE_POINTS, connectors=_CONNECTORS)
    load.tell(do="pace", frames_per_s=_FRAMES_PER_S, seconds=3600)
    socket = config.parent / "data" / "agent.sock"
    with Screen(sys.executable, "-m", "ops.cli", "edge", "kiosk", "--socket", str(socket)) as shown:
        figures = _watch(shown, plan, socket)
    load.end()
    agent.end()
    return figures


def _watch(shown: Screen, plan: SafetyPlan, socket: Path) -> list[dict[str, Any]]:
    shown.wait_until_written(_ROWS * _COLUMNS)  # the first screenful: it has started
    time.sleep(_SETTLE_S)
    shares, sizes = [], []
    drawn, began_s = shown.written, time.monotonic()
    for _ in runs(plan.runs, "screen"):
        before_s, started_s = cpu_s(shown.pid), time.monotonic()
        time.sleep(plan.kiosk_s)
        if not shown.running():
            raise BenchError(f"the screen of {socket} has ended")
        shares.append((cpu_s(shown.pid) - before_s) / (time.monotonic() - started_s) * 100)
        sizes.append(rss_bytes(shown.pid) / _MB)
    shown.wait_until_written(drawn + 1)
    drawn_per_s = (shown.written - drawn) / (time.monotonic() - began_s)
    what = (
        f"screen of {_CHARGE_POINTS * _CONNECTORS} charging connectors, each new every 2 s,"
        f" {_COLUMNS}×{_ROWS}"
    )
    return [
        figure(_CPU, f"{what}: processor", shares, drawn_bytes_per_s=drawn_per_s),
        figure(_MEMORY, f"{what}: memory", sizes),
    ]
