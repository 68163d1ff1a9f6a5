"""Telemetry of charging cars without a wire: for benches that begin behind the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from uuid import UUID

from ops.bench import frames
from shared.contracts.telemetry import Sample
from shared.contracts.words import SampleKind
from shared.ids import uuid7

_DWH_PER_STEP = 2_500
_CHARGING = 3  # place of "charging" among the wire's states
_STEPS_PER_CAR = 240  # an hour at 15 s


def charging_samples(connectors: int, start_ms: int, step_ms: int) -> Iterator[Sample]:
    """Return the samples of connectors that charge, for ever, a car an hour on each.

    The same start gives the same samples.
    """
    random = Random(start_ms)  # noqa: S311 - the same each run
    places = [(frames.number(index // 2), index % 2 + 1) for index in range(connectors)]
    offsets_ms = [random.randrange(step_ms) for _ in places]
    cars: list[UUID] = []
    voltages_dv = [3_500 + random.randrange(500) for _ in places]
    for step in count():
        car_step = step % _STEPS_PER_CAR
        if car_step == 0:
            cars = [uuid7(start_ms + step * step_ms) for _ in places]
        soc_percent = 10 + car_step // 3
        for index, (number, connector_no) in enumerate(places):
            noise = random.getrandbits(6)
            energy_dwh = car_step * (_DWH_PER_STEP + index) + noise
            values = (
                voltages_dv[index] + car_step * 2 + (noise & 3),
                1_500 + (noise >> 4),
                energy_dwh,
                energy_dwh,
                soc_percent,
                25 + min(car_step // 16, 20),
                25 + min(car_step // 32, 15),
                car_step // 4,
                60 - car_step // 4,
                _CHARGING,
                0,
            )
            at_ms = start_ms + step * step_ms + offsets_ms[index]
            yield Sample(SampleKind.METER, number, connector_no, cars[index], at_ms, values)
