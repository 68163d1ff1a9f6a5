"""What is physically going on at a simulated station: fire, smoke, water, heat. Pure.

Time goes in steps of `STEP_S`; the same seed, zones and doings after the same number of steps
give the same state. Zones stand in a row: smoke and heat drift to the next ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from random import Random

STEP_S = 0.1
STATION = ""
"""The zone of what concerns the whole station."""

SMOKE_PERCENT_PER_S = 6.0
"""Of a fire in its first second; it grows by a third of that in each further second."""
HEAT_AFTER_S = 4.0
"""A fire smoulders so long before it warms its zone."""
_HEAT_C_PER_S2 = 0.3
_HEAT_C_PER_S_MAX = 6.0
_HOTTEST_C = 600.0
_SPILL_ABOVE_PERCENT = 30.0
_SPILL_PERCENT_PER_S = 4.0
_SPILL_HEAT_PER_S = 0.01
_SMOKE_CLEARS_S = 10.0
_HEAT_CLEARS_S = 40.0
_DRYING = 0.05
FLOOD_MM_PER_S = 5.0
_DEEPEST_MM = 500.0
_DRAIN_MM_PER_S = 20.0
_OIL_C = 48.0
_OIL_HOTTEST_C = 140.0
_OIL_COOLS_S = 60.0
WINDING_ABOVE_OIL_C = 12.0


@dataclass(slots=True)
class Zone:
    """One area. `burning_s`: how long it has been burning, None when it is not."""

    ambient_c: float
    ambient_humidity_percent: float
    temperature_c: float
    humidity_percent: float
    smoke_percent: float = 0.0
    water_mm: float = 0.0
    burning_s: float | None = None
    flooding: bool = False


class World:
    """The zones and the transformer."""

    def __init__(self, zones: Iterable[str], seed: int) -> None:
        random = Random(f"world/{seed}")  # noqa: S311 - a simulation, not a secret
        self.zones: dict[str, Zone] = {}
        for name in dict.fromkeys([STATION, *zones]):
            ambient_c = random.uniform(20.0, 28.0)
            humidity = random.uniform(40.0, 55.0)
            self.zones[name] = Zone(ambient_c, humidity, ambient_c, humidity)
        self.oil_c = _OIL_C
        self.oil_c_per_s = 0.0
        self.charging_w = 0.0
        """What the charge points give out, W; the meter at the supply sees it."""
        self.steps = 0
        self._rest_s = 0.0

    def ignite(self, zone: str) -> None:
        """Begin a fire; nothing changes where it burns already. Raises KeyError."""
        place = self.zones[zone]
        if place.burning_s is None:
            place.burning_s = 0.0

    def put_out(self, zone: str | None = None) -> None:
        """End the fire of a zone, or all of them. Smoke and heat then go away by themselves."""
        for place in self.zones.values() if zone is None else [self.zones[zone]]:
            place.burning_s = None

    def ventilate(self, zone: str | None = None) -> None:
        """Let fresh air into a zone, or all of them: smoke and heat are gone. Raises KeyError."""
        for place in self.zones.values() if zone is None else [self.zones[zone]]:
            place.smoke_percent = 0.0
            place.temperature_c = place.ambient_c

    def flood(self, zone: str, *, flooding: bool = True) -> None:
        """Let water in, or let it run off. Raises KeyError."""
        self.zones[zone].flooding = flooding

    def warm_transformer(self, c_per_s: float) -> None:
        """Let the oil get warmer by so much a second; 0 lets it cool down."""
        self.oil_c_per_s = c_per_s

    def advance(self, duration_s: float) -> int:
        """Go on by so much time, in whole steps; the rest is kept. Returns the steps made."""
        self._rest_s += duration_s
        count = int(self._rest_s / STEP_S + 1e-9)
        self._rest_s = max(0.0, self._rest_s - count * STEP_S)
        for _ in range(count):
            self._step()
        return count

    def _step(self) -> None:
        self.steps += 1
        for place in self.zones.values():
            _burn(place)
            _fill(place)
        row = [place for name, place in self.zones.items() if name != STATION]
        for left, right in pairwise(row):
            _drift(left, right)
            _drift(right, left)
        if self.oil_c_per_s:
            self.oil_c = min(_OIL_HOTTEST_C, self.oil_c + self.oil_c_per_s * STEP_S)
        else:
            self.oil_c += (_OIL_C - self.oil_c) * _part(_OIL_COOLS_S)


def _part(decay_s: float) -> float:
    """Return what part of a difference is gone after one step."""
    return 1.0 - math.exp(-STEP_S / decay_s)


def _burn(place: Zone) -> None:
    burning_s = place.burning_s
    if burning_s is None:
        place.smoke_percent *= 1.0 - _part(_SMOKE_CLEARS_S)
        place.temperature_c += (place.ambient_c - place.temperature_c) * _part(_HEAT_CLEARS_S)
        dryness = (place.ambient_humidity_percent - place.humidity_percent) * _DRYING
        place.humidity_percent += dryness * STEP_S
        return
    smoke_per_s = SMOKE_PERCENT_PER_S * (1.0 + burning_s / 3.0)
    place.smoke_percent = min(100.0, place.smoke_percent + smoke_per_s * STEP_S)
    heat_per_s = min(_HEAT_C_PER_S_MAX, max(0.0, burning_s - HEAT_AFTER_S) * _HEAT_C_PER_S2)
    place.temperature_c = min(_HOTTEST_C, place.temperature_c + heat_per_s * STEP_S)
    place.humidity_percent = max(5.0, place.humidity_percent - heat_per_s * _DRYING * STEP_S)
    place.burning_s = burning_s + STEP_S


def _fill(place: Zone) -> None:
    change_mm = FLOOD_MM_PER_S if place.flooding else -_DRAIN_MM_PER_S
    place.water_mm = min(_DEEPEST_MM, max(0.0, place.water_mm + change_mm * STEP_S))


def _drift(source: Zone, target: Zone) -> None:
    if source.smoke_percent - target.smoke_percent > _SPILL_ABOVE_PERCENT:
        target.smoke_percent += _SPILL_PERCENT_PER_S * STEP_S
    warmer_c = source.temperature_c - target.temperature_c
    if source.burning_s is not None and warmer_c > 0:
        target.temperature_c += warmer_c * _SPILL_HEAT_PER_S * STEP_S
