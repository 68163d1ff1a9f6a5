"""Energy and money as the charge point itself computes them, from the billing model it holds.

This is on purpose not the product's rating: the two are compared with each other. Energy is
integrated step by step from voltage and current, attributed to the half-hour of the step, and
priced with `decimal`.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from edge.devices.chargers.ykc.messages import TariffBody
from shared.clock import from_ms

PERIODS = ("sharp", "peak", "flat", "valley")  # 尖 峰 平 谷, as the wire numbers them
SLOT_MS = 1_800_000
_UNITS_PER_DWH = 36_000_000  # 0.1 V x 0.1 A x 1 ms = 1e-5 J; 0.1 Wh = 360 J


class BillingModel(msgspec.Struct, frozen=True):
    """A tariff as a charge point holds it (0x0A, 0x58).

    `prices_e5` has (energy, service) for sharp, peak, flat, valley in 1e-5 yuan/kWh; `slots`
    the period number of each half-hour from 00:00 local time; `loss_percent` what is added for
    losses, normally 0.
    """

    model_no: str
    prices_e5: tuple[tuple[int, int], ...]
    slots: tuple[int, ...]
    loss_percent: int = 0

    @classmethod
    def from_message(cls, message: TariffBody) -> BillingModel:
        """Return what a tariff frame says.

        Raises:
            ValueError: A half-hour has a period that has no price.
        """
        slots = tuple(message.slots)
        if max(slots) >= len(PERIODS):
            raise ValueError(f"slots: period {max(slots)}, expected 0..3")
        prices_e5 = tuple(
            (
                getattr(message, f"{period}_energy_price_e5"),
                getattr(message, f"{period}_service_price_e5"),
            )
            for period in PERIODS
        )
        return cls(message.tariff_no, prices_e5, slots, message.loss_ratio)

    def unit_price_e5(self, period: int) -> int:
        """Return energy and service price together."""
        return sum(self.prices_e5[period])

    def loss_adjusted_dwh(self, energy_dwh: int) -> int:
        """Return an energy with losses, as 计损 asks for it."""
        return energy_dwh + energy_dwh * self.loss_percent // 100

    def amount_e4(self, period: int, energy_dwh: int) -> int:
        """Return what `energy_dwh` costs in a period, half up to 1e-4 yuan."""
        exact_nano = Decimal(self.loss_adjusted_dwh(energy_dwh) * self.unit_price_e5(period))
        return int(exact_nano.scaleb(-5).quantize(Decimal(1), ROUND_HALF_UP))


def payable_fen(period_dwh: tuple[int, ...], prices_e5: tuple[int, ...]) -> int:
    """Return what the energies cost together: exact, then half up to a fen once."""
    nano = sum(
        (Decimal(dwh) * Decimal(price) for dwh, price in zip(period_dwh, prices_e5, strict=True)),
        Decimal(0),
    )
    return int(nano.scaleb(-7).quantize(Decimal(1), ROUND_HALF_UP))


class Meter:
    """The energy meter of one connector: counts up, exactly, whatever is charged."""

    def __init__(self, start_dwh: int = 0) -> None:
        self._units = start_dwh * _UNITS_PER_DWH

    @property
    def reading_dwh(self) -> int:
        """The display, in whole 0.1 Wh."""
        return self._units // _UNITS_PER_DWH

    def count(self, voltage_dv: int, current_da: int, duration_ms: int) -> None:
        """Take in a piece of constant power."""
        self._units += voltage_dv * current_da * duration_ms


class PeriodSplit:
    """The energy of one transaction, attributed to its four periods as it flows.

    Readings are attributed by difference, so the four always add up to the whole.
    """

    def __init__(self, model: BillingModel, start_dwh: int) -> None:
        self.model = model
        self.period_dwh = [0] * len(PERIODS)
        self._last_dwh = start_dwh

    def attribute(self, slot: int, reading_dwh: int) -> None:
        """Give what flowed since the last reading to the period of `slot`."""
        self.period_dwh[self.model.slots[slot]] += reading_dwh - self._last_dwh
        self._last_dwh = reading_dwh

    @property
    def energy_dwh(self) -> int:
        """The energy of the whole transaction."""
        return sum(self.period_dwh)

    @property
    def amounts_e4(self) -> list[int]:
        """The four amounts, each rounded on its own as the record carries them."""
        return [self.model.amount_e4(period, dwh) for period, dwh in enumerate(self.period_dwh)]

    @property
    def amount_e4(self) -> int:
        """The sum of the four amounts."""
        return sum(self.amounts_e4)


def slot_at(device_ms: int, zone: tzinfo) -> tuple[int, int]:
    """Return the half-hour 0..47 of an instant, and the milliseconds until it ends."""
    local = _local(device_ms, zone)
    slot = local.hour * 2 + local.minute // 30
    into_ms = ((local.minute % 30) * 60 + local.second) * 1000 + local.microsecond // 1000
    return slot, SLOT_MS - into_ms


def _local(device_ms: int, zone: tzinfo) -> datetime:
    return (from_ms(0) + timedelta(milliseconds=device_ms)).astimezone(zone)
