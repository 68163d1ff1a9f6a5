"""A tariff names its own mistakes and has one hash for what it charges."""

from __future__ import annotations

import pytest

from shared.tariff import Period, PeriodPrice, Tariff, TariffError, check_tariff

SLOTS = "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV"
PRICES = {period: PeriodPrice(100, 50) for period in Period}


@pytest.mark.parametrize(
    ("tariff", "field"),
    [
        (Tariff(SLOTS[1:], PRICES), "tariff.slots"),
        (Tariff("X" + SLOTS[1:], PRICES), "tariff.slots[0]"),
        (Tariff(SLOTS[:-1] + "s", PRICES), "tariff.slots[47]"),
        (Tariff(SLOTS, {Period.FLAT: PeriodPrice(1, 1)}), "tariff.prices_e5.peak"),
        (Tariff(SLOTS, PRICES | {Period.FLAT: PeriodPrice(-1, 0)}), "tariff.prices_e5.flat"),
        (Tariff(SLOTS, PRICES | {Period.FLAT: PeriodPrice(0, -1)}), "tariff.prices_e5.flat"),
        (Tariff(SLOTS, PRICES, per_minute_e5=-1), "tariff.per_minute_e5"),
    ],
)
def test_a_mistake_is_named(tariff: Tariff, field: str) -> None:
    with pytest.raises(TariffError) as caught:
        check_tariff(tariff)
    assert caught.value.field == field
    assert caught.value.reason in str(caught.value)


def test_a_price_that_no_slot_uses_may_be_missing() -> None:
    check_tariff(Tariff("F" * 48, {Period.FLAT: PeriodPrice(1, 0)}))


def test_the_hash_is_of_what_is_charged() -> None:
    hashes = {
        Tariff(SLOTS, PRICES).content_hash(),
        Tariff(SLOTS, dict(reversed(PRICES.items()))).content_hash(),
    }
    others = {
        Tariff(SLOTS, PRICES, per_minute_e5=1).content_hash(),
        Tariff("F" * 48, PRICES).content_hash(),
        Tariff(SLOTS, PRICES | {Period.SHARP: PeriodPrice(50, 100)}).content_hash(),
    }
    assert len(hashes) == 1
    assert len(hashes | others) == 4


def test_slots_have_periods() -> None:
    tariff = Tariff(SLOTS, PRICES)
    assert [tariff.period_of_slot(slot) for slot in (0, 14, 16, 36)] == [
        Period.VALLEY,
        Period.FLAT,
        Period.PEAK,
        Period.SHARP,
    ]


def test_a_period_that_no_slot_uses_needs_no_price() -> None:
    flat_only = Tariff("F" * 48, {Period.FLAT: PRICES[Period.FLAT]})
    check_tariff(flat_only)
    assert len(flat_only.content_hash()) == 64
