"""Limits of rules as a form: what was not touched stays, what was is written as it should be."""

from __future__ import annotations

import msgspec
import pytest

from cloud.protection.editing import WrongNumberError, own_rules, rule_forms, with_typed
from shared.contracts.protection import (
    Device,
    Protection,
    Quantity,
    Select,
    Threshold,
    Vote,
)
from shared.contracts.words import Severity
from shared.protection import BUILT_IN_RULES, document_hash, read_tables

HOT = Threshold(
    rule_id="hot",
    code="environment_hot",
    select=Select(quantity=Quantity.TEMPERATURE_C),
    above=50.0,
    hysteresis=3.0,
    hold_s=60.0,
)
SMOKE = Vote(rule_id="smoke", code="smoke", select=Select(quantity=Quantity.SMOKE))
RELAY = Device(name="relays", line="field", unit_id=1, profile="waveshare-relay-d")
OWN = Protection(devices=(RELAY,), rules=(HOT, SMOKE))


def as_sent(protection: Protection) -> dict[str, str]:
    """What a browser sends of an untouched form."""
    sent = {}
    for form in rule_forms(protection, "en"):
        sent |= {field.path: field.value for field in form.fields}
        sent[f"{form.at}.severity"] = form.severity
        if form.enabled:
            sent[f"{form.at}.enabled"] = "on"
    return sent


@pytest.mark.parametrize("protection", [Protection(), OWN])
def test_what_is_sent_untouched_changes_nothing(protection: Protection) -> None:
    written = with_typed(protection, as_sent(protection))
    assert read_tables(written) == protection
    assert ("rules" in written) is (protection.rules is not None)
    assert document_hash(read_tables(written)) == document_hash(protection)


def test_one_limit_of_a_built_in_rule_makes_the_rules_the_documents_own() -> None:
    place = next(n for n, rule in enumerate(BUILT_IN_RULES) if rule.rule_id == "environment_hot")
    typed = as_sent(Protection()) | {f"rules[{place}].above": "45.5"}
    rules = read_tables(with_typed(Protection(), typed)).rules
    assert rules is not None
    assert len(rules) == len(BUILT_IN_RULES)
    [(before, after)] = [
        pair for pair in zip(BUILT_IN_RULES, rules, strict=True) if pair[0] != pair[1]
    ]
    assert (before.rule_id, getattr(after, "above", None)) == ("environment_hot", 45.5)


def test_severity_and_use_are_taken_over_and_given_back() -> None:
    typed = as_sent(OWN) | {"rules[0].severity": "critical"}
    del typed["rules[0].enabled"]
    changed = read_tables(with_typed(OWN, typed))
    assert changed.rules is not None
    assert (changed.rules[0].severity, changed.rules[0].enabled) == (Severity.CRITICAL, False)
    back = as_sent(changed) | {"rules[0].severity": "", "rules[0].enabled": "on"}
    assert read_tables(with_typed(changed, back)) == OWN


def test_a_limit_that_may_be_missing_may_be_emptied() -> None:
    typed = as_sent(OWN) | {"rules[0].above": " ", "rules[0].below": "-20"}
    rules = read_tables(with_typed(OWN, typed)).rules
    assert rules is not None
    hot = rules[0]
    assert isinstance(hot, Threshold)
    assert (hot.above, hot.below) == (None, -20.0)


@pytest.mark.parametrize(
    ("path", "text"), [("above", "hot"), ("hold_s", ""), ("hysteresis", "1,5"), ("clear_s", "1e")]
)
def test_what_is_no_number_is_said_by_its_path(path: str, text: str) -> None:
    with pytest.raises(WrongNumberError) as caught:
        with_typed(OWN, as_sent(OWN) | {f"rules[0].{path}": text})
    assert caught.value.path == f"rules[0].{path}"


def test_of_a_contact_only_times_and_counts_are_asked() -> None:
    forms = rule_forms(OWN, "en")
    assert {field.name for field in forms[1].fields} == {"hold_s", "clear_s", "needed", "of"}
    assert [(field.name, field.unit) for field in forms[0].fields] == [
        ("hold_s", "s"),
        ("clear_s", "s"),
        ("above", "°C"),
        ("below", "°C"),
        ("hysteresis", "°C"),
    ]


def test_what_was_typed_stands_again_in_its_field() -> None:
    typed = as_sent(OWN) | {"rules[0].above": "hot"}
    [field] = [each for each in rule_forms(OWN, "zh", typed)[0].fields if each.name == "above"]
    assert field.value == "hot"


def test_long_limits_are_shown_whole() -> None:
    rule = msgspec.structs.replace(HOT, hold_s=604_799.125)
    [field] = [
        each
        for each in rule_forms(Protection(rules=(rule,)), "en")[0].fields
        if each.name == "hold_s"
    ]
    assert float(field.value) == rule.hold_s


def test_every_kind_of_rule_has_fields() -> None:
    for form in rule_forms(Protection(), "zh"):
        assert form.fields, form.rule_id
    assert own_rules(OWN) == OWN.rules
