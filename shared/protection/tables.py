"""Rules and interlocks as tables that people read, in zh and en."""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct

from shared.contracts.alarm_codes import entry_of
from shared.contracts.protection import (
    CONTACTS,
    AnyRule,
    Compare,
    Interlock,
    Protection,
    Quantity,
    Rate,
    Reach,
    Reset,
    RuleBase,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
)
from shared.protection.built_in import ALWAYS_REFUSES, MUST_STOP, interlocks_of, rules_of
from shared.protection.words import (
    OPENINGS,
    QUANTITIES,
    REACHES,
    RESETS,
    ROLES,
    Language,
    Text,
    pick,
    unit_of,
)

_NONE = "—"
_PARAMETER = re.compile(r"\{\w+\}")


class InterlockRow(Struct, frozen=True, kw_only=True):
    """One cause and its effects, in words; what does not happen is a dash."""

    code: str
    cause: str
    stops: str
    opens: str
    sounds: str
    says: str
    refuses: str
    reset: str
    who: str
    kept: str
    """What no document may take away."""


class RuleRow(Struct, frozen=True, kw_only=True):
    """One rule in words."""

    rule_id: str
    cause: str
    code: str
    severity: str
    what: str
    condition: str
    hold: str
    clear: str
    enabled: bool


def interlock_rows(protection: Protection, language: Language) -> list[InterlockRow]:
    """Return the matrix that holds, what stops most first."""
    reaches = tuple(Reach)
    rows = sorted(interlocks_of(protection), key=lambda row: -reaches.index(row.stop))
    return [_interlock(row, language) for row in rows]


def rule_rows(protection: Protection, language: Language) -> list[RuleRow]:
    """Return the rules that hold, in their order."""
    return [_rule(rule, language) for rule in rules_of(protection)]


def _interlock(row: Interlock, language: Language) -> InterlockRow:
    latched = row.stop is not Reach.NONE and row.reset is not Reset.NO_LATCH
    return InterlockRow(
        code=row.cause,
        cause=_title(row.cause, language),
        stops=pick(REACHES[row.stop], language),
        opens=_NONE if row.stop is Reach.NONE else pick(OPENINGS[row.contactor], language),
        sounds=pick(("声光", "sirens, strobes"), language) if row.sirens else _NONE,
        says=row.message or _NONE,
        refuses=pick(REACHES[_refused(row)], language),
        reset=pick(RESETS[row.reset], language) if latched else _NONE,
        who=pick(ROLES.get(row.role, (row.role, row.role)), language) if latched else _NONE,
        kept=pick(_kept(row), language),
    )


def _refused(row: Interlock) -> Reach:
    if row.cause in ALWAYS_REFUSES:
        return Reach.STATION
    if not row.no_new_starts:
        return Reach.NONE
    return Reach.ZONE if row.stop is Reach.NONE else row.stop


def _kept(row: Interlock) -> Text:
    if row.cause in MUST_STOP:
        return "停止、锁定", "stop, latch"
    if row.cause in ALWAYS_REFUSES:
        return "禁止新充电", "no new charge"
    return _NONE, _NONE


def _title(code: str, language: Language) -> str:
    alarm = entry_of(code)
    title = _PARAMETER.sub("…", pick((alarm.title_zh, alarm.title_en), language))
    return title.rstrip("…:, ")


def _rule(rule: AnyRule, language: Language) -> RuleRow:
    return RuleRow(
        rule_id=rule.rule_id,
        cause=_title(rule.code, language),
        code=rule.code,
        severity=rule.severity or entry_of(rule.code).severity,
        what=_selected(rule, language),
        condition=pick(_CONDITIONS[type(rule)](rule), language),
        hold=_seconds(rule.hold_s),
        clear=_seconds(rule.clear_s),
        enabled=rule.enabled,
    )


def _selected(rule: RuleBase, language: Language) -> str:
    select = rule.select
    place = " / ".join(part for part in (select.zone, select.device, select.point) if part)
    name = pick(QUANTITIES[select.quantity], language)
    return f"{name} ({place})" if place else name


def _seconds(value: float) -> str:
    return f"{value:g} s" if value else _NONE


def _amount(value: float, quantity: Quantity) -> str:
    return f"{round(value, 3):g} {unit_of(quantity)}".rstrip()


def _threshold(rule: Threshold) -> Text:
    quantity = rule.select.quantity
    if quantity in CONTACTS:
        return ("为真", "is so") if rule.above is not None else ("为假", "is not so")
    sides = (("<", rule.below), (">", rule.above))
    text = "  ".join(f"{sign} {_amount(at, quantity)}" for sign, at in sides if at is not None)
    if not rule.hysteresis:
        return text, text
    slack = _amount(rule.hysteresis, quantity)
    return f"{text}, 回差 {slack}", f"{text}, hysteresis {slack}"


def _rate(rule: Rate) -> Text:
    change = f"{_amount(abs(rule.per_s) * rule.window_s, rule.select.quantity)}"
    window = f"{rule.window_s:g} s"
    if rule.per_s > 0:
        return f"{window} 内上升 > {change}", f"rises > {change} in {window}"
    return f"{window} 内下降 > {change}", f"falls > {change} in {window}"


def _spread(rule: Spread) -> Text:
    apart = _amount(rule.max_spread, rule.select.quantity)
    return f"同区相差 > {apart}", f"differs > {apart} within a zone"


def _stuck(rule: Stuck) -> Text:
    for_s, slack = f"{rule.for_s:g} s", _amount(rule.tolerance, rule.select.quantity)
    return f"{for_s} 内变化 ≤ {slack}", f"moves ≤ {slack} in {for_s}"


def _silence(rule: Silence) -> Text:
    for_s = f"{rule.for_s:g} s"
    return (
        f"无有效值 ≥ {for_s} 且 {rule.polls} 次轮询",
        f"no good value for {for_s} and {rule.polls} polls",
    )


def _vote(rule: Vote) -> Text:
    count = f"{rule.needed}/{rule.of}"
    limit = "" if rule.select.quantity in CONTACTS else _amount(rule.above, rule.select.quantity)
    beyond = f" > {limit}" if limit else ""
    if rule.across == "points":
        return f"同区 {rule.needed} 个测点{beyond}", f"{rule.needed} points of a zone{beyond}"
    return f"{count} 个采样{beyond}", f"{count} samples{beyond}"


def _compare(rule: Compare) -> Text:
    margin = _amount(rule.margin, rule.select.quantity)
    zh, en = QUANTITIES[rule.other]
    if rule.margin_percent:
        extra = f" + max({margin}, {rule.margin_percent:g} %)"
    else:
        extra = f" {'-' if rule.margin < 0 else '+'} {margin.lstrip('-')}" if rule.margin else ""
    zh, en = f"> {zh}{extra}", f"> {en}{extra}"
    if rule.samples == 1:
        return zh, en
    return f"{zh}, 连续 {rule.samples} 次", f"{en}, {rule.samples} in a row"


# Each is called with its own kind only, by this very table.
_CONDITIONS: dict[type[RuleBase], Callable[..., Text]] = {
    Threshold: _threshold,
    Rate: _rate,
    Spread: _spread,
    Stuck: _stuck,
    Silence: _silence,
    Vote: _vote,
    Compare: _compare,
}
