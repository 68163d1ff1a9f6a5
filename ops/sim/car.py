"""A car with a battery: what it asks for, how it fills and how warm it gets.

Simulation, not money: floats inside, whole wire units outside. Everything follows from the
seed and from what was charged, never from a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

_VIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
_AMBIENT_C = 25.0
_WARMING_C = 12.0  # above ambient, in the long run, at full current
_WARMING_TIME_S = 1800.0
_TAPER_FROM = 0.80
_TAPER_END = 0.05  # share of the full current that is left at 100 %
_CHARGE_EFFICIENCY = 0.96


@dataclass(frozen=True, slots=True)
class Chemistry:
    """One kind of cell; volts empty, full and forbidden."""

    battery_type: int  # as 0x15 numbers them
    empty_v: float
    full_v: float
    limit_v: float


LFP = Chemistry(3, 3.05, 3.55, 3.65)
NCM = Chemistry(6, 3.30, 4.15, 4.25)
CHEMISTRIES = {"lfp": LFP, "ncm": NCM}


@dataclass(slots=True, kw_only=True)
class Car:
    """One car. `soc` is 0..1; temperatures in °C; `current_max_a` is its own limit.

    `heating_c_per_s` makes the battery heat up beyond its cooling, per second of the simulated
    clock. `protects_itself` is what a sound BMS does: end the charge at its own limit. A car
    with False goes on and reports its temperature alone: only the station can stop it.
    """

    vin: str
    chemistry: Chemistry = LFP
    capacity_kwh: float = 60.0
    cells: int = 120
    soc: float = 0.2
    target_soc: float = 1.0
    current_max_a: float = 200.0
    temp_max_c: int = 55
    temperature_c: float = _AMBIENT_C
    heating_c_per_s: float = 0.0
    protects_itself: bool = True
    manufacturer: str = "VWSM"
    battery_no: int = 1
    charge_count: int = 100
    connectors_in_use: int = 0

    @classmethod
    def seeded(cls, seed: int, **changes: object) -> Car:
        """Return the car of a seed; `changes` override single fields."""
        random = Random(seed)  # noqa: S311 - a simulation, not a secret
        chemistry = random.choice((LFP, NCM))
        values: dict[str, object] = {
            "vin": "LVW" + "".join(random.choices(_VIN_LETTERS, k=14)),
            "chemistry": chemistry,
            "capacity_kwh": random.choice((40.0, 52.0, 60.0, 77.0, 85.0)),
            "cells": 110 if chemistry is LFP else 96,
            "soc": random.randrange(10, 60) / 100,
            "current_max_a": float(random.choice((120, 150, 200, 250))),
            "temperature_c": float(random.randrange(18, 30)),
            "battery_no": random.randrange(1, 1 << 31),
            "charge_count": random.randrange(1, 1500),
        }
        return cls(**(values | changes))  # type: ignore[arg-type]

    @property
    def cell_voltage_v(self) -> float:
        """The highest cell voltage now."""
        share = min(self.soc / _TAPER_FROM, 1.0)
        return self.chemistry.empty_v + (self.chemistry.full_v - self.chemistry.empty_v) * share

    @property
    def voltage_dv(self) -> int:
        """Pack voltage in 0.1 V."""
        return round(self.cell_voltage_v * self.cells * 10)

    @property
    def voltage_max_dv(self) -> int:
        """The highest pack voltage that the car allows, 0.1 V."""
        return round(self.chemistry.limit_v * self.cells * 10)

    @property
    def rated_capacity_dah(self) -> int:
        """Capacity in 0.1 Ah."""
        return round(self.capacity_kwh * 1000 / (self.chemistry.full_v * self.cells) * 10)

    @property
    def constant_voltage(self) -> bool:
        """Whether the taper has begun."""
        return self.soc >= _TAPER_FROM

    @property
    def demand_da(self) -> int:
        """Current that the car asks for, 0.1 A, over all its connectors; 0 when full."""
        if self.soc >= min(self.target_soc, 1.0):
            return 0
        share = 1.0
        if self.constant_voltage:
            done = (self.soc - _TAPER_FROM) / (1 - _TAPER_FROM)
            share = 1.0 - (1.0 - _TAPER_END) * done
        return round(self.current_max_a * share * 10)

    @property
    def soc_percent(self) -> int:
        """State of charge, whole percent, rounded down."""
        return min(100, math.floor(self.soc * 100 + 1e-9))

    @property
    def temp_high_c(self) -> int:
        """The hottest point."""
        return round(self.temperature_c)

    @property
    def temp_low_c(self) -> int:
        """The coolest point."""
        return round(self.temperature_c - 3)

    @property
    def too_hot(self) -> bool:
        """Whether the hottest point is above the car's own limit."""
        return self.temp_high_c > self.temp_max_c

    def remaining_min(self, current_da: int) -> int:
        """Return the minutes until full at the present power, at most 600."""
        power_kw = self.voltage_dv * current_da / 100_000
        if power_kw <= 0:
            return 0
        left_kwh = max(0.0, min(self.target_soc, 1.0) - self.soc) * self.capacity_kwh
        return min(600, math.ceil(left_kwh / power_kw * 60))

    def take(self, voltage_dv: int, current_da: int, duration_ms: int) -> None:
        """Charge for a while at constant power."""
        seconds = duration_ms / 1000
        energy_kwh = voltage_dv * current_da / 100 * seconds / 3_600_000
        self.soc = min(1.0, self.soc + energy_kwh * _CHARGE_EFFICIENCY / self.capacity_kwh)
        load = min(1.0, current_da / 10 / self.current_max_a)
        if self.heating_c_per_s:
            self.temperature_c = min(200.0, self.temperature_c + self.heating_c_per_s * seconds)
            return
        goal_c = _AMBIENT_C + _WARMING_C * load * load
        share = 1 - math.exp(-seconds / _WARMING_TIME_S)
        self.temperature_c += (goal_c - self.temperature_c) * share
