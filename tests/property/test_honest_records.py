"""An honest charge point's record is never held for review; a wrong one always is."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import assume, example, given, settings
from msgspec import structs

from cloud.billing.rules import (
    Basis,
    Cause,
    Rated,
    arithmetic_limit_nano,
    attribution_limit_dwh,
    rate_order,
)
from edge.devices.chargers.ykc.messages import TransactionRecord
from ops.sim.meter import payable_fen
from shared.money import NANO_PER_E4, divide_half_up
from shared.rating import Bill, next_cut
from shared.tariff import PERIODS, Period, PeriodPrice, Tariff
from tests.fakes.charging_story import Lie, Outage, Story, tell, version_of

EXAMPLES = 40
ZONES = ("Asia/Shanghai", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata")
NOON_MS = 1_795_320_000_000
FOLD_MS = 1_792_890_000_000
# A day like any other, and the nights on which clocks change.
NIGHTS_MS = (NOON_MS, FOLD_MS, 1_774_746_000_000, 1_775_314_800_000, 1_791_041_400_000)
RATED_W = 120_000


def _within(low_s: float, high_s: float) -> st.SearchStrategy[float]:
    """A time in tenths of a second."""
    return st.integers(round(low_s * 10), round(high_s * 10)).map(lambda tenths: tenths / 10)


EACH_SLOT = version_of(
    Tariff("SPFV" * 12, {p: PeriodPrice(10_000 * (i + 1), 4_000) for i, p in enumerate(PERIODS)}), 7
)
DEAR = version_of(Tariff("VPSF" * 12, dict.fromkeys(PERIODS, PeriodPrice(300_000, 0))), 8)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """Prices that change every half hour, hour, or longer."""
    letters = draw(st.permutations("SPFV"))
    run = draw(st.sampled_from((1, 1, 2, 5)))
    slots = "".join(letters[index // run % 4] for index in range(48))
    price = st.builds(PeriodPrice, st.integers(0, 200_000), st.integers(0, 99_999))
    return Tariff(slots, {p: draw(price) for p in PERIODS}, draw(st.sampled_from((0, 0, 1234))))


@st.composite
def outages(draw: st.DrawFn, length_s: float) -> tuple[Outage, ...]:
    found, at_s = [], -50.0
    for _ in range(draw(st.integers(0, 3))):
        from_s = at_s + draw(st.one_of(_within(0.1, 60), _within(0.1, length_s)))
        to_s = from_s + draw(st.one_of(_within(1, 40), _within(1, length_s + 600)))
        beat_s = draw(_within(0.1, 30))
        found.append(
            Outage(
                from_s,
                to_s,
                restart=draw(st.booleans()),
                torn=draw(st.booleans()),
                unnoticed_s=draw(st.sampled_from((0.0, 15.0, 40.0))),
                heartbeat_after_s=beat_s,
            )
        )
        at_s = to_s + beat_s
    return tuple(found)


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """A charge during which prices change, most likely near where something else happens."""
    watts = st.sampled_from((RATED_W, RATED_W, 0, 60_000, 7_003))
    pieces = st.tuples(st.one_of(_within(0.5, 40), _within(60, 3_000)), watts)
    curve = tuple(draw(st.lists(pieces, min_size=2, max_size=6)))
    edges_s = list(accumulate((seconds for seconds, _ in curve), initial=0.0))
    length_s = edges_s[-1]
    away = draw(outages(length_s))
    lost = draw(st.lists(st.tuples(_within(0, length_s), _within(1, 120)), max_size=2))
    marks_s = edges_s + [s for o in away for s in (o.from_s, o.to_s)] + [a for a, _ in lost]
    inside_s = [mark_s for mark_s in marks_s if 0 < mark_s < length_s] or [length_s / 2]
    cut_s = draw(st.sampled_from(inside_s)) + draw(_within(-20, 20))
    zone_name = draw(st.sampled_from(ZONES))
    around_ms = draw(st.sampled_from(NIGHTS_MS)) + draw(st.integers(-8, 8)) * 1_800_000
    obeys = draw(st.booleans())
    step = st.tuples(_within(0, length_s), st.sampled_from((-900, 900)))
    return Story(
        version=version_of(draw(tariffs()), 7),
        zone_name=zone_name,
        start_ms=next_cut(around_ms, ZoneInfo(zone_name)) - round(cut_s * 1000),
        curve=curve,
        sample_s=draw(st.sampled_from((5.0, 10.0, 15.0, 15.0, 20.0, 30.0, 60.0))),
        phase_s=draw(_within(0.1, 15)),
        outages=away,
        lost=tuple((a, a + for_s) for a, for_s in lost),
        late_s=tuple(draw(st.lists(_within(0, 2), min_size=1, max_size=4))),
        ahead_ms=draw(st.one_of(st.just(0), st.integers(-55_000, 55_000))),
        obeys=obeys,
        # Of a clock that is wrong and answers late nobody knows how wrong it is.
        clock_answer_s=draw(st.sampled_from((0.0, 1.0, 9.0) if obeys else (0.0, 1.0))),
        steps=tuple(draw(st.lists(step, max_size=1))),
        stores=draw(st.booleans()),
        ends_idle_first=draw(st.booleans()),
        new_version=draw(st.none() | st.tuples(_within(-40, length_s), st.just(DEAR))),
    )


def _energies(bill: Bill) -> list[int]:
    lines = [(line.period, line.energy_dwh) for line in bill.lines]
    return [sum(dwh for period, dwh in lines if period is each) for each in PERIODS]


FLAT_OUT = ((2400.0, RATED_W),)
RAMPS = ((1190.0, 0), (1210.0, RATED_W))
PLAIN = Story(EACH_SLOT, "Asia/Shanghai", NOON_MS - 1_200_000, FLAT_OUT)


def _but(**changes: Any) -> Story:
    return replace(PLAIN, **changes)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(story=stories())
@example(_but(ahead_ms=50_000, obeys=False))
@example(_but(ahead_ms=-50_000, obeys=False, record_comes=False, record_comes_late=True))
@example(_but(clock_answer_s=9.0))
@example(_but(curve=((1200.0, RATED_W), (1200.0, 0)), sample_s=30.0, phase_s=15.0))
@example(_but(curve=RAMPS, outages=(Outage(0.2, 3000),), stores=False))
@example(_but(curve=RAMPS, outages=(Outage(0.2, 3000),), stores=True))
@example(_but(zone_name="Europe/Berlin", start_ms=FOLD_MS - 3_600_000, outages=(Outage(-50, 900),)))
def test_an_honest_record_is_never_held(story: Story) -> None:
    telling = tell(story)
    ended = telling.ended[-1]
    assert telling.confirmed
    rated = rate_order(ended, tariff=story.version.tariff, zone=story.zone)
    assert rated.causes == (), (rated.flags, [check for check in rated.checks if not check.ok])
    split = telling.point.split
    assert rated.bill is not None
    assert _energies(rated.bill) == split.period_dwh
    assert rated.bill == ended.station_bill or rated.basis is Basis.ZERO
    if not story.version.tariff.per_minute_e5:
        prices = tuple(map(split.model.unit_price_e5, range(4)))
        assert rated.hq_fen == payable_fen(tuple(split.period_dwh), prices)


@settings(max_examples=EXAMPLES // 2, deadline=None, derandomize=True)
@given(story=stories(), late=st.booleans())
def test_an_estimate_is_never_more_than_what_flowed(story: Story, late: bool) -> None:
    story = replace(story, record_comes=False, record_comes_late=late)
    telling = tell(story)
    flowed_dwh = telling.point.split.energy_dwh
    for ended in telling.ended:
        rated = rate_order(ended, tariff=story.version.tariff, zone=story.zone)
        assert rated.causes == (), (rated.flags, [check for check in rated.checks if not check.ok])
        assert rated.bill is not None
        assert rated.bill.energy_dwh <= flowed_dwh
        meters_dwh = [reading.meter_dwh for reading in ended.readings]
        assert meters_dwh == sorted(meters_dwh)
        assert meters_dwh[-1] <= flowed_dwh
    if late and telling.confirmed:
        assert rated.bill.energy_dwh == flowed_dwh
        assert len(telling.ended) <= 2


def _spoiled(record: TransactionRecord, **by: int) -> TransactionRecord:
    """Return the record with these figures more."""
    return structs.replace(
        record, **{name: getattr(record, name) + dwh for name, dwh in by.items()}
    )


def _priced(record: TransactionRecord) -> TransactionRecord:
    """Return the record with the amounts that its energies and prices come to."""
    amounts_e4 = {
        f"{p}_amount_e4": divide_half_up(
            getattr(record, f"{p}_energy_dwh") * getattr(record, f"{p}_price_e5"), 100_000
        )
        for p in PERIODS
    }
    return structs.replace(record, **amounts_e4, amount_e4=sum(amounts_e4.values()))


def _rated(story: Story, lie: Lie = lambda record: record) -> Rated:
    ended = tell(story, lie).ended[-1]
    return rate_order(ended, tariff=story.version.tariff, zone=story.zone)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(story=stories(), pair=st.permutations(PERIODS), more_dwh=st.integers(1, 10_000))
@example(PLAIN, [Period.VALLEY, Period.FLAT, Period.PEAK, Period.SHARP], 1)
def test_energy_in_the_wrong_period_is_always_held(
    story: Story, pair: list[Period], more_dwh: int
) -> None:
    honest = _rated(story)
    limits = {check.name: check.limit for check in honest.checks}
    assume(f"{pair[0]}_dwh" in limits)
    # Twice: the honest figure may be at the other end of what is tolerated.
    moved_dwh = 2 * min(limits[f"{p}_dwh"] for p in pair[:2]) + more_dwh

    def lie(record: TransactionRecord) -> TransactionRecord:
        from_, to = (f"{p}_energy_dwh" for p in pair[:2])
        if getattr(record, from_) < moved_dwh:
            return record
        return _priced(_spoiled(record, **{from_: -moved_dwh, to: moved_dwh}))

    rated = _rated(story, lie)
    assume(rated.bill != honest.bill)
    assert Cause.ATTRIBUTION in rated.causes


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(story=stories(), period=st.sampled_from(PERIODS), more=st.integers(1, 100_000))
@example(PLAIN, Period.FLAT, 1)
def test_figures_that_contradict_each_other_are_always_held(
    story: Story, period: Period, more: int
) -> None:
    assume(sum(watts > 0 and seconds >= 30 for seconds, watts in story.curve))
    margin_dwh = attribution_limit_dwh(RATED_W, 1) + more

    def above_the_meter(record: TransactionRecord) -> TransactionRecord:
        by = {f"{period}_energy_dwh": margin_dwh, "energy_dwh": margin_dwh}
        return _priced(_spoiled(record, **by))

    def too_dear(record: TransactionRecord) -> TransactionRecord:
        used = sum(getattr(record, f"{p}_energy_dwh") > 0 for p in PERIODS)
        limit_e4 = arithmetic_limit_nano(used, rounds_to_fen=False) // NANO_PER_E4
        # Its own rounding may have been in our favour.
        return _spoiled(record, amount_e4=2 * limit_e4 + more)

    def other_price(record: TransactionRecord) -> TransactionRecord:
        dearest = max(PERIODS, key=lambda p: getattr(record, f"{p}_energy_dwh"))
        return _priced(_spoiled(record, **{f"{dearest}_price_e5": 1_000 + more}))

    assert Cause.METER_DIFFERS in _rated(story, above_the_meter).causes
    assert Cause.ARITHMETIC in _rated(story, too_dear).causes
    assert Cause.ARITHMETIC in _rated(story, other_price).causes
