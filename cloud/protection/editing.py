"""The limits of rules as fields of a form, and back into a document. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct, structs

from shared.contracts.protection import CONTACTS, AnyRule, Protection
from shared.contracts.words import Severity
from shared.protection import BUILT_IN_RULES, unit_of
from shared.protection.tables import rule_rows
from shared.protection.words import Language

_NO_LIMITS = frozenset({"rule_id", "code", "select", "severity", "enabled", "other", "across"})
_COUNTS = frozenset({"polls", "needed", "of", "samples"})
_OF_THE_VALUE = frozenset({"above", "below", "hysteresis", "max_spread", "tolerance", "margin"})


class WrongNumberError(ValueError):
    """What stands in a field is no number."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Field(Struct, frozen=True, kw_only=True):
    """One limit: `path` names it in the document and in the form, `value` is what stands in it."""

    path: str
    name: str
    value: str
    unit: str
    whole: bool
    optional: bool


class RuleForm(Struct, frozen=True, kw_only=True):
    """One rule with its limits; `severity` "" takes the catalogue's."""

    at: str
    rule_id: str
    cause: str
    what: str
    condition: str
    fields: tuple[Field, ...]
    enabled: bool
    severity: str


def own_rules(protection: Protection) -> tuple[AnyRule, ...]:
    """Return the rules to edit: the document's, or the built-in ones where it has none."""
    return BUILT_IN_RULES if protection.rules is None else protection.rules


def rule_forms(
    protection: Protection, language: Language, typed: Mapping[str, str] | None = None
) -> list[RuleForm]:
    """Return all rules as forms, with what was typed where something was."""
    rules = own_rules(protection)
    rows = rule_rows(structs.replace(protection, rules=rules), language)
    forms = []
    for place, rule in enumerate(rules):
        at = f"rules[{place}]"
        severity = "" if rule.severity is None else rule.severity.value
        enabled = rule.enabled
        if typed is not None:
            severity = typed.get(f"{at}.severity", severity)
            enabled = f"{at}.enabled" in typed
        forms.append(
            RuleForm(
                at=at,
                rule_id=rule.rule_id,
                cause=rows[place].cause,
                what=rows[place].what,
                condition=rows[place].condition,
                fields=_fields(rule, at, typed or {}),
                enabled=enabled,
                severity=severity,
            )
        )
    return forms


def with_typed(protection: Protection, typed: Mapping[str, str]) -> dict[str, Any]:
    """Return a document as plain data, with the limits that were typed.

    A rule of which nothing was typed stays as it is. Rules that are all as they are built in
    stay built in.

    Raises:
        WrongNumberError: With the path of the first field that holds no number.
    """
    rules = own_rules(protection)
    written = [_with_typed(rule, f"rules[{place}]", typed) for place, rule in enumerate(rules)]
    document = plain(protection)
    if protection.rules is not None or written != [msgspec.to_builtins(rule) for rule in rules]:
        document["rules"] = written
    return document


def plain(protection: Protection) -> dict[str, Any]:
    """Return a document as it is stored: plain data, lists for tuples."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(protection))
    return document


def _fields(rule: AnyRule, at: str, typed: Mapping[str, str]) -> tuple[Field, ...]:
    unit = unit_of(rule.select.quantity)
    found = []
    for field in structs.fields(rule):
        # A contact is 0 or 1: there is nothing to set between them.
        of_contact = rule.select.quantity in CONTACTS and field.name in _OF_THE_VALUE
        if field.name in _NO_LIMITS or of_contact:
            continue
        path, value = f"{at}.{field.name}", getattr(rule, field.name)
        found.append(
            Field(
                path=path,
                name=field.name,
                value=typed.get(path, _shown(value)),
                unit=_unit(field.name, unit),
                whole=field.name in _COUNTS,
                optional=field.default is None,
            )
        )
    return tuple(found)


def _unit(name: str, unit: str) -> str:
    if name == "per_s":
        return f"{unit}/s"
    if name.endswith("_percent"):
        return "%"
    if name.endswith("_s"):
        return "s"
    return unit if name in _OF_THE_VALUE else ""


def _with_typed(rule: AnyRule, at: str, typed: Mapping[str, str]) -> dict[str, Any]:
    written: dict[str, Any] = msgspec.to_builtins(rule)
    if not any(name.startswith(f"{at}.") for name in typed):
        return written
    for field in structs.fields(rule):
        path = f"{at}.{field.name}"
        if field.name in _NO_LIMITS or path not in typed:
            continue
        text = typed[path].strip()
        # What was not touched stays to its last digit, of which the form shows ten.
        if text == _shown(getattr(rule, field.name)):
            continue
        value = _number(text, path, whole=field.name in _COUNTS)
        if value is None and field.default is not None:
            raise WrongNumberError(path)
        _put(written, field.name, value, field.default)
    _put(written, "enabled", f"{at}.enabled" in typed, True)
    severity = typed.get(f"{at}.severity", "")
    _put(written, "severity", severity if severity in set(Severity) else None, None)
    return written


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _put(written: dict[str, Any], name: str, value: Any, default: Any) -> None:
    """Set a field as the contract writes it: one at its default is left out."""
    if default is not NODEFAULT and value == default:
        written.pop(name, None)
    else:
        written[name] = value


def _number(text: str, path: str, *, whole: bool) -> float | int | None:
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        raise WrongNumberError(path) from error
