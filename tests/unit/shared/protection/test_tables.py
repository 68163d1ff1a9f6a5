"""Rules and interlocks can be read by people, in both languages."""

from __future__ import annotations

import pytest

from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import (
    AnyRule,
    Compare,
    Interlock,
    Protection,
    Quantity,
    Rate,
    Reach,
    Reset,
    Select,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
)
from shared.protection import BUILT_IN_INTERLOCKS, BUILT_IN_RULES
from shared.protection.built_in import MUST_STOP
from shared.protection.tables import interlock_rows, rule_rows
from shared.protection.words import QUANTITIES, Language

HOT, SMOKE = Select(quantity=Quantity.TEMPERATURE_C), Select(quantity=Quantity.SMOKE)
OTHER = Quantity.OIL_TEMPERATURE_C


def test_every_quantity_has_a_name_in_both_languages() -> None:
    assert set(QUANTITIES) == set(Quantity)
    assert all(zh and en for zh, en in QUANTITIES.values())


def test_the_matrix_shows_what_stops_most_first() -> None:
    rows = interlock_rows(Protection(), "en")
    assert len(rows) == len(BUILT_IN_INTERLOCKS)
    assert [row.stops for row in rows][:2] == ["station", "station"]
    smoke = next(row for row in rows if row.code == "smoke")
    assert (smoke.cause, smoke.stops, smoke.opens) == ("Smoke", "zone", "at once")
    assert (smoke.sounds, smoke.says) == ("sirens, strobes", "fire")
    assert (smoke.reset, smoke.who, smoke.refuses) == ("on site", "chief", "—")
    fault = next(row for row in rows if row.code == "detector_fault")
    assert (fault.stops, fault.opens, fault.refuses, fault.who) == ("—", "—", "zone", "—")


def test_a_documents_own_row_is_shown_in_chinese() -> None:
    row = Interlock(cause="water", stop=Reach.STATION, reset=Reset.NO_LATCH, no_new_starts=True)
    rows = interlock_rows(Protection(interlocks=(row,)), "zh")
    shown = next(row for row in rows if row.code == "water")
    assert (shown.cause, shown.stops, shown.opens) == ("水浸报警", "全站", "停止未确认时")
    assert (shown.refuses, shown.reset, shown.who, shown.sounds) == ("全站", "—", "—", "—")


def test_the_matrix_says_what_no_document_may_take_away() -> None:
    rows = interlock_rows(Protection(), "en")
    assert {row.code for row in rows if row.kept == "stop, latch"} == MUST_STOP
    kept = {row.code: row.kept for row in rows if row.code not in MUST_STOP and row.kept != "—"}
    assert kept == {"self_test": "no new charge"}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_built_in_rule_is_shown(language: Language) -> None:
    rows = rule_rows(Protection(), language)
    assert [row.rule_id for row in rows] == [rule.rule_id for rule in BUILT_IN_RULES]
    assert all(row.condition and row.what and row.cause for row in rows)
    assert all("{" not in row.cause for row in rows)


@pytest.mark.parametrize(
    ("rule", "zh", "en"),
    [
        (Threshold(rule_id="r", code="heat", select=HOT, above=60.0), "> 60 °C", "> 60 °C"),
        (
            Threshold(rule_id="r", code="heat", select=HOT, above=60.0, below=5.0, hysteresis=2.0),
            "< 5 °C  > 60 °C, 回差 2 °C",
            "< 5 °C  > 60 °C, hysteresis 2 °C",
        ),
        (Threshold(rule_id="r", code="smoke", select=SMOKE, above=0.5), "为真", "is so"),
        (Threshold(rule_id="r", code="smoke", select=SMOKE, below=0.5), "为假", "is not so"),
        (
            Rate(rule_id="r", code="heat", select=HOT, per_s=1 / 6, window_s=60.0),
            "60 s 内上升 > 10 °C",
            "rises > 10 °C in 60 s",
        ),
        (
            Rate(rule_id="r", code="heat", select=HOT, per_s=-1.0),
            "30 s 内下降 > 30 °C",
            "falls > 30 °C in 30 s",
        ),
        (
            Spread(rule_id="r", code="heat", select=HOT, max_spread=9.5),
            "同区相差 > 9.5 °C",
            "differs > 9.5 °C within a zone",
        ),
        (
            Stuck(rule_id="r", code="heat", select=HOT, for_s=60.0, tolerance=0.1),
            "60 s 内变化 ≤ 0.1 °C",
            "moves ≤ 0.1 °C in 60 s",
        ),
        (
            Silence(rule_id="r", code="heat", select=HOT, for_s=2.0),
            "无有效值 ≥ 2 s 且 3 次轮询",
            "no good value for 2 s and 3 polls",
        ),
        (Vote(rule_id="r", code="smoke", select=SMOKE), "2/3 个采样", "2/3 samples"),
        (
            Vote(rule_id="r", code="heat", select=HOT, above=60.0, across="points"),
            "同区 2 个测点 > 60 °C",
            "2 points of a zone > 60 °C",
        ),
        (Compare(rule_id="r", code="heat", select=HOT, other=OTHER), "> 油温", "> oil temperature"),
        (
            Compare(rule_id="r", code="heat", select=HOT, other=OTHER, margin=-5.0),
            "> 油温 - 5 °C",
            "> oil temperature - 5 °C",
        ),
        (
            Compare(rule_id="r", code="heat", select=HOT, other=OTHER, margin=5.0, samples=2),
            "> 油温 + 5 °C, 连续 2 次",
            "> oil temperature + 5 °C, 2 in a row",
        ),
        (
            Compare(rule_id="r", code="heat", select=HOT, other=OTHER, margin_percent=5.0),
            "> 油温 + max(0 °C, 5 %)",
            "> oil temperature + max(0 °C, 5 %)",
        ),
    ],
)
def test_conditions(rule: AnyRule, zh: str, en: str) -> None:
    document = Protection(rules=(rule,))
    assert rule_rows(document, "zh")[0].condition == zh
    row = rule_rows(document, "en")[0]
    assert row.condition == en
    assert (row.severity, row.hold, row.clear) == (CATALOGUE[rule.code].severity, "—", "5 s")


def test_what_a_rule_selects() -> None:
    select = Select(quantity=Quantity.TEMPERATURE_C, zone="north", point="t")
    rule = Threshold(rule_id="r", code="heat", select=select, above=60.0, hold_s=1.5, enabled=False)
    row = rule_rows(Protection(rules=(rule,)), "en")[0]
    assert (row.what, row.hold, row.enabled) == ("temperature (north / t)", "1.5 s", False)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_code_of_another_version_is_shown_as_it_is(language: Language) -> None:
    row = Interlock(cause="gone_since", stop=Reach.ZONE, role="owner")
    rule = Threshold(rule_id="r", code="gone_since", select=HOT, above=60.0)
    stored = Protection(rules=(rule,), interlocks=(row,))
    shown = rule_rows(stored, language)[0]
    assert (shown.cause, shown.code, shown.severity) == ("gone_since", "gone_since", "major")
    matrix = {each.code: each for each in interlock_rows(stored, language)}
    assert (matrix["gone_since"].cause, matrix["gone_since"].who) == ("gone_since", "owner")


def test_a_self_test_refuses_new_charges_whatever_its_row_says() -> None:
    row = {each.code: each for each in interlock_rows(Protection(), "en")}["self_test"]
    assert (row.refuses, row.kept) == ("station", "no new charge")
    row = {each.code: each for each in interlock_rows(Protection(), "zh")}["self_test"]
    assert (row.refuses, row.kept) == ("全站", "禁止新充电")
