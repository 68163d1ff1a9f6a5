"""Which tariff version holds, what a station lacks, and what a charge point can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from cloud.tariffs.models import TariffKind, Version
from cloud.tariffs.rules import (
    PRICE_MAX_E5,
    check_for_station,
    current_version,
    differences,
    kind_of,
    missing_at_station,
    model_no_of,
)
from shared.tariff import Period, PeriodPrice, Tariff, TariffError

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICES = dict.fromkeys(Period, PeriodPrice(60_000, 40_000))


def version(number: int, *, days: int = 0) -> Version:
    return Version(
        id=UUID(int=number),
        operator_id=UUID(int=0),
        station_id=UUID(int=0),
        version=number,
        model_no=number,
        kind=TariffKind.ENERGY,
        content_hash="",
        tariff={},
        valid_from=NOW + timedelta(days=days),
        created_at=NOW,
    )


OLD, CURRENT, FUTURE = version(1, days=-9), version(2), version(3, days=1)


def test_numbers_for_charge_points_start_again_after_9999() -> None:
    assert [model_no_of(number) for number in (1, 9_999, 10_000, 19_998, 19_999)] == [
        1,
        9_999,
        1,
        9_999,
        1,
    ]


def test_the_highest_valid_version_holds() -> None:
    assert current_version([OLD, CURRENT, FUTURE], NOW) is CURRENT
    assert current_version([FUTURE], NOW) is None


def test_a_station_lacks_the_current_version_and_those_to_come() -> None:
    everything = [FUTURE, CURRENT, OLD]
    assert missing_at_station(everything, None, NOW) == [CURRENT, FUTURE]
    assert missing_at_station(everything, OLD, NOW) == [CURRENT, FUTURE]
    assert missing_at_station(everything, CURRENT, NOW) == [FUTURE]
    assert missing_at_station(everything, FUTURE, NOW) == []
    assert missing_at_station([FUTURE], None, NOW) == [FUTURE]


def test_what_a_tariff_charges_for() -> None:
    free = dict.fromkeys(Period, PeriodPrice(0, 0))
    assert kind_of(Tariff("F" * 48, PRICES)) is TariffKind.ENERGY
    assert kind_of(Tariff("F" * 48, PRICES, 1)) is TariffKind.BOTH
    assert kind_of(Tariff("F" * 48, free, 1)) is TariffKind.TIME
    assert kind_of(Tariff("F" * 48, free)) is TariffKind.ENERGY


@pytest.mark.parametrize(
    ("tariff", "field"),
    [
        (Tariff("F" * 47, PRICES), "tariff.slots"),
        (Tariff("F" * 48, {Period.FLAT: PeriodPrice(1, 1)}), "tariff.prices_e5.sharp"),
        (
            Tariff("F" * 48, PRICES | {Period.FLAT: PeriodPrice(0, PRICE_MAX_E5 + 1)}),
            "tariff.prices_e5.flat",
        ),
        (Tariff("F" * 48, PRICES, PRICE_MAX_E5 + 1), "tariff.per_minute_e5"),
    ],
)
def test_what_charge_points_cannot_hold_is_named(tariff: Tariff, field: str) -> None:
    with pytest.raises(TariffError) as caught:
        check_for_station(tariff)
    assert caught.value.field == field


def test_the_highest_price_may_be_held() -> None:
    top = PeriodPrice(PRICE_MAX_E5, PRICE_MAX_E5)
    check_for_station(Tariff("F" * 48, dict.fromkeys(Period, top), PRICE_MAX_E5))


def test_differences_are_named_by_field() -> None:
    before = Tariff("F" * 48, PRICES)
    after = Tariff("F" * 47 + "V", PRICES | {Period.PEAK: PeriodPrice(60_000, 1)}, 5)
    assert differences(before, before) == []
    assert differences(before, after) == [
        ("slots[47]", "F", "V"),
        ("peak.service_price_e5", "40000", "1"),
        ("per_minute_e5", "0", "5"),
    ]
