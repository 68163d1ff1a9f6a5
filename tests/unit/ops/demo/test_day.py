"""When the figures of the day's trips are good, and when they are not."""

from __future__ import annotations

from typing import Any

import pytest

from ops.demo.day import trip_problems


def trips() -> list[dict[str, Any]]:
    figures = {"connectors": 1, "detect_to_stop_ms": 0.4, "stop_to_zero_current_ms": 40}
    return [
        {"cause": "battery_over_temperature", **figures},
        {"cause": "smoke", **figures, "detect_to_siren_ms": 4.0},
    ]


def test_good_figures() -> None:
    assert trip_problems(trips()) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("detect_to_stop_ms", 0.0),
        ("detect_to_stop_ms", 200.1),
        ("detect_to_siren_ms", 200.1),
        ("detect_to_siren_ms", None),
        ("stop_to_zero_current_ms", None),
        ("stop_to_zero_current_ms", 10_001),
    ],
)
def test_bad_figures_of_smoke(field: str, value: float | None) -> None:
    battery, smoke = trips()
    assert len(trip_problems([battery, {**smoke, field: value}])) == 1


def test_a_missing_a_second_and_an_unexpected_trip() -> None:
    battery, smoke = trips()
    assert len(trip_problems([battery])) == 1
    assert len(trip_problems([battery, smoke, smoke])) == 1
    assert len(trip_problems([battery, smoke, {**smoke, "cause": "water"}])) == 1
