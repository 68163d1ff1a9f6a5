"""Each kind of rule, at and around its limits. A bad value is never judged as a number."""

from __future__ import annotations

import pytest

from edge.safety.rules import compare, rate, silence, spread, stuck, threshold, vote
from edge.safety.rules.hold import Hold
from shared.contracts.protection import (
    Compare,
    Quantity,
    Rate,
    Select,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
)

TEMPERATURE = Select(quantity=Quantity.TEMPERATURE_C)
SMOKE = Select(quantity=Quantity.SMOKE)
Steps = list[tuple[float, float | None, bool | None]]
"""When in seconds, which value, which verdict."""


def of_threshold(above: float | None, below: float | None, hysteresis: float) -> threshold.Judge:
    rule = Threshold(
        rule_id="t",
        code="heat",
        select=TEMPERATURE,
        above=above,
        below=below,
        hysteresis=hysteresis,
    )
    return threshold.Judge(rule)


@pytest.mark.parametrize(
    ("limits", "values", "verdicts"),
    [
        ((55, None, 0), [54.9, 55, 55.1, 55], [False, False, True, False]),
        ((55, None, 5), [55.1, 50.1, 50, 55, 55.1], [True, True, False, False, True]),
        ((None, 2, 1), [2, 1.9, 2.9, 3, 2], [False, True, True, False, False]),
        (
            (253, 198, 2),
            [220, 253.1, 251.1, 251, 197.9, 200],
            [False, True, True, False, True, False],
        ),
        ((55, None, 5), [56, None, 51, None], [True, None, True, None]),
        ((55, None, 0), [None, 54], [None, False]),
    ],
)
def test_threshold(
    limits: tuple[float | None, float | None, float],
    values: list[float | None],
    verdicts: list[bool | None],
) -> None:
    judge = of_threshold(*limits)
    assert [judge.update(value, 0.0) for value in values] == verdicts


@pytest.mark.parametrize(
    ("limits", "value", "shown"),
    [
        ((55, None, 0), 61.25, ("61.2 °C", "> 55 °C")),
        ((None, 2, 0), 1, ("1 °C", "< 2 °C")),
        ((40, 2, 0), 50, ("50 °C", "< 2 °C > 40 °C")),
    ],
)
def test_a_threshold_shows_value_and_limit(
    limits: tuple[float | None, float | None, float], value: float, shown: tuple[str, str]
) -> None:
    judge = of_threshold(*limits)
    assert judge.shown() == ("", shown[1])
    judge.update(value, 0.0)
    assert judge.shown() == shown


def test_a_contact_has_nothing_to_show() -> None:
    judge = threshold.Judge(Threshold(rule_id="s", code="smoke", select=SMOKE, above=0.5))
    assert judge.update(1.0, 0.0) is True
    assert judge.shown() == ("", "")


RISE = (1.0, 10.0)  # more than 10 °C within 10 s
FALL = (-1.0, 10.0)


@pytest.mark.parametrize(
    ("slope", "steps"),
    [
        # At the limit is not over it.
        (RISE, [(0, 20, False), (10, 30, False), (20, 40.1, True), (30, 40, False)]),
        # A jump counts at once, before a window has passed.
        (RISE, [(0, 20, False), (1, 30.1, True)]),
        # What it was one window ago lies between two samples: 25 at 5 s.
        (RISE, [(0, 20, False), (10, 30, False), (15, 35, False), (15, 35.2, True)]),
        # Slower than the window's slope, for ever.
        (RISE, [(t, t * 0.9, False) for t in range(0, 100, 3)]),
        (RISE, [(0, 40, False), (5, 20, False)]),
        (FALL, [(0, 40, False), (5, 30, False), (6, 29.9, True)]),
        # What is older than two windows says nothing of now.
        (RISE, [(0, 20, False), (21, 45, False), (22, 56, True)]),
        (RISE, [(0, 20, False), (5, None, None), (10, 31, True), (11, None, None)]),
        # A second sample at the very same time is no window.
        (RISE, [(0, 20, False), (0, 31, True)]),
    ],
)
def test_rate(slope: tuple[float, float], steps: Steps) -> None:
    rule = Rate(rule_id="r", code="heat", select=TEMPERATURE, per_s=slope[0], window_s=slope[1])
    judge = rate.Judge(rule)
    assert [judge.update(value, at) for at, value, _ in steps] == [want for *_, want in steps]


def test_a_rate_shows_the_change_over_its_window() -> None:
    judge = rate.Judge(
        Rate(rule_id="r", code="heat", select=TEMPERATURE, per_s=5 / 15, window_s=15.0)
    )
    judge.update(30.0, 0.0)
    judge.update(36.0, 15.0)
    assert judge.shown() == ("6 °C / 15 s", "5 °C / 15 s")


def test_a_rate_keeps_few_samples_and_is_exact_all_the_same() -> None:
    judge = rate.Judge(Rate(rule_id="r", code="heat", select=TEMPERATURE, per_s=1.0, window_s=30.0))
    for poll in range(10_000):  # 0.99 °C/s at ten polls a second
        assert judge.update(poll * 0.099, poll * 0.1) is False
    assert len(judge._samples) < 70
    for poll in range(10_000, 11_000):
        last = judge.update(990 + (poll - 10_000) * 0.101, poll * 0.1)
    assert last is True


def test_spread() -> None:
    judge = spread.Judge(
        Spread(rule_id="s", code="sensor_spread", select=TEMPERATURE, max_spread=10.0)
    )
    assert judge.update("a", 20.0, 0.0) is None  # one point agrees with itself
    assert judge.update("b", 30.0, 0.0) is False
    assert judge.update("c", 30.1, 0.0) is True
    assert judge.shown() == ("10.1 °C", "> 10 °C")
    assert judge.update("c", None, 0.0) is False  # unread, it no longer counts
    assert judge.update("b", None, 0.0) is None
    assert judge.update("b", 31.0, 0.0) is True
    judge.leave("b")
    assert judge.update("a", 20.0, 0.0) is None


@pytest.mark.parametrize(
    "steps",
    [
        [(0, 20.0, False), (59.9, 20.0, False), (60, 20.0, True), (61, 20.6, False)],
        [(0, 20.0, False), (30, 20.5, False), (60, 19.5, True)],  # within the tolerance
        [(0, 20.0, False), (30, 20.6, False), (60, 20.6, False), (90, 20.6, True)],
        # An hour without values is no hour of the same value.
        [(0, 20.0, False), (1, None, None), (3600, 20.0, False), (3660, 20.0, True)],
        [(0, None, None), (100, 20.0, False)],
    ],
)
def test_stuck(steps: Steps) -> None:
    judge = stuck.Judge(
        Stuck(rule_id="s", code="sensor_stuck", select=TEMPERATURE, for_s=60.0, tolerance=0.5)
    )
    assert [judge.update(value, at) for at, value, _ in steps] == [want for *_, want in steps]


def test_a_stuck_value_is_shown() -> None:
    judge = stuck.Judge(Stuck(rule_id="s", code="sensor_stuck", select=TEMPERATURE, for_s=60.0))
    judge.update(20.0, 0.0)
    assert judge.shown() == ("20 °C", "60 s")


def of_silence(for_s: float = 0.15, polls: int = 3) -> silence.Judge:
    rule = Silence(rule_id="s", code="detector_fault", select=SMOKE, for_s=for_s, polls=polls)
    return silence.Judge(rule)


@pytest.mark.parametrize(
    "steps",
    [
        # The third bad poll decides; one good value ends it.
        [
            (0, 0.0, False),
            (0.1, None, False),
            (0.2, None, False),
            (0.3, None, True),
            (0.4, 0, False),
        ],
        # A device that never answered.
        [(0, None, False), (0.1, None, False), (0.2, None, True)],
        # Lost polls one by one are no silence.
        [(0, 0.0, False), (0.1, None, False), (0.2, 0.0, False), (0.3, None, False)],
    ],
)
def test_silence(steps: Steps) -> None:
    judge = of_silence()
    assert [judge.update(value, at) for at, value, _ in steps] == [want for *_, want in steps]


def test_silence_waits_for_the_later_of_time_and_polls() -> None:
    judge = of_silence(for_s=10.0)
    judge.update(1.0, 0.0)
    assert [judge.update(None, at) for at in (1, 2, 3, 9.9, 10)] == [False] * 4 + [True]
    assert judge.shown() == ("", "10 s")


def test_a_point_that_is_not_even_polled_is_silent() -> None:
    judge = of_silence()
    assert judge.due(100.0) is None  # nothing was ever asked of it
    judge.update(0.0, 0.0)
    assert judge.due(179.0) is False  # its period is not known yet
    judge.update(0.0, 0.1)
    # Three periods, and a second for a program that was busy itself.
    assert judge.due(0.4) is False
    assert judge.due(1.4) is False
    assert judge.due(1.5) is True


def test_the_back_off_of_a_dead_device_does_not_stretch_its_silence() -> None:
    judge = of_silence(polls=4)
    for at, value in [(0.0, 0.0), (5.0, 0.0), (10.0, None), (20.0, None)]:
        assert judge.update(value, at) is False
    assert judge.due(26.0) is False
    assert judge.due(26.1) is True  # four periods of 5 s, not of 10


@pytest.mark.parametrize(
    ("values", "verdicts"),
    [
        ([20, 0, 20], [False, False, True]),
        ([20, 20], [False, True]),
        ([20, 0, 0, 20], [False] * 4),
        ([10.0, 10.0, 10.1, 10.1], [False, False, False, True]),
        ([20, None, None, 20], [False, None, None, True]),  # a bad one has no vote
        ([20, 20, 0, 0], [False, True, True, False]),
    ],
)
def test_vote_of_samples(values: list[float | None], verdicts: list[bool | None]) -> None:
    density = Select(quantity=Quantity.SMOKE_DENSITY_PERCENT)
    judge = vote.OfSamples(Vote(rule_id="v", code="smoke", select=density, above=10.0))
    assert [judge.update(value, 0.0) for value in values] == verdicts
    last = [value for value in values if value is not None][-1]
    assert judge.shown() == (f"{last:g} %", "> 10 %")


def test_vote_of_points() -> None:
    rule = Vote(rule_id="v", code="heat", select=TEMPERATURE, above=60.0, across="points")
    judge = vote.OfPoints(rule)
    assert judge.update("a", 61.0, 0.0) is False
    assert judge.update("b", 60.0, 0.0) is False
    assert judge.update("c", 60.1, 0.0) is True
    assert judge.shown() == ("61 °C", "> 60 °C")
    assert judge.update("c", None, 0.0) is None  # it hangs on what cannot be read
    assert judge.update("a", 20.0, 0.0) is False  # c alone could not decide it
    judge.leave("b")
    judge.leave("a")
    assert judge.update("c", 70.0, 0.0) is False
    assert vote.OfPoints(rule).shown() == ("", "> 60 °C")


def of_compare(margin: float, percent: float, samples: int) -> compare.Judge:
    return compare.Judge(
        Compare(
            rule_id="c",
            code="output_over_demand",
            select=Select(quantity=Quantity.OUTPUT_CURRENT_A),
            other=Quantity.DEMAND_CURRENT_A,
            margin=margin,
            margin_percent=percent,
            samples=samples,
        )
    )


@pytest.mark.parametrize(
    ("margins", "other", "values", "verdicts"),
    [
        ((5, 5, 1), 50.0, [55.0, 55.1], [False, True]),  # 5 A is the larger
        ((5, 5, 1), 200.0, [210.0, 210.1], [False, True]),  # 5 % is the larger
        ((0, 5, 1), 0.0, [0.0, 0.1], [False, True]),
        ((0.02, 0, 1), 3.65, [3.67, 3.68], [False, True]),  # 3.65 + 0.02 is 3.67 to people
        ((-5, 0, 1), 55.0, [50.0, 50.1], [False, True]),  # a warning before the limit
        ((0, 0, 2), 10.0, [11, 10, 11, 12, 10], [False, False, False, True, False]),
        ((0, 0, 2), 10.0, [11, None, 12], [False, None, True]),
        ((0, 0, 1), None, [1e9, None], [None, None]),  # no limit was given
    ],
)
def test_compare(
    margins: tuple[float, float, int],
    other: float | None,
    values: list[float | None],
    verdicts: list[bool | None],
) -> None:
    judge = of_compare(*margins)
    assert judge.update_other(other, 0.0) is None
    assert [judge.update("p", value, 0.0) for value in values] == verdicts


def test_a_comparison_counts_each_point_alone_and_shows_the_one_beyond() -> None:
    judge = of_compare(0, 0, 2)
    assert judge.shown() == ("", "")
    judge.update_other(10.0, 0.0)
    verdicts = [
        judge.update(*step, 0.0) for step in [("a", 11.0), ("b", 1.0), ("a", 12.0), ("b", 2.0)]
    ]
    assert verdicts == [False, False, True, True]
    assert judge.shown() == ("12 A", "> 10 A")


def fed(hold: Hold, *steps: tuple[float, bool | None]) -> list[bool]:
    return [hold.feed(verdict, at) and hold.active for at, verdict in steps]


def test_a_condition_must_hold() -> None:
    hold = Hold(2.0, 5.0)
    assert fed(hold, (0, True), (1.9, True), (2, True)) == [False, False, True]
    assert not hold.waiting
    # Gone for less than `clear_s` is not over.
    assert not any(hold.feed(verdict, at) for at, verdict in [(3, False), (7, True), (8, False)])
    assert hold.waiting
    assert hold.feed(False, 12.9) is False
    assert hold.feed(False, 13) is True
    assert not hold.active


def test_a_gap_in_the_condition_starts_it_anew() -> None:
    hold = Hold(2.0, 5.0)
    assert fed(hold, (0, True), (1, False), (1.5, True), (3.4, True)) == [False] * 4
    assert hold.due(3.5) is True


def test_time_alone_fulfils_a_hold_while_the_last_value_is_known() -> None:
    hold = Hold(2.0, 5.0)
    assert hold.due(100) is False
    hold.feed(True, 0)
    assert hold.due(1.9) is False
    hold.feed(None, 1.9)
    assert (hold.waiting, hold.due(100)) == (False, False)
    # What was seen before the bad value counts: a noisy line does not hide a fire.
    assert hold.feed(True, 101) is True


def test_without_hold_a_verdict_counts_at_once() -> None:
    hold = Hold(0.0, 0.0)
    assert fed(hold, (0, True), (0, True)) == [True, False]
    assert hold.feed(False, 0) is True
