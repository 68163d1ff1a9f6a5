"""What a program loads, seen from a process of its own: contracts cannot see late imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

HQ_LIBRARIES = frozenset({"fastapi", "starlette", "sqlalchemy", "sqlmodel", "asyncpg", "redis"})
STATION_LIBRARIES = frozenset({"pymodbus", "textual", "onvif"})


@pytest.mark.parametrize(
    ("module", "foreign"),
    [
        ("edge.app", HQ_LIBRARIES),
        ("edge.cli", HQ_LIBRARIES),
        ("cloud.app", STATION_LIBRARIES),
        ("cloud.worker", STATION_LIBRARIES),
    ],
)
def test_a_tier_does_not_load_the_others_libraries(module: str, foreign: frozenset[str]) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.modules) & set({sorted(foreign)})))"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
