"""The scripted day as its user runs it: real processes, and everything has to hold."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from edge.journal import Journal
from edge.station import closed
from edge.station.closed import ClosedTransactions
from edge.station.export import export_lines
from shared.clock import SystemClock


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that root's PostgreSQL can read, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(prefix="vw-day-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def exported(data_dir: Path) -> list[str]:
    """What a station that has ended remembers of its transactions, as `vw edge export` says it."""
    journal = Journal.open(data_dir / "station.db", SystemClock())
    try:
        return list(export_lines(ClosedTransactions(journal.load(closed.KIND)).all()))
    finally:
        await journal.close()


@pytest.mark.timeout(300)
def test_the_scripted_day_holds(folder: Path) -> None:
    """The day's own checks hold, and its frame logs replay to the same transactions."""
    options = ["--once", "--json", "--seed", "11", "--data", str(folder), "--keep"]
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "demo", *options],
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    day = json.loads(done.stdout.splitlines()[-1])
    assert day["ok"] is True
    assert day["stations"] == 2
    assert day["transactions"] == day["orders"] >= 30
    assert (day["lost"], day["duplicated"], day["bill_mismatch"]) == (0, 0, 0)
    assert day["link_cut_s"] >= 3
    assert day["link_cut_transactions"] >= 10
    trips = {trip["cause"]: trip for trip in day["trips"]}
    assert {"battery_over_temperature", "smoke"} <= set(trips)
    for trip in trips.values():
        assert 0 < trip["detect_to_stop_ms"] <= 200
        assert 0 <= trip["stop_to_zero_current_ms"] <= 10_000
    assert trips["smoke"]["connectors"] >= 2
    assert 0 < trips["smoke"]["detect_to_siren_ms"] <= 200
    assert "detect_to_siren_ms" not in trips["battery_over_temperature"]

    (run,) = folder.iterdir()
    for config in run.glob("S-*/edge.toml"):
        frames = str(config.parent / "frames")
        replayed = subprocess.run(
            [sys.executable, "-m", "ops.cli", "edge", "replay", frames, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "VW_ENV": "demo"},
        )
        assert replayed.stdout.splitlines() == asyncio.run(exported(config.parent))


def test_a_demo_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    """HQ's first process is made to fail; every process that was started must be gone."""
    blocker = tmp_path / "cloud"
    blocker.mkdir()
    (blocker / "__init__.py").write_text("raise RuntimeError('not today')\n")

    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "demo", "--once", "--json"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    folder = done.stderr.rsplit("everything is kept in ", 1)[1].strip()
    left = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(folder in part for part in process.info["cmdline"] or [])
    ]
    shutil.rmtree(folder, ignore_errors=True)
    assert left == []


@pytest.mark.timeout(240)
def test_a_key_starts_a_fire_that_is_stopped_shown_and_reset() -> None:
    """On a terminal: f, then p, then r; everything that follows is said on it."""
    with Terminal("-m", "ops.cli", "demo", "--seed", "12", "--port", "0") as demo:
        shown = demo.read_until("Ctrl-C ends everything", 120)
        assert "vw edge kiosk --socket" in shown
        demo.read_until(r"S-0002: [1-9]\d*/12 charging", 30)
        demo.read_until(r"f fire", 10)
        demo.press("f")
        assert "look at its screen" in demo.read_until(r"fire in zone A of S-0002.*\n", 10)
        trip = demo.read_until(r"tripped for smoke in zone A: .*\n", 30)
        assert "6 connectors" in trip
        assert "siren after" in trip
        demo.press("p")
        demo.read_until("r resets it", 10)
        for _ in range(20):  # refused until the cause has been gone for some seconds
            demo.press("r")
            if "not reset" not in demo.read_until(r"s  (not reset: .*|reset on site)", 10):
                break
            time.sleep(1)
        else:
            pytest.fail("the reset was never accepted")
        demo.press("\x03")
        assert demo.ended(60) == 0


@pytest.mark.timeout(240)
def test_what_a_person_breaks_changes_no_total() -> None:
    """A cut link, a killed broker and two dead agents: all that ended is an order, to the fen."""
    with Terminal("-m", "ops.cli", "demo", "--seed", "13", "--port", "0") as demo:
        config = re.search(r"--config (\S+/S-0002/edge.toml)", demo.read_until("Ctrl-C ends", 120))
        assert config is not None
        demo.read_until(r"Books: [1-9]\d* transactions", 40)
        demo.press("l")
        demo.read_until(r"down: link 线路 S-0001 [1-9]", 10)
        demo.read_until(r"orders \+ [1-9]\d* still on their way", 30)
        demo.press("b")
        demo.read_until(r"down: .*broker 消息服务器 [1-9]", 10)
        demo.read_until("broker is up again", 30)
        demo.press("a")
        demo.read_until("agent of S-0001 is killed", 10)
        demo.read_until("agent of S-0001 is up again", 30)
        agent_of(config[1]).kill()
        demo.read_until(r"agent of S-0002 ended by itself \(code -9\) and is started again", 10)
        demo.read_until("agent of S-0002 is up again", 30)
        demo.press("l")
        demo.read_until("link of S-0001 is mended", 10)
        demo.read_until(
            r"Books: (\d+) transactions = \1 orders, 0 lost, 0 doubled;\s+(\S+) = \2\s+yuan", 60
        )
        demo.press("\x03")
        assert demo.ended(60) == 0


def agent_of(config: str) -> psutil.Process:
    (agent,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[-4:] == ["edge", "run", "--config", config]
    ]
    return agent


class Terminal:
    """A python command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._pid, self._file = pty.fork()
        if not self._pid:
            os.execv(sys.executable, [sys.executable, *arguments])
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                os.kill(self._pid, signal.SIGTERM)
                os.waitpid(self._pid, 0)
        os.close(self._file)

    def press(self, key: str) -> None:
        os.write(self._file, key.encode())

    def read_until(self, pattern: str, limit_s: float) -> str:
        """Return what is shown up to a match, and what was before it since the last one."""
        deadline_s = time.monotonic() + limit_s
        while not (found := re.search(pattern, self._shown)):
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"no {pattern!r} in {self._shown[-2000:]!r}"
            if select.select([self._file], [], [], left_s)[0]:
                self._shown += os.read(self._file, 65536).decode(errors="replace")
        shown, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return shown

    def ended(self, limit_s: float) -> int:
        """Read on until it has ended; return its exit code."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):  # the other end is closed
                if select.select([self._file], [], [], 0.1)[0]:
                    self._shown += os.read(self._file, 65536).decode(errors="replace")
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"still runs: {self._shown[-2000:]!r}")
