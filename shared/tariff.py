"""A tariff: 48 half-hour slots, each in one of four periods, each period with two prices."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, msgpack

SLOTS_PER_DAY = 48
SLOT_MINUTES = 30


class Period(StrEnum):
    """Time-of-use bands 尖 峰 平 谷, in the order in which charge points count them."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"


PERIODS = tuple(Period)
LETTERS = {"S": Period.SHARP, "P": Period.PEAK, "F": Period.FLAT, "V": Period.VALLEY}


class PeriodPrice(Struct, frozen=True):
    """Prices of one period, in 1e-5 yuan/kWh."""

    energy_price_e5: int
    service_price_e5: int


class Tariff(Struct, frozen=True):
    """What a kilowatt-hour and a minute cost, over the station's local day.

    `slots` has 48 letters from 00:00 local time, S sharp 尖, P peak 峰, F flat 平, V valley 谷.
    `per_minute_e5` is 1e-5 yuan a whole minute of the transaction. A tariff by energy has it 0;
    one by time has all prices 0; one by both has both.
    """

    slots: str
    prices: dict[Period, PeriodPrice]
    per_minute_e5: int = 0

    def period_of_slot(self, slot: int) -> Period:
        """Return the period of a slot 0–47."""
        return LETTERS[self.slots[slot]]

    def content_hash(self) -> str:
        """Return the SHA-256, in hex, of what is charged; two equal tariffs have one hash.

        A period that no slot uses may have no price; charge points get 0 for it.
        """
        free = PeriodPrice(0, 0)
        prices = [self.prices.get(period, free) for period in PERIODS]
        content = (
            self.slots,
            [(price.energy_price_e5, price.service_price_e5) for price in prices],
            self.per_minute_e5,
        )
        return hashlib.sha256(msgpack.encode(content)).hexdigest()


class TariffVersion(Struct, frozen=True, kw_only=True):
    """One version of a station's tariff, as HQ publishes it.

    `model_no` 1–9999 is the number under which charge points know this version.
    """

    tariff_version_id: UUID
    version: int
    model_no: Annotated[int, Meta(ge=1, le=9999)]
    tariff: Tariff
    valid_from: Annotated[datetime, Meta(tz=True)]


class TariffError(ValueError):
    """A tariff that cannot be used; `field` says where."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def check_tariff(tariff: Tariff) -> None:
    """Check what the types do not say.

    Raises:
        TariffError: Not 48 slots, an unknown letter, a period without a price, a negative price.
    """
    if len(tariff.slots) != SLOTS_PER_DAY:
        raise TariffError("tariff.slots", f"{len(tariff.slots)} letters, expected {SLOTS_PER_DAY}")
    for index, letter in enumerate(tariff.slots):
        if letter not in LETTERS:
            raise TariffError(f"tariff.slots[{index}]", f"unknown letter {letter!r}, use S P F V")
    for letter in sorted(set(tariff.slots)):
        if LETTERS[letter] not in tariff.prices:
            raise TariffError(f"tariff.prices_e5.{LETTERS[letter]}", "missing, but slots use it")
    for period, price in tariff.prices.items():
        if price.energy_price_e5 < 0 or price.service_price_e5 < 0:
            raise TariffError(f"tariff.prices_e5.{period}", "a price is negative")
    if tariff.per_minute_e5 < 0:
        raise TariffError("tariff.per_minute_e5", "negative")
