"""A few kills of each kind, of real processes, as `vw chaos` makes them by the hundred."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that root's PostgreSQL reaches as well, which pytest's own is not."""
    path = Path(tempfile.mkdtemp(prefix="vw-chaos-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _run(*arguments: str, limit_s: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s)


@pytest.mark.timeout(240)
def test_kills_of_every_kind_lose_and_double_nothing(folder: Path) -> None:
    done = _run("--level", "smoke", "--seed", "5", "--json", "--data", str(folder), limit_s=220)

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["seed"] == 5
    assert [case["name"] for case in report["cases"]] == ["E1", "E2", "E3", "N7", "H6"]
    for case in report["cases"]:
        assert case["ok"] is True
        assert case["n"] >= 1
        assert (case["lost"], case["duplicated"], case["wrong"]) == (0, 0, 0)
        assert case["transactions"] == case["orders"] > 0
    kills = report["cases"][0]
    assert kills["hit_open_transaction"] >= 1
    left = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in part for part in process.info["cmdline"] or [])
    ]
    assert left == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--level", "gentle"), "night"), (("--case", "X1"), "E1")],
)
def test_what_does_not_exist_is_refused_with_what_does(
    arguments: tuple[str, ...], says: str
) -> None:
    done = _run(*arguments, limit_s=30)

    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""
