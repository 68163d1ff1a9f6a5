"""What a transaction costs: worked examples, the clocks of the world, an independent oracle."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import to_ms
from shared.rating import (
    Bill,
    RatingError,
    Reading,
    energy_by_period,
    rate_periods,
    rate_readings,
    slot_of,
    split,
)
from shared.tariff import LETTERS, Period, PeriodPrice, Tariff

SLOTS = "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV"
PRICES = {
    Period.SHARP: PeriodPrice(123456, 45000),
    Period.PEAK: PeriodPrice(102345, 45000),
    Period.FLAT: PeriodPrice(65432, 40000),
    Period.VALLEY: PeriodPrice(32109, 35000),
}
TARIFF = Tariff(SLOTS, PRICES)
SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
DAY_MS = 86_400_000


def reading(at: str, meter_dwh: int) -> Reading:
    return Reading(to_ms(datetime.fromisoformat(at)), meter_dwh)


EXAMPLE_1 = [
    reading("2026-11-22T06:40:00+08:00", 10_000_000),
    reading("2026-11-22T07:00:00+08:00", 10_201_234),
    reading("2026-11-22T07:30:00+08:00", 10_500_001),
    reading("2026-11-22T08:00:00+08:00", 10_799_999),
    reading("2026-11-22T08:10:00+08:00", 10_900_000),
]


def parts_fen(bill: Bill) -> tuple[int, int, int]:
    return bill.energy_fee_fen, bill.service_fee_fen, bill.time_fee_fen


def test_a_session_over_three_cuts() -> None:
    bill = rate_readings(EXAMPLE_1, TARIFF, SHANGHAI)
    nanos = [line.energy_fee_nano + line.service_fee_nano for line in bill.lines]
    assert nanos == [13_504_612_506, 31_499_602_344, 31_629_389_136, 14_734_647_345]
    assert [line.period for line in bill.lines] == [
        Period.VALLEY,
        Period.FLAT,
        Period.FLAT,
        Period.PEAK,
    ]
    assert (bill.total_nano, bill.payable_fen) == (91_368_251_331, 9137)
    assert sum(parts_fen(bill)) == 9137
    assert bill.energy_dwh == 900_000


def test_rounding_once_keeps_the_fen_that_rounding_lines_loses() -> None:
    bill = rate_periods({Period.FLAT: 100_001, Period.VALLEY: 400_007}, TARIFF, 0)
    assert (bill.total_nano, bill.payable_fen) == (37_387_375_195, 3739)
    fens = [line.energy_fee_fen + line.service_fee_fen for line in bill.lines]
    assert sum(fens) == 3739


def test_four_small_parts() -> None:
    bill = rate_periods(dict.fromkeys(Period, 3333), TARIFF, 0)
    assert (bill.total_nano, bill.payable_fen) == (1_627_643_886, 163)
    assert sum(line.energy_fee_fen + line.service_fee_fen for line in bill.lines) == 163


def test_a_tariff_that_changes_within_a_session_is_rated_by_parts() -> None:
    later = Tariff(SLOTS, PRICES | {Period.FLAT: PeriodPrice(70_000, 40_000)})
    first = rate_readings(EXAMPLE_1[:3], TARIFF, SHANGHAI)
    second = rate_readings(EXAMPLE_1[2:4], later, SHANGHAI)
    third = rate_readings(EXAMPLE_1[3:], TARIFF, SHANGHAI)
    total_nano = first.total_nano + second.total_nano + third.total_nano
    assert second.total_nano == 32_999_780_000
    assert total_nano == 92_738_642_195


def test_midnight_is_a_cut_like_any_other() -> None:
    segments = split(
        [reading("2026-11-22T23:50:00+08:00", 0), reading("2026-11-23T00:20:00+08:00", 300)],
        SHANGHAI,
    )
    assert [(s.slot, s.energy_dwh) for s in segments] == [(47, 100), (0, 200)]


def test_the_hour_that_comes_twice_is_billed_twice() -> None:
    segments = split(
        [reading("2026-10-25T01:45:00+02:00", 0), reading("2026-10-25T03:15:00+01:00", 150)],
        BERLIN,
    )
    assert [s.slot for s in segments] == [3, 4, 5, 4, 5, 6]
    assert [s.energy_dwh for s in segments] == [15, 30, 30, 30, 30, 15]


def test_the_hour_that_never_comes_is_not_billed() -> None:
    segments = split(
        [reading("2026-03-29T01:45:00+01:00", 0), reading("2026-03-29T03:15:00+02:00", 30)], BERLIN
    )
    assert [(s.slot, s.energy_dwh) for s in segments] == [(3, 15), (6, 15)]


def test_an_offset_that_changes_inside_a_slot_is_a_cut() -> None:
    # Lord Howe moves by half an hour: 02:00 +11:00 becomes 01:30 +10:30.
    segments = split(
        [reading("2026-04-05T01:45:00+11:00", 0), reading("2026-04-05T02:15:00+10:30", 60)],
        LORD_HOWE,
    )
    assert [(s.slot, s.energy_dwh) for s in segments] == [(3, 15), (3, 30), (4, 15)]


def test_an_offset_may_change_in_the_middle_of_a_slot() -> None:
    # St. John's went to summer time at one minute past midnight until 2011.
    segments = split(
        [reading("2010-03-13T23:50:00-03:30", 0), reading("2010-03-14T01:11:00-02:30", 21)],
        ZoneInfo("America/St_Johns"),
    )
    assert [(s.slot, s.energy_dwh) for s in segments] == [(47, 10), (0, 1), (2, 10)]


def test_the_zone_decides_and_not_a_fixed_offset() -> None:
    # Shanghai kept summer time in 1990.
    assert slot_of(to_ms(datetime.fromisoformat("1990-07-01T00:00:00+00:00")), SHANGHAI) == 18


def test_energy_at_a_cut_lies_on_the_line_and_the_last_part_takes_the_rest() -> None:
    readings = [
        reading("2026-11-22T07:20:00+08:00", 0),
        reading("2026-11-22T07:50:00+08:00", 10),
    ]
    assert [s.energy_dwh for s in split(readings, SHANGHAI)] == [3, 7]
    assert energy_by_period(readings, TARIFF, SHANGHAI)[Period.FLAT] == 10


def test_time_is_billed_by_whole_minutes() -> None:
    by_time = Tariff(SLOTS, dict.fromkeys(Period, PeriodPrice(0, 0)), per_minute_e5=50_000)
    readings = [
        reading("2026-11-22T06:40:00+08:00", 0),
        reading("2026-11-22T06:42:59.999+08:00", 10),
    ]
    bill = rate_readings(readings, by_time, SHANGHAI)
    assert (bill.minutes, bill.time_fee_fen, bill.payable_fen) == (2, 100, 100)


def test_both_energy_and_time_add_up_after_one_rounding() -> None:
    both = Tariff(SLOTS, PRICES, per_minute_e5=333)
    bill = rate_readings(EXAMPLE_1, both, SHANGHAI)
    assert bill.minutes == 90
    assert bill.total_nano == 91_368_251_331 + 90 * 333 * 10_000
    assert sum(parts_fen(bill)) == bill.payable_fen == 9167


def test_time_without_energy_has_no_lines() -> None:
    bill = rate_periods({}, Tariff(SLOTS, PRICES, per_minute_e5=1000), 3)
    assert (bill.lines, bill.payable_fen, parts_fen(bill)) == ((), 3, (0, 0, 3))


@pytest.mark.parametrize(
    ("readings", "field"),
    [
        ([], "readings"),
        (EXAMPLE_1[:1], "readings"),
        ([EXAMPLE_1[0], EXAMPLE_1[0]], "readings[1]"),
        ([EXAMPLE_1[1], EXAMPLE_1[0]], "readings[1]"),
        ([EXAMPLE_1[0], Reading(EXAMPLE_1[1].at_ms, 1)], "readings[1]"),
        ([Reading(0, 0), *EXAMPLE_1], "readings[1]"),
        ([Reading(0, 0), Reading(31 * DAY_MS, 1), Reading(31 * DAY_MS + 1, 2)], "readings[2]"),
        ([Reading(-1, 0), Reading(0, 1)], "readings[0]"),
        ([Reading(2**62, 0), Reading(2**62 + 1, 1)], "readings[0]"),
    ],
)
def test_readings_that_cannot_be_rated_say_where(readings: list[Reading], field: str) -> None:
    with pytest.raises(RatingError) as caught:
        rate_readings(readings, TARIFF, SHANGHAI)
    assert caught.value.field == field


@pytest.mark.parametrize("first_ms", [0, 250_000_000_000_000])
def test_a_month_at_either_end_of_time_can_be_rated(first_ms: int) -> None:
    readings = [Reading(first_ms, 0), Reading(first_ms + 31 * DAY_MS, 1_488)]
    assert rate_readings(readings, TARIFF, SHANGHAI).energy_dwh == 1_488


def test_negative_energies_and_minutes_are_refused() -> None:
    with pytest.raises(RatingError, match=r"energies\.flat"):
        rate_periods({Period.FLAT: -1}, TARIFF, 0)
    with pytest.raises(RatingError, match="minutes"):
        rate_periods({Period.FLAT: 1}, TARIFF, -1)


# --- properties ------------------------------------------------------------------------------

START_MS = to_ms(datetime.fromisoformat("2026-11-22T00:00:00+08:00"))
steps = st.lists(
    st.tuples(st.integers(1, 4 * 3_600_000), st.integers(0, 2_000_000)), min_size=1, max_size=12
)
prices = st.builds(PeriodPrice, st.integers(0, 400_000), st.integers(0, 400_000))
tariffs = st.builds(
    Tariff,
    slots=st.text(alphabet="SPFV", min_size=48, max_size=48),
    prices=st.fixed_dictionaries(dict.fromkeys(Period, prices)),
    per_minute_e5=st.integers(0, 100_000),
)
zones = st.sampled_from([SHANGHAI, BERLIN, LORD_HOWE, ZoneInfo("Asia/Kathmandu")])


def series(gaps: list[tuple[int, int]]) -> list[Reading]:
    readings = [Reading(START_MS, 0)]
    for gap_ms, risen_dwh in gaps:
        last = readings[-1]
        readings.append(Reading(last.at_ms + gap_ms, last.meter_dwh + risen_dwh))
    return readings


def oracle(readings: list[Reading], tariff: Tariff) -> Fraction:
    """Price minute by minute in yuan with fractions; meters are cut by the rule of the rating.

    Shares no code with it: half hours are found by counting from local midnight (+08:00).
    """
    half_hour_ms = 30 * 60_000
    first, last = readings[0], readings[-1]
    cuts = [first.at_ms]
    cuts += range((first.at_ms // half_hour_ms + 1) * half_hour_ms, last.at_ms, half_hour_ms)
    cuts.append(last.at_ms)
    total = Fraction(0)
    for start_ms, end_ms in pairwise(cuts):
        energy = Fraction(meter(readings, end_ms) - meter(readings, start_ms), 10_000)
        slot = ((start_ms + 8 * 3_600_000) // half_hour_ms) % 48
        price = tariff.prices[LETTERS[tariff.slots[slot]]]
        total += energy * Fraction(price.energy_price_e5 + price.service_price_e5, 100_000)
    minutes = (last.at_ms - first.at_ms) // 60_000
    return total + minutes * Fraction(tariff.per_minute_e5, 100_000)


def meter(readings: list[Reading], at_ms: int) -> int:
    for before, after in pairwise(readings):
        if before.at_ms <= at_ms <= after.at_ms:
            share = Fraction(at_ms - before.at_ms, after.at_ms - before.at_ms)
            return before.meter_dwh + int((after.meter_dwh - before.meter_dwh) * share)
    raise AssertionError(at_ms)


@given(gaps=steps, tariff=tariffs)
def test_rating_agrees_with_fractions(gaps: list[tuple[int, int]], tariff: Tariff) -> None:
    readings = series(gaps)
    bill = rate_readings(readings, tariff, SHANGHAI)
    yuan = oracle(readings, tariff)
    assert Fraction(bill.total_nano, 10**9) == yuan
    assert bill.payable_fen == int(yuan * 100 + Fraction(1, 2))


@given(gaps=steps, tariff=tariffs, zone=zones)
def test_everything_adds_up(gaps: list[tuple[int, int]], tariff: Tariff, zone: ZoneInfo) -> None:
    readings = series(gaps)
    bill = rate_readings(readings, tariff, zone)
    assert sum(parts_fen(bill)) == bill.payable_fen
    assert sum(line.energy_fee_fen for line in bill.lines) == bill.energy_fee_fen
    assert sum(line.service_fee_fen for line in bill.lines) == bill.service_fee_fen
    assert sum(line.energy_dwh for line in bill.lines) == readings[-1].meter_dwh
    assert all(line.energy_dwh >= 0 for line in bill.lines)


@given(gaps=steps, tariff=tariffs, at=st.integers(0, 11), zone=zones)
def test_splitting_a_session_at_a_reading_changes_nothing(
    gaps: list[tuple[int, int]], tariff: Tariff, at: int, zone: ZoneInfo
) -> None:
    readings = series(gaps)
    cut = min(at, len(readings) - 2)
    by_energy = Tariff(tariff.slots, tariff.prices)
    whole = rate_readings(readings, by_energy, zone).total_nano
    if cut == 0:
        return
    first = rate_readings(readings[: cut + 1], by_energy, zone).total_nano
    second = rate_readings(readings[cut:], by_energy, zone).total_nano
    assert first + second == whole


@given(gaps=steps, tariff=tariffs, risen_e5=st.integers(0, 100_000), period=st.sampled_from(Period))
def test_a_higher_price_never_costs_less(
    gaps: list[tuple[int, int]], tariff: Tariff, risen_e5: int, period: Period
) -> None:
    readings = series(gaps)
    old = tariff.prices[period]
    dearer = PeriodPrice(old.energy_price_e5 + risen_e5, old.service_price_e5)
    raised = Tariff(tariff.slots, tariff.prices | {period: dearer}, tariff.per_minute_e5)
    before = rate_readings(readings, tariff, SHANGHAI)
    after = rate_readings(readings, raised, SHANGHAI)
    assert after.total_nano >= before.total_nano
    assert after.payable_fen >= before.payable_fen


@given(energies=st.fixed_dictionaries(dict.fromkeys(Period, st.integers(0, 10**7))), tariff=tariffs)
def test_periods_and_readings_end_in_the_same_price(
    energies: dict[Period, int], tariff: Tariff
) -> None:
    expected = sum(
        dwh * (tariff.prices[p].energy_price_e5 + tariff.prices[p].service_price_e5)
        for p, dwh in energies.items()
    )
    bill = rate_periods(energies, Tariff(tariff.slots, tariff.prices), 7)
    assert bill.total_nano == expected
    assert {line.period for line in bill.lines} == {p for p, dwh in energies.items() if dwh}
