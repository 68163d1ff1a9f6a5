"""What is billed and what is held: every limit at the limit and one unit beyond it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest

from cloud.billing.rules import (
    Basis,
    Cause,
    Check,
    Rated,
    after_decision,
    arithmetic_limit_nano,
    attribution_limit_dwh,
    claimed_dwh,
    duration_ms,
    held,
    plausible_limit_dwh,
    rate_order,
)
from shared.clock import to_ms
from shared.contracts.events import PeriodTotals, Record, TransactionEnded
from shared.contracts.words import EndKind, StartMeans
from shared.rating import Reading
from shared.tariff import Period, PeriodPrice, Tariff

SHANGHAI = ZoneInfo("Asia/Shanghai")
SLOTS = "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV"
TARIFF = Tariff(
    SLOTS,
    {
        Period.SHARP: PeriodPrice(123456, 45000),
        Period.PEAK: PeriodPrice(102345, 45000),
        Period.FLAT: PeriodPrice(65432, 40000),
        Period.VALLEY: PeriodPrice(32109, 35000),
    },
)
START = datetime(2026, 11, 21, 22, 40, tzinfo=UTC)  # 06:40 in Shanghai
END = datetime(2026, 11, 22, 0, 10, tzinfo=UTC)
METERS = ((0, 10_000_000), (20, 10_201_234), (50, 10_500_001), (80, 10_799_999), (90, 10_900_000))
READINGS = tuple(
    Reading(to_ms(START + timedelta(minutes=minute)), meter) for minute, meter in METERS
)
ENERGIES = (0, 100_001, 598_765, 201_234)  # sharp, peak, flat, valley
AMOUNT_E4 = 913_683


def record(**changes: Any) -> Record:
    energies = changes.pop("energies", ENERGIES)
    fields: dict[str, Any] = {
        "transaction_no": "1" * 32,
        "charge_point_no": "55031412782305",
        "connector_no": 1,
        "started_at": START,
        "ended_at": END,
        "periods": tuple(PeriodTotals(0, energy_dwh, 0, 0) for energy_dwh in energies),
        "meter_start_dwh": 10_000_000,
        "meter_end_dwh": 10_900_000,
        "energy_dwh": 900_000,
        "loss_energy_dwh": 0,
        "amount_e4": AMOUNT_E4,
    }
    return Record(**(fields | changes))


def ended(**changes: Any) -> TransactionEnded:
    fields: dict[str, Any] = {
        "occurred_at": END,
        "transaction_id": UUID(int=1),
        "transaction_no": "1" * 32,
        "charge_point_no": "55031412782305",
        "connector_no": 1,
        "means": StartMeans.CARD,
        "ended_by": EndKind.RECORD,
        "started_at": START,
        "ended_at": END,
        "readings": READINGS,
        "record": record(),
        "tariff_hash": TARIFF.content_hash(),
        "rated_w": 120_000,
    }
    return TransactionEnded(**(fields | changes))


def rate(event: TransactionEnded, tariff: Tariff | None = TARIFF) -> Rated:
    return rate_order(event, tariff=tariff, zone=SHANGHAI)


def check(rated: Rated, name: str) -> Check:
    return next(c for c in rated.checks if c.name == name)


def test_a_good_record_is_billed_at_its_own_energies() -> None:
    rated = rate(ended())
    assert (rated.basis, rated.hq_fen, rated.causes, rated.flags) == (Basis.RECORD, 9137, (), ())
    assert rated.bill is not None
    assert rated.bill.total_nano == 91_368_251_331
    assert [line.period for line in rated.bill.lines] == [
        Period.PEAK,
        Period.FLAT,
        Period.VALLEY,
    ]
    assert all(c.ok for c in rated.checks)


@pytest.mark.parametrize(
    ("event", "claimed"),
    [
        (ended(record=record(energy_dwh=7)), 7),
        (ended(record=None), 900_000),
        (ended(record=None, readings=()), 0),
    ],
    ids=["record", "readings", "nothing"],
)
def test_what_is_claimed_before_anybody_can_rate_it(event: TransactionEnded, claimed: int) -> None:
    assert claimed_dwh(event) == claimed


# --- arithmetic --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("periods", "rounds", "limit_nano"),
    [
        (0, False, 300_000),
        (1, False, 350_000),
        (4, False, 500_000),
        (1, True, 10_350_000),
        (4, True, 40_500_000),
    ],
)
def test_the_arithmetic_limit(periods: int, rounds: bool, limit_nano: int) -> None:
    assert arithmetic_limit_nano(periods, rounds_to_fen=rounds) == limit_nano


def one_period(amount_e4: int, price_e5: int, **changes: Any) -> tuple[TransactionEnded, Tariff]:
    """A dWh at a price, so that the amount can be put at any nano from what is expected."""
    tariff = Tariff("F" * 48, dict.fromkeys(Period, PeriodPrice(price_e5, 0)))
    event = ended(
        record=record(
            energies=(0, 0, 1, 0),
            energy_dwh=1,
            amount_e4=amount_e4,
            meter_start_dwh=0,
            meter_end_dwh=1,
        ),
        readings=(Reading(to_ms(START), 0), Reading(to_ms(END), 1)),
        tariff_hash=tariff.content_hash(),
        **changes,
    )
    return event, tariff


@pytest.mark.parametrize(
    ("amount_e4", "price_e5", "rounds", "ok"),
    [
        # expected = price nano; amount = 100,000 nano per 1e-4 yuan; limit 350,000 nano
        (10, 1_000_000 - 350_000, False, True),
        (10, 1_000_000 - 350_001, False, False),
        (10, 1_000_000 + 350_000, False, True),
        (10, 1_000_000 + 350_001, False, False),
        (200, 20_000_000 - 10_350_000, True, True),
        (200, 20_000_000 - 10_350_001, True, False),
        (200, 20_000_000 - 10_350_000, False, False),
    ],
)
def test_the_arithmetic_check_is_exact(
    amount_e4: int, price_e5: int, rounds: bool, ok: bool
) -> None:
    event, tariff = one_period(amount_e4, price_e5, rounds_to_fen=rounds)
    rated = rate(event, tariff)
    assert check(rated, "amount_nano").ok is ok
    assert rated.causes == (() if ok else (Cause.ARITHMETIC,))


def test_a_price_by_time_does_not_count_in_the_comparison() -> None:
    by_time = Tariff(SLOTS, TARIFF.prices, per_minute_e5=1000)
    rated = rate(ended(tariff_hash=by_time.content_hash()), by_time)
    assert rated.causes == ()
    assert rated.bill is not None
    assert (rated.bill.minutes, rated.hq_fen) == (90, 9137 + 90)


# --- attribution -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rated_w", "cuts", "limit_dwh"),
    [(120_000, 0, 200), (120_000, 1, 1866), (120_000, 2, 3533), (71, 1, 200), (72, 1, 201)],
)
def test_the_attribution_limit(rated_w: int, cuts: int, limit_dwh: int) -> None:
    assert attribution_limit_dwh(rated_w, cuts) == limit_dwh


def moved(to_valley_dwh: int) -> TransactionEnded:
    """A record that counts so much less in flat and more in valley, amount to match."""
    energies = (0, 100_001, 598_765 - to_valley_dwh, 201_234 + to_valley_dwh)
    nano = 100_001 * 147_345 + energies[2] * 105_432 + energies[3] * 67_109
    return ended(record=record(energies=energies, amount_e4=(nano + 50_000) // 100_000))


@pytest.mark.parametrize(
    ("to_valley_dwh", "ok"), [(1866, True), (1867, False), (-1866, True), (-1867, False)]
)
def test_the_attribution_check_is_exact(to_valley_dwh: int, ok: bool) -> None:
    # Valley has one cut (to flat): 200 + 120,000 / 72 = 1,866 dWh. Flat has two.
    rated = rate(moved(to_valley_dwh))
    assert check(rated, "valley_dwh").ok is ok
    assert check(rated, "flat_dwh").ok
    assert rated.causes == (() if ok else (Cause.ATTRIBUTION,))


@pytest.mark.parametrize(
    ("to_valley_dwh", "ok"), [(5866, True), (5867, False), (-5866, True), (-5867, False)]
)
def test_a_cut_that_nobody_watched_leaves_the_energy_of_its_gap_to_either_side(
    to_valley_dwh: int, ok: bool
) -> None:
    seen = moved(to_valley_dwh)
    cut = READINGS[1]
    unseen = msgspec.structs.replace(cut, measured=False, gap_dwh=4_000)
    event = msgspec.structs.replace(seen, readings=(READINGS[0], unseen, *READINGS[2:]))
    rated = rate(event)
    assert check(rated, "valley_dwh").ok is ok
    assert rated.causes == (() if ok else (Cause.ATTRIBUTION,))


def test_a_cut_within_one_period_gives_no_tolerance() -> None:
    flat = Tariff("F" * 48, TARIFF.prices)
    rated = rate(ended(record=None, ended_by=EndKind.ESTIMATED), flat)
    assert rated.checks == (Check("energy_dwh", 900_000, plausible_limit_dwh(120_000, 5_400_000)),)
    event = ended(record=record(energies=(0, 0, 900_000, 0), amount_e4=948_888), tariff_hash="")
    assert check(rate(event, flat), "flat_dwh") == Check("flat_dwh", 0, 200)


def test_without_readings_a_record_stands_on_its_arithmetic() -> None:
    rated = rate(ended(readings=()))
    assert (rated.hq_fen, rated.causes) == (9137, ())
    assert rated.flags == ("attribution_unchecked",)


def test_a_straight_line_proves_nothing_about_periods() -> None:
    line = (READINGS[0], READINGS[-1])
    rated = rate(ended(readings=line, flags=("start_unseen",)))
    assert (rated.hq_fen, rated.causes) == (9137, ())
    assert rated.flags == ("start_unseen", "attribution_unchecked")


def test_broken_readings_are_flagged_and_not_used() -> None:
    rated = rate(ended(readings=tuple(reversed(READINGS))))
    assert (rated.hq_fen, rated.causes) == (9137, ())
    assert rated.flags == ("readings_unusable", "attribution_unchecked")


def test_a_clock_that_was_lost_gives_readings_that_are_not_used() -> None:
    rated = rate(ended(readings=(Reading(0, 0), *READINGS)))
    assert (rated.hq_fen, rated.causes) == (9137, ())
    assert rated.flags == ("readings_unusable", "attribution_unchecked")


def test_line_loss_is_billed_but_not_compared_with_the_meter() -> None:
    periods = tuple(PeriodTotals(0, energy, energy * 105 // 100, 0) for energy in ENERGIES)
    billed = [period.loss_energy_dwh for period in periods]
    nano = billed[1] * 147_345 + billed[2] * 105_432 + billed[3] * 67_109
    event = ended(
        record=record(periods=periods, loss_energy_dwh=sum(billed), amount_e4=nano // 100_000)
    )
    rated = rate(event)
    assert (rated.basis, rated.causes) == (Basis.RECORD, ())
    assert rated.bill is not None
    assert rated.bill.energy_dwh == sum(billed)


def test_line_loss_alone_is_compared_as_it_is() -> None:
    periods = tuple(PeriodTotals(0, 0, energy, 0) for energy in ENERGIES)
    rated = rate(ended(record=record(periods=periods, loss_energy_dwh=900_000)))
    assert (rated.hq_fen, rated.causes) == (9137, ())


# --- fallbacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("energies", [(0, 0, 0, 0), (0, 100_001, 598_765, 201_233)])
def test_energies_that_contradict_themselves_give_way_to_our_split(
    energies: tuple[int, int, int, int],
) -> None:
    rated = rate(ended(record=record(energies=energies)))
    assert (rated.basis, rated.hq_fen, rated.causes) == (Basis.READINGS, 9137, ())
    assert rated.flags == ("record_energies_unusable",)
    assert check(rated, "total_dwh") == Check("total_dwh", 0, 1866)


@pytest.mark.parametrize(("off_dwh", "ok"), [(1866, True), (1867, False)])
def test_our_split_must_fit_the_total(off_dwh: int, ok: bool) -> None:
    energy_dwh = 900_000 + off_dwh
    total = record(
        energies=(0, 0, 0, 0), energy_dwh=energy_dwh, meter_end_dwh=10_000_000 + energy_dwh
    )
    rated = rate(ended(record=total))
    assert rated.causes == (() if ok else (Cause.ATTRIBUTION,))


def test_negative_energies_are_unusable() -> None:
    rated = rate(ended(record=record(energies=(-1, 100_002, 598_765, 201_234))))
    assert rated.basis is Basis.READINGS


def test_without_energies_and_readings_there_is_no_bill() -> None:
    rated = rate(ended(readings=(), record=record(energies=(0, 0, 0, 0))))
    assert (rated.basis, rated.bill, rated.hq_fen) == (Basis.NONE, None, None)
    assert rated.causes == (Cause.NO_ENERGY,)


def test_an_estimate_is_billed_from_readings() -> None:
    rated = rate(ended(record=None, ended_by=EndKind.ESTIMATED))
    assert (rated.basis, rated.hq_fen, rated.causes) == (Basis.READINGS, 9137, ())


def test_an_estimate_without_readings_waits() -> None:
    assert rate(ended(record=None, readings=())).causes == (Cause.NO_ENERGY,)


# --- nothing charged ---------------------------------------------------------------------------

NO_ENERGY = {"energies": (0, 0, 0, 0), "energy_dwh": 0, "amount_e4": 0, "meter_end_dwh": 10_000_000}


@pytest.mark.parametrize("tariff", [TARIFF, None])
def test_no_energy_costs_nothing_under_any_tariff(tariff: Tariff | None) -> None:
    rated = rate(ended(record=record(**NO_ENERGY), readings=()), tariff)
    assert (rated.basis, rated.hq_fen, rated.causes) == (Basis.ZERO, 0, ())


@pytest.mark.parametrize(
    ("minutes", "seconds", "stop_reason", "basis", "hq_fen"),
    [
        (60, 0, 0x40, Basis.RECORD, 60),
        (1, 0, 0x40, Basis.RECORD, 1),
        (0, 59, 0x40, Basis.ZERO, 0),
        (60, 0, 0x49, Basis.RECORD, 60),
        (60, 0, 0x4A, Basis.ZERO, 0),
        (60, 0, 0x69, Basis.ZERO, 0),
        (60, 0, 0x6A, Basis.RECORD, 60),
    ],
)
def test_a_price_by_time_is_due_without_energy_unless_the_start_failed(
    minutes: int, seconds: int, stop_reason: int, basis: Basis, hq_fen: int
) -> None:
    by_time = msgspec.structs.replace(TARIFF, per_minute_e5=1000)
    nothing = record(**NO_ENERGY, stop_reason=stop_reason)
    ended_at = START + timedelta(minutes=minutes, seconds=seconds)
    event = ended(record=nothing, readings=(), ended_at=ended_at, tariff_hash="")
    rated = rate(event, by_time)
    assert (rated.basis, rated.hq_fen, rated.causes) == (basis, hq_fen, ())


def test_an_estimate_of_nothing_costs_time_too() -> None:
    by_time = msgspec.structs.replace(TARIFF, per_minute_e5=1000)
    readings = (Reading(to_ms(START), 5), Reading(to_ms(END), 5))
    rated = rate(ended(record=None, readings=readings, tariff_hash=""), by_time)
    assert (rated.basis, rated.hq_fen, rated.causes) == (Basis.READINGS, 90, ())


@pytest.mark.parametrize(
    ("risen_dwh", "basis", "causes"),
    [(200, Basis.ZERO, ()), (201, Basis.RECORD, (Cause.ATTRIBUTION,))],
)
def test_a_record_of_nothing_is_not_believed_against_the_readings(
    risen_dwh: int, basis: Basis, causes: tuple[Cause, ...]
) -> None:
    minute = to_ms(START) + 60_000
    readings = (Reading(to_ms(START), 0), Reading(minute, risen_dwh))
    rated = rate(ended(record=record(**NO_ENERGY), readings=readings))
    assert (rated.basis, rated.causes) == (basis, causes)


def test_an_amount_without_energy_is_looked_at() -> None:
    rated = rate(ended(record=record(**(NO_ENERGY | {"amount_e4": 100})), readings=()))
    assert rated.causes == (Cause.ARITHMETIC,)


@pytest.mark.parametrize(("risen_dwh", "basis"), [(0, Basis.ZERO), (1, Basis.READINGS)])
def test_an_estimate_of_nothing_is_zero(risen_dwh: int, basis: Basis) -> None:
    readings = (Reading(to_ms(START), 5), Reading(to_ms(END), 5 + risen_dwh))
    assert rate(ended(record=None, readings=readings)).basis is basis


# --- plausibility ------------------------------------------------------------------------------


def test_910_kwh_instead_of_0_083_is_never_charged() -> None:
    # A placeholder 0 as first reading: the meter's lifetime comes out as the energy.
    flat = Tariff("F" * 48, TARIFF.prices)
    placeholder = record(
        energies=(0, 0, 9_100_830, 0),
        energy_dwh=9_100_830,
        meter_start_dwh=0,
        meter_end_dwh=9_100_830,
        amount_e4=9_595_187,
    )
    for readings in ((), (Reading(to_ms(START), 9_100_000), Reading(to_ms(END), 9_100_830))):
        event = ended(
            record=placeholder,
            readings=readings,
            ended_at=START + timedelta(minutes=5),
            tariff_hash=flat.content_hash(),
        )
        rated = rate(event, flat)
        assert Cause.IMPLAUSIBLE_ENERGY in rated.causes


def test_the_plausible_limit() -> None:
    # 120 kW for one hour and the margin of a minute: 122 kWh, and a tenth more.
    assert plausible_limit_dwh(120_000, 3_600_000) == 1_342_000
    assert plausible_limit_dwh(120_000, 0) == 22_000
    assert plausible_limit_dwh(1, 0) == 0


@pytest.mark.parametrize(("energy_dwh", "ok"), [(1_342_000, True), (1_342_001, False)])
def test_plausibility_is_exact(energy_dwh: int, ok: bool) -> None:
    flat = Tariff("F" * 48, dict.fromkeys(Period, PeriodPrice(100_000, 0)))
    for rated_w in (120_000, 0):
        event = ended(
            record=record(
                energies=(0, 0, energy_dwh, 0),
                energy_dwh=energy_dwh,
                amount_e4=energy_dwh,
                meter_end_dwh=10_000_000 + energy_dwh,
            ),
            readings=(),
            ended_at=START + timedelta(hours=1),
            rated_w=rated_w,
            tariff_hash="",
        )
        rated = rate(event, flat)
        assert rated.causes == (() if ok else (Cause.IMPLAUSIBLE_ENERGY,))


def test_a_meter_that_falls_is_not_charged() -> None:
    rated = rate(ended(record=record(meter_end_dwh=9_990_000)))
    assert rated.causes == (Cause.METER_FALLS,)


@pytest.mark.parametrize(("off_dwh", "causes"), [(1866, ()), (1867, (Cause.METER_DIFFERS,))])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("flags", [(), ("start_unseen",)])
def test_a_meter_that_jumps_is_looked_at(
    off_dwh: int, causes: tuple[Cause, ...], sign: int, flags: tuple[str, ...]
) -> None:
    jumped = record(meter_end_dwh=10_900_000 + sign * off_dwh)
    rated = rate(ended(record=jumped, flags=flags))
    assert (rated.hq_fen, rated.causes) == (9137, causes)
    assert check(rated, "meter_dwh") == Check("meter_dwh", off_dwh, 1866)


@pytest.mark.parametrize(
    ("changes", "causes"),
    [
        ({}, ()),
        ({"flags": ("start_unseen",)}, (Cause.METER_DIFFERS,)),
        ({"readings": ()}, (Cause.METER_DIFFERS,)),
    ],
)
def test_a_meter_that_stands_still_is_believed_only_against_nothing_else(
    changes: dict[str, Any], causes: tuple[Cause, ...]
) -> None:
    rated = rate(ended(record=record(meter_end_dwh=10_000_000), **changes))
    assert (rated.hq_fen, rated.causes) == (9137, causes)
    assert ("meter_stands_still" in rated.flags) is (not causes)


@pytest.mark.parametrize(
    ("risen_dwh", "stop_reason", "causes"),
    [
        (200, 0x40, ()),
        (50_000, 0x40, (Cause.METER_DIFFERS,)),
        (50_000, 0x4A, ()),
        (9_100_830, 0x40, ()),
    ],
)
def test_a_record_of_nothing_is_not_believed_against_its_meter(
    risen_dwh: int, stop_reason: int, causes: tuple[Cause, ...]
) -> None:
    nothing = record(
        **(NO_ENERGY | {"meter_start_dwh": 0, "meter_end_dwh": risen_dwh}), stop_reason=stop_reason
    )
    rated = rate(ended(record=nothing, readings=(), ended_at=START + timedelta(minutes=30)))
    assert (rated.hq_fen, rated.causes) == (0, causes)


@pytest.mark.parametrize(("over_s", "causes"), [(0, ()), (1, (Cause.TOO_LONG,))])
def test_a_day_is_the_longest(over_s: int, causes: tuple[Cause, ...]) -> None:
    assert rate(ended(ended_at=START + timedelta(days=1, seconds=over_s))).causes == causes


def test_times_the_wrong_way_round_give_no_duration() -> None:
    event = ended(ended_at=START - timedelta(hours=1))
    assert duration_ms(event) == 0
    assert Cause.IMPLAUSIBLE_ENERGY in rate(event).causes


def test_an_absurd_amount_is_no_bill() -> None:
    energy_dwh = 4 * (2**32 - 1)
    absurd = record(energies=(2**32 - 1,) * 4, energy_dwh=energy_dwh)
    dear = Tariff(SLOTS, dict.fromkeys(Period, PeriodPrice(2**32 - 1, 0)))
    rated = rate(ended(record=absurd, readings=(), tariff_hash=""), dear)
    assert rated.bill is None
    assert Cause.IMPLAUSIBLE_AMOUNT in rated.causes


# --- tariff ------------------------------------------------------------------------------------


def test_without_a_tariff_there_is_no_bill() -> None:
    rated = rate(ended(), None)
    assert (rated.basis, rated.bill, rated.causes) == (Basis.NONE, None, (Cause.NO_TARIFF,))


def test_another_tariff_at_the_station_is_looked_at() -> None:
    assert rate(ended(tariff_hash="00")).causes == (Cause.TARIFF_DIFFERS,)
    assert rate(ended(tariff_hash="")).causes == ()


def test_energy_in_a_period_without_a_price_is_looked_at() -> None:
    flat = Tariff("F" * 48, {Period.FLAT: PeriodPrice(65432, 40000)})
    rated = rate(ended(tariff_hash=""), flat)
    assert rated.causes == (Cause.UNPRICED_PERIOD,)
    assert (rated.basis, rated.hq_fen) == (Basis.READINGS, 9489)
    assert rate(ended(tariff_hash="", readings=()), flat).causes == (
        Cause.UNPRICED_PERIOD,
        Cause.NO_ENERGY,
    )


def test_flags_of_the_station_are_kept() -> None:
    assert rate(msgspec.structs.replace(ended(), flags=("clock",))).flags == ("clock",)


# --- a record after a decision -----------------------------------------------------------------


@pytest.mark.parametrize(("decided_fen", "causes"), [(9137, ()), (0, (Cause.DECIDED,))])
def test_a_record_does_not_overrule_a_decision(decided_fen: int, causes: tuple[Cause, ...]) -> None:
    rated = after_decision(rate(ended()), decided_fen=decided_fen)
    assert (rated.hq_fen, rated.causes) == (9137, causes)


def test_a_cause_is_named_once() -> None:
    assert held(held(rate(ended()), Cause.DISPUTED), Cause.DISPUTED).causes == (Cause.DISPUTED,)
