"""What a point did in the last hours: exact where it is narrow, true where it is wide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import PointSampled
from edge.station.trends import STEPS_MAX, PointHistory
from shared.contracts.protection import Quality, Quantity

MINUTE_MS = 60_000
START_MS = 30_000_000 * MINUTE_MS
HOUR = 60


def said(minute: float, value: float | None, quality: Quality = Quality.GOOD) -> PointSampled:
    at = Moment(START_MS + int(minute * MINUTE_MS), 100 + minute * 60)
    return PointSampled(at, "t1", "temp", Quantity.TEMPERATURE_C, value, quality)


def history(*reports: PointSampled) -> PointHistory:
    made = PointHistory()
    for report in reports:
        made.on_point(report)
    return made


def test_a_minute_is_its_mean_and_its_extremes() -> None:
    made = history(said(0, 20.0), said(0.2, 26.0), said(0.9, 23.0), said(1, 30.0))
    first, second = made.trend("t1", "temp", 1, START_MS + MINUTE_MS)
    assert (first.at_ms, first.mean, first.low, first.high) == (START_MS, 23.0, 20.0, 26.0)
    assert second.mean == 30.0


def test_what_is_no_number_is_not_drawn_but_shown() -> None:
    made = history(said(0, 20.0), said(1, None, Quality.NO_ANSWER))
    (only,) = made.trend("t1", "temp", 1, START_MS + 2 * MINUTE_MS)
    assert only.mean == 20.0
    latest = made.latest()["t1", "temp"]
    assert latest.report.quality is Quality.NO_ANSWER
    assert latest.good is not None
    assert latest.good.value == 20.0


def test_a_day_takes_few_steps_and_loses_no_extreme() -> None:
    made = history(*(said(minute, float(minute % 7)) for minute in range(3 * 24 * HOUR)))
    steps = made.trend("t1", "temp", 24, START_MS + (3 * 24 * HOUR - 1) * MINUTE_MS)
    assert len(steps) <= STEPS_MAX
    assert steps[0].at_ms == START_MS + 2 * 24 * HOUR * MINUTE_MS
    assert (min(s.low for s in steps), max(s.high for s in steps)) == (0.0, 6.0)


@pytest.mark.parametrize(("device", "hours"), [("t1", 0), ("t1", 24.5), ("t2", 1), ("t1", -1)])
def test_nonsense_is_refused(device: str, hours: float) -> None:
    with pytest.raises(ValueError, match=r"hours|point"):
        history(said(0, 1.0)).trend(device, "temp", hours, START_MS)


def test_a_device_that_is_gone_is_forgotten() -> None:
    made = history(said(0, 20.0))
    made.keep_only({"t2"})
    assert made.latest() == {}


@given(
    values=st.lists(
        st.tuples(st.integers(0, 24 * HOUR - 1), st.floats(-50, 150)), min_size=1, max_size=60
    ),
    hours=st.integers(1, 24),
)
def test_every_value_of_the_time_asked_for_is_within_its_step(
    values: list[tuple[int, float]], hours: int
) -> None:
    values.sort(key=lambda each: each[0])
    made = history(*(said(minute, value) for minute, value in values))
    now_ms = START_MS + (24 * HOUR - 1) * MINUTE_MS
    steps = made.trend("t1", "temp", hours, now_ms)
    assert len(steps) <= STEPS_MAX
    since = 24 * HOUR - hours * HOUR
    asked = [(minute, value) for minute, value in values if minute >= since]
    assert bool(steps) == bool(asked)
    for minute, value in asked:
        step = [s for s in steps if s.at_ms <= START_MS + minute * MINUTE_MS][-1]
        assert step.low <= value <= step.high
    for step in steps:
        assert step.low - 1e-9 <= step.mean <= step.high + 1e-9
