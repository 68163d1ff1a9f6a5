"""One connector of a simulated charge point: its plug, its meter and the charge that runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo

from ops.sim.car import Car
from ops.sim.meter import BillingModel, Meter, PeriodSplit, slot_at

STEP_MS = 5000
APP, CARD, OFFLINE_CARD, VIN = 1, 2, 4, 5  # start modes of 0x3B

# Stop reasons of 0x3B.
STOPPED_REMOTELY = 0x40
FULL = 0x41
ENERGY_REACHED = 0x42
AMOUNT_REACHED = 0x43
TIME_REACHED = 0x44
STOPPED_BY_HAND = 0x45
START_WITHOUT_BALANCE = 0x4E
UNPLUGGED = 0x6B
BALANCE_USED_UP = 0x6E
EMERGENCY_STOP = 0x72
BATTERY_TOO_HOT = 0x7C
POWER_LOST = 0x83


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the driver set at the charge point; 0 = none."""

    energy_dwh: int = 0
    amount_e4: int = 0
    duration_min: int = 0
    soc_percent: int = 0


@dataclass(slots=True, kw_only=True)
class Charge:
    """A transaction while it runs.

    `started_ms` and `ended_ms` are of the simulation's clock, `device_…` of the charge
    point's own. `pending` is True from the start until current may flow.
    """

    transaction_no: str
    start_mode: int
    physical_card: str
    car: Car
    split: PeriodSplit
    started_ms: int
    device_started_ms: int
    meter_start_dwh: int
    balance_fen: int | None
    limits: Limits = field(default_factory=Limits)
    parallel_no: str = ""
    flowing: bool = False
    ended_ms: int = 0
    stop_reason: int = 0
    announced_hot: bool = False

    @property
    def model(self) -> BillingModel:
        """The tariff of this transaction, fixed at its start."""
        return self.split.model

    def limit_reached(self, now_ms: int) -> int:
        """Return the stop reason of the limit that is reached, 0 if none is."""
        car, limits, split = self.car, self.limits, self.split
        if car.demand_da == 0 or (limits.soc_percent and car.soc_percent >= limits.soc_percent):
            return FULL
        if car.too_hot and car.protects_itself:
            return BATTERY_TOO_HOT
        if limits.energy_dwh and split.energy_dwh >= limits.energy_dwh:
            return ENERGY_REACHED
        if limits.duration_min and now_ms - self.started_ms >= limits.duration_min * 60_000:
            return TIME_REACHED
        if self.balance_fen is not None or limits.amount_e4:
            amount_e4 = split.amount_e4
            if limits.amount_e4 and amount_e4 >= limits.amount_e4:
                return AMOUNT_REACHED
            if self.balance_fen is not None and amount_e4 >= self.balance_fen * 100:
                return BALANCE_USED_UP
        return 0


@dataclass(slots=True)
class Connector:
    """One connector. `rated_da` and `rated_w` bound what it can give."""

    number: int
    meter: Meter
    rated_w: int
    rated_da: int
    zone: tzinfo
    car: Car | None = None
    charge: Charge | None = None
    bay_lock: int = 0x55  # raised
    bay_occupied: bool = False
    isolated: bool = False  # the station's contactor above it is open
    _at_ms: int = 0

    @property
    def charging(self) -> bool:
        """Whether a transaction runs here, with or without current."""
        return self.charge is not None

    def output(self, power_percent: int = 100) -> tuple[int, int]:
        """Return what flows now: 0.1 V and 0.1 A; zeros without current."""
        charge = self.charge
        if charge is None or not charge.flowing:
            return 0, 0
        car = charge.car
        voltage_dv = car.voltage_dv
        wanted_da = car.demand_da // max(1, car.connectors_in_use)
        # W / V in 0.1 A is 100 x W / 0.1 V, and the percent takes the 100 away.
        allowed_da = self.rated_w * power_percent // voltage_dv
        return voltage_dv, min(wanted_da, self.rated_da, allowed_da)

    def begin(self, now_ms: int) -> None:
        """Let current flow from now."""
        if self.charge is not None:
            self.charge.flowing = True
            self._at_ms = now_ms

    def advance(self, now_ms: int, clock_offset_ms: int, power_percent: int = 100) -> int:
        """Charge up to now. Returns the stop reason of a limit that was reached, else 0.

        Steps are at most 5 s and end at each half-hour of the charge point's own clock. At a
        limit the current ends with that step and `charge.ended_ms` is set.
        """
        charge = self.charge
        if charge is None or not charge.flowing:
            return 0
        while self._at_ms < now_ms:
            device_ms = self._at_ms + clock_offset_ms
            slot, left_ms = slot_at(device_ms, self.zone)
            duration_ms = min(now_ms - self._at_ms, STEP_MS, left_ms)
            voltage_dv, current_da = self.output(power_percent)
            self.meter.count(voltage_dv, current_da, duration_ms)
            charge.car.take(voltage_dv, current_da, duration_ms)
            charge.split.attribute(slot, self.meter.reading_dwh)
            self._at_ms += duration_ms
            if reason := charge.limit_reached(self._at_ms):
                self.cut(self._at_ms)
                return reason
        return 0

    def cut(self, now_ms: int) -> None:
        """End the current."""
        if self.charge is not None and self.charge.flowing:
            self.charge.flowing = False
            self.charge.ended_ms = now_ms
