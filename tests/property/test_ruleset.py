"""Whatever sensors say, in whatever order: no finding from bad values, and none lost in a swap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

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
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
    Zone,
)

DEVICES = ("a", "b", "c")
QUANTITIES = (Quantity.TEMPERATURE_C, Quantity.OIL_TEMPERATURE_C)
CODES = ("heat", "environment_hot", "sensor_spread")
ZONES = ("", "north", "south")
BAD = [quality for quality in Quality if quality is not Quality.GOOD]


class Step(Struct, frozen=True):
    """One poll of one point, some time after the step before."""

    after_s: float
    device: str
    quantity: Quantity
    value: float | None
    quality: Quality


limits = st.integers(-2, 8).map(float)
times = st.sampled_from([0.0, 0.1, 1.0, 3.0])
selects = st.builds(
    Select, quantity=st.sampled_from(QUANTITIES), zone=st.sampled_from(["", "", "north"])
)
common = {
    "rule_id": st.just(""),
    "code": st.sampled_from(CODES),
    "select": selects,
    "hold_s": times,
    "clear_s": times,
}
kinds = st.one_of(
    st.builds(Threshold, above=limits, hysteresis=st.sampled_from([0.0, 1.0]), **common),
    st.builds(Rate, per_s=limits.filter(bool), window_s=st.sampled_from([1.0, 5.0]), **common),
    st.builds(Spread, max_spread=limits, **common),
    st.builds(Stuck, for_s=st.sampled_from([1.0, 4.0]), **common),
    st.builds(
        Vote,
        above=limits,
        needed=st.just(2),
        across=st.sampled_from(["samples", "points"]),
        **common,
    ),
    st.builds(Compare, other=st.just(Quantity.VOLTAGE_V), margin=limits, **common),
)
silences = st.builds(Silence, for_s=st.sampled_from([0.1, 2.0]), **common)


def numbered(rules: list[AnyRule]) -> tuple[AnyRule, ...]:
    return tuple(structs.replace(rule, rule_id=f"r{n}") for n, rule in enumerate(rules))


rule_lists = st.lists(st.one_of(kinds, silences), max_size=5).map(numbered)
bindings = st.tuples(*(st.sampled_from(ZONES) for _ in DEVICES))


@st.composite
def protections(draw: st.DrawFn, rules: st.SearchStrategy[tuple[AnyRule, ...]]) -> Protection:
    present = draw(st.lists(st.sampled_from(DEVICES), unique=True))
    zones = draw(bindings)
    return Protection(
        devices=tuple(
            Device(name=name, line="l", unit_id=n + 1, profile="p", zone=zones[n])
            for n, name in enumerate(present)
        ),
        zones=(Zone(name="north"), Zone(name="south")),
        rules=draw(rules),
    )


def steps(qualities: list[Quality]) -> st.SearchStrategy[list[Step]]:
    return st.lists(
        st.builds(
            Step,
            after_s=st.sampled_from([0.0, 0.1, 0.5, 2.0, 10.0]),
            device=st.sampled_from(DEVICES),
            quantity=st.sampled_from((*QUANTITIES, Quantity.VOLTAGE_V)),
            value=limits,
            quality=st.sampled_from(qualities),
        ),
        max_size=40,
    )


def dense_steps() -> st.SearchStrategy[list[Step]]:
    """Return streams as of a fast line: most values are as the ones before, some a little off."""
    step = st.builds(
        Step,
        after_s=st.sampled_from([0.0, 0.01, 0.02, 0.05, 0.3, 0.7, 3.0]),
        device=st.sampled_from(DEVICES[:2]),
        quantity=st.sampled_from((Quantity.TEMPERATURE_C, Quantity.VOLTAGE_V)),
        value=st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 2.5, 4.0, 8.0]),
        quality=st.sampled_from([Quality.GOOD] * 9 + [Quality.NO_ANSWER]),
    )
    return st.lists(step, min_size=20, max_size=120)


def moment(mono_s: float) -> Moment:
    return Moment(int(mono_s * 1000), mono_s)


def play(rules: RuleSet, steps: list[Step], start_s: float = 0.0) -> tuple[list[Finding], float]:
    """Feed a stream, with a tick between any two steps."""
    findings: list[Finding] = []
    now_s = start_s
    for step in steps:
        now_s += step.after_s
        findings += rules.tick(moment(now_s))
        sample = PointSampled(
            moment(now_s), step.device, "p", step.quantity, step.value, step.quality
        )
        findings += rules.on_point(sample)
    return findings, now_s


@given(protections(rule_lists), dense_steps(), protections(rule_lists), dense_steps())
@settings(deadline=None, max_examples=300)
def test_what_need_not_be_judged_would_have_changed_nothing(
    before: Protection, stream: list[Step], after: Protection, more: list[Step]
) -> None:
    def found() -> list[Finding]:
        rules = RuleSet(before)
        findings, now_s = play(rules, stream)
        rules = rules.replaced_by(after)
        more_findings, _ = play(rules, more, now_s)
        return findings + more_findings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Calm, "become", lambda _calm, _values: None)
        judged_all = found()
    assert found() == judged_all


@given(protections(st.lists(kinds, max_size=5).map(numbered)), steps(BAD))
@settings(deadline=None, max_examples=150)
def test_bad_values_alone_find_nothing(protection: Protection, stream: list[Step]) -> None:
    rules = RuleSet(protection)
    findings, now_s = play(rules, stream)
    assert findings == []
    assert rules.tick(moment(now_s + 1e6)) == []


@given(protections(rule_lists), steps(list(Quality)))
@settings(deadline=None, max_examples=150)
def test_a_bad_value_makes_nothing_active_but_silence(
    protection: Protection, stream: list[Step]
) -> None:
    rules = RuleSet(protection)
    silent = {rule.rule_id for rule in protection.rules or () if isinstance(rule, Silence)}
    now_s = 0.0
    for step in stream:
        now_s += step.after_s
        rules.tick(moment(now_s))
        found = rules.on_point(
            PointSampled(moment(now_s), step.device, "p", step.quantity, step.value, step.quality)
        )
        if step.quality is not Quality.GOOD and not isinstance_group(protection):
            assert all(f.rule_id in silent for f in found if f.active)


def isinstance_group(protection: Protection) -> bool:
    """Whether points are judged together: then a bad one leaves the others to decide."""
    return any(
        isinstance(rule, Spread) or (isinstance(rule, Vote) and rule.across == "points")
        for rule in protection.rules or ()
    )


@given(protections(rule_lists), steps(list(Quality)), protections(rule_lists), steps(list(Quality)))
@settings(deadline=None, max_examples=200)
def test_what_is_told_is_what_lasts_through_any_swap(
    before: Protection, stream: list[Step], after: Protection, more: list[Step]
) -> None:
    open_: dict[tuple[str, str], Finding] = {}

    def tell(findings: list[Finding]) -> None:
        for finding in findings:
            key = (finding.code, finding.object)
            if finding.active:
                known = open_.get(key)
                assert known is None or finding.severity != known.severity
                open_[key] = finding
            else:
                assert open_.pop(key) is not None

    rules = RuleSet(before)
    findings, now_s = play(rules, stream)
    tell(findings)
    assert {(f.code, f.object) for f in rules.raised()} == set(open_)
    rules = rules.replaced_by(after)
    assert {(f.code, f.object) for f in rules.raised()} <= set(open_)
    tell(list(rules.tick(moment(now_s))))
    assert {(f.code, f.object) for f in rules.raised()} == set(open_)
    findings, _ = play(rules, more, now_s)
    tell(findings)
    assert {(f.code, f.object) for f in rules.raised()} == set(open_)


@given(protections(rule_lists), steps(list(Quality)))
@settings(deadline=None, max_examples=150)
def test_the_same_document_again_changes_nothing(
    protection: Protection, stream: list[Step]
) -> None:
    half = len(stream) // 2
    straight, _ = play(RuleSet(protection), stream)
    rules = RuleSet(protection)
    first, now_s = play(rules, stream[:half])
    second, _ = play(rules.replaced_by(protection), stream[half:], now_s)
    devices = {device.name for device in protection.devices}
    if all(step.device in devices for step in stream):
        assert first + second == straight


@given(
    protections(rule_lists),
    st.lists(steps(list(Quality)), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=150)
def test_the_order_of_points_within_a_round_does_not_matter(
    protection: Protection, rounds: list[list[Step]], random: object
) -> None:
    """Each round polls each point at most once; its points may answer in any order."""
    one, other = RuleSet(protection), RuleSet(protection)
    for number, steps_ in enumerate(rounds):
        unique = {(step.device, step.quantity): step for step in steps_}
        polls = [structs.replace(step, after_s=0.0) for step in unique.values()]
        # What values are compared with is read first, as it is within one report.
        polls.sort(key=lambda step: step.quantity is not Quantity.VOLTAGE_V)
        head = [step for step in polls if step.quantity is Quantity.VOLTAGE_V]
        tail = polls[len(head) :]
        shuffled = list(tail)
        random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
        at_s = float(number)
        play(one, head + tail, at_s)
        play(other, head + shuffled, at_s)
    ends = [{(f.code, f.object) for f in rules.raised()} for rules in (one, other)]
    if not isinstance_group(protection):
        assert ends[0] == ends[1]
