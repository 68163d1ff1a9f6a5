"""Reports as telemetry: units, missing values, and how few samples are enough."""

from __future__ import annotations

import pytest

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import PointSampled
from edge.devices.sensors.samples import Thinner, sensor_sample
from shared.contracts.protection import Quality, Quantity
from shared.contracts.telemetry import MISSING, pack_samples, unpack_samples
from shared.contracts.words import SampleKind


def report(
    value: float | None,
    *,
    at_ms: int = 1_000,
    quality: Quality = Quality.GOOD,
    quantity: Quantity = Quantity.TEMPERATURE_C,
    point: str = "p",
) -> PointSampled:
    return PointSampled(Moment(at_ms, at_ms / 1000), "d", point, quantity, value, quality)


@pytest.mark.parametrize(
    ("value", "quality", "values"),
    [
        (30.5, Quality.GOOD, (30_500, 0)),
        (-20.5, Quality.GOOD, (-20_500, 0)),
        (None, Quality.NO_ANSWER, (MISSING, 1)),
        (None, Quality.STALE, (MISSING, 4)),
        (-32.768, Quality.GOOD, (MISSING + 1, 0)),
        (1e300, Quality.GOOD, (2**62, 0)),
    ],
)
def test_a_value_is_told_in_thousandths(
    value: float | None, quality: Quality, values: tuple[int, int]
) -> None:
    sample = sensor_sample(report(value, quality=quality))

    assert sample[:4] == (SampleKind.SENSOR, "d/p", 0, None)
    assert (sample.at_ms, sample.values) == (1_000, values)
    assert unpack_samples(pack_samples([sample])) == [sample]


def test_one_sample_a_minute_is_enough_for_what_does_not_change() -> None:
    thinner = Thinner()

    taken = [
        at_ms
        for at_ms in range(0, 180_001, 100)
        if thinner.take(report(20.0 + at_ms / 1e6, at_ms=at_ms)) is not None
    ]

    assert taken == [0, 60_000, 120_000, 180_000]


def test_each_change_of_quality_and_contact_is_a_sample() -> None:
    thinner = Thinner()
    heard = [
        (0.0, Quality.GOOD),
        (0.0, Quality.GOOD),
        (1.0, Quality.GOOD),
        (None, Quality.NO_ANSWER),
        (None, Quality.NO_ANSWER),
        (1.0, Quality.GOOD),
        (0.0, Quality.GOOD),
    ]

    taken = [
        thinner.take(report(value, at_ms=100 * i, quality=quality, quantity=Quantity.SMOKE))
        is not None
        for i, (value, quality) in enumerate(heard)
    ]

    assert taken == [True, False, True, True, False, True, True]


def test_points_are_counted_apart_and_a_clock_may_be_set_back() -> None:
    thinner = Thinner()

    assert thinner.take(report(1.0, at_ms=100_000)) is not None
    assert thinner.take(report(1.0, at_ms=100_000, point="q")) is not None
    assert thinner.take(report(1.0, at_ms=50_000)) is not None
    assert thinner.take(report(1.0, at_ms=50_100)) is None
    thinner.forget()
    assert thinner.take(report(1.0, at_ms=50_200)) is not None
