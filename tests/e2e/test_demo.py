"""The scripted day as its user runs it: real processes, and everything has to hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


@pytest.mark.timeout(240)
def test_the_scripted_day_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.cli", "demo", "--once", "--json", "--seed", "11"],
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
