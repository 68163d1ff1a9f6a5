"""What a rule is not asked about changes nothing, also where that is not obvious."""

from __future__ import annotations

import pytest

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import PointSampled
from edge.safety.findings import Finding
from edge.safety.rules.calm import Calm
from edge.safety.ruleset import RuleSet
from shared.contracts.protection import (
    AnyRule,
    Compare,
    Device,
    Protection,
    Quality,
    Quantity,
    Rate,
    Select,
    Threshold,
)

TEMPERATURE = Select(quantity=Quantity.TEMPERATURE_C)


def protection(*rules: AnyRule) -> Protection:
    return Protection(
        devices=(Device(name="a", line="l", unit_id=1, profile="p"),), rules=tuple(rules)
    )


def hear(
    rules: RuleSet, at_s: float, value: float, quantity: Quantity = Quantity.TEMPERATURE_C
) -> list[Finding]:
    at = Moment(int(at_s * 1000), at_s)
    return list(rules.on_point(PointSampled(at, "a", "p", quantity, value, Quality.GOOD)))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("phase_s", [0.0, 0.05])
@pytest.mark.parametrize("end", [6.1, 10.5])
def test_a_slope_is_seen_whichever_kept_value_it_begins_at(
    monkeypatch: pytest.MonkeyPatch, kept: int, sign: int, phase_s: float, end: float
) -> None:
    """A window of 6 s keeps a value each 0.1 s; one of the first three is the lowest."""
    rule = Rate(rule_id="r", code="heat", select=TEMPERATURE, per_s=sign * 1.0, window_s=6.0)
    values = [5.0, 5.0, 5.0]
    values[kept] = 0.0

    def found() -> list[Finding]:
        rules = RuleSet(protection(rule))
        for number, value in enumerate(values):
            hear(rules, number * 0.1, sign * value)
        for number in range(3, 60):
            assert not hear(rules, number * 0.1 + phase_s, sign * 5.0)
        return [f for n in range(100) for f in hear(rules, 5.96 + n * 0.003, sign * end)]

    with_calm = found()
    monkeypatch.setattr(Calm, "become", lambda _calm, _values: None)
    assert with_calm == found() != []


def test_a_slope_without_a_value_yet_hears_the_first() -> None:
    rule = Rate(rule_id="r", code="heat", select=TEMPERATURE, per_s=1.0, window_s=6.0)
    rules = RuleSet(protection(rule))
    at = Moment(0, 0.0)
    bad = PointSampled(at, "a", "p", Quantity.TEMPERATURE_C, None, Quality.NO_ANSWER)
    assert not rules.on_point(bad)
    assert not hear(rules, 0.01, 1.0)
    assert hear(rules, 0.02, 7.5)


def test_values_that_are_compared_count_in_a_row_only() -> None:
    rule = Compare(
        rule_id="r", code="heat", select=TEMPERATURE, other=Quantity.VOLTAGE_V, samples=2
    )
    rules = RuleSet(protection(rule))
    hear(rules, 0.0, 10.0, Quantity.VOLTAGE_V)
    for number in range(10):
        assert not hear(rules, number * 0.02, 11.0)
        assert not hear(rules, number * 0.02 + 0.01, 9.0)
    assert not hear(rules, 0.30, 11.0)
    assert hear(rules, 0.31, 11.0)


def test_a_rule_that_takes_over_what_another_found_hears_the_next_value() -> None:
    low = Threshold(rule_id="low", code="heat", select=TEMPERATURE, above=20, clear_s=0.0)
    high = Threshold(rule_id="high", code="heat", select=TEMPERATURE, above=60, clear_s=0.0)
    rules = RuleSet(protection(low, high))
    assert hear(rules, 0.0, 30.0)
    rules = rules.replaced_by(protection(high))
    assert [finding.active for finding in hear(rules, 0.1, 30.0)] == [False]
