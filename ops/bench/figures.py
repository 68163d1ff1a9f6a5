"""A figure: what was measured, in which runs, against which goal."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """What is aimed at. `better` is `lower` or `higher`; None where nothing was promised."""

    number: str
    unit: str
    better: str
    target: float | None
    moonshot: float | None


def figure(goal: Goal, what: str, values: Sequence[float], **details: Any) -> dict[str, Any]:
    """Return one figure as `vw bench` prints it: the median of its runs, and their range.

    Args:
        goal: What it is held against.
        what: How it was measured, in a line.
        values: One value a run, at least one.
        details: Whatever else a reader needs, such as `n`.
    """
    return {
        "goal": goal.number,
        "what": what,
        "value": _round(statistics.median(values)),
        "unit": goal.unit,
        "better": goal.better,
        "target": goal.target,
        "moonshot": goal.moonshot,
        "runs": len(values),
        "min": _round(min(values)),
        "max": _round(max(values)),
        **{name: _round(value) for name, value in details.items()},
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that `percent` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(len(ordered) * percent / 100) - 1))]


def machine() -> str:
    """Return the processor, its cores and the Python, as one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores = len(_affinity())
    return f"{model}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def _affinity() -> set[int]:
    import os

    return os.sched_getaffinity(0)


def _round(value: Any) -> Any:
    """Return a float with four significant digits, anything else as it is."""
    return float(f"{value:.4g}") if isinstance(value, float) else value
