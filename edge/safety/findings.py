"""What a rule says of one place: the finding, and what leads to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from edge.devices.chargers.reports import Moment
from edge.safety.rules import compare, rate, silence, spread, stuck, threshold, vote
from edge.safety.rules.calm import NEVER, RESTLESS, Calm
from edge.safety.rules.hold import Hold
from shared.contracts.alarm_codes import entry_of
from shared.contracts.protection import (
    AnyRule,
    Compare,
    Rate,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
)
from shared.contracts.words import Severity

_WORST_FIRST = tuple(Severity)

Update = Callable[[float | None, float], bool | None]
Judge = (
    threshold.Judge
    | rate.Judge
    | spread.Judge
    | stuck.Judge
    | silence.Judge
    | vote.OfSamples
    | vote.OfPoints
    | compare.Judge
)


class Finding(Struct, frozen=True, kw_only=True):
    """A cause appeared (`active`), came worse, or is gone. `code` and `object` identify it.

    `object` is `sensor:DEVICE/POINT`, `sensor:DEVICE` (silence and comparisons),
    `connector:NO:N`, or `zone:NAME` or `station` where points are judged together. `value` and
    `limit` are for people, with their units, "" for contacts. `at` is the deciding value's.
    """

    rule_id: str
    code: str
    object: str
    zone: str
    active: bool
    severity: Severity
    value: str
    limit: str
    at: Moment


class Source(Struct, frozen=True):
    """Where values come from: a point of a device, or (`device` "") a connector."""

    object: str
    quantity: str
    device: str = ""
    point: str = ""


class Track:
    """One rule at one place: its judge, its hold, and whether it found something."""

    __slots__ = ("_calm_of", "calm", "hold", "judge", "key", "object", "rule", "source", "zone")

    def __init__(
        self, rule: AnyRule, key: tuple[str, str], object_: str, zone: str, source: Source
    ) -> None:
        self.rule = rule
        self.key = key
        self.object = object_
        self.zone = zone
        self.source = source
        self.judge = _JUDGES[type(rule)](rule)
        self.hold = Hold(rule.hold_s, rule.clear_s)
        self.calm = Calm()
        self._calm_of = getattr(self.judge, "calm", None)

    @property
    def identity(self) -> tuple[str, str]:
        """Code and object: what makes two findings one cause."""
        return self.rule.code, self.object

    @property
    def severity(self) -> Severity:
        """The rule's own severity, else the catalogue's."""
        return self.rule.severity or entry_of(self.rule.code).severity

    def rest(self) -> None:
        """Find nothing, and hold nothing, as before the first value."""
        self.hold = Hold(self.rule.hold_s, self.rule.clear_s)

    def settle(self, mono_s: float) -> None:
        """Work out what need not be judged: nothing, while something is found or waited for."""
        if self._calm_of is not None:
            at_rest = not (self.hold.active or self.hold.waiting)
            self.calm.become(self._calm_of(mono_s) if at_rest else NEVER)

    def calm_from(self, source: Source) -> Calm:
        """Return what need not be judged of a source's values."""
        if self.rule.select.quantity != source.quantity:
            return RESTLESS  # what others are compared with
        return self.calm

    def update_from(self, source: Source) -> Update:
        """Return what takes the values of a source."""
        judge = self.judge
        if isinstance(judge, spread.Judge | vote.OfPoints):
            return partial(judge.update, source.object)
        if isinstance(judge, compare.Judge):
            if source.quantity != self.rule.select.quantity:
                return judge.update_other
            return partial(judge.update, source.object)
        return judge.update

    def finding(
        self, at: Moment, shown: tuple[str, str], *, active: bool, severity: Severity
    ) -> Finding:
        """Return what is to be told of this place; `shown` are value and limit, for people."""
        value, limit = shown
        return Finding(
            rule_id=self.rule.rule_id,
            code=self.rule.code,
            object=self.object,
            zone=self.zone,
            active=active,
            severity=severity,
            value=value,
            limit=limit,
            at=at,
        )


def _vote(rule: Vote) -> Judge:
    return vote.OfPoints(rule) if rule.across == "points" else vote.OfSamples(rule)


_JUDGES: dict[type[AnyRule], Callable[..., Judge]] = {
    Threshold: threshold.Judge,
    Rate: rate.Judge,
    Spread: spread.Judge,
    Stuck: stuck.Judge,
    Silence: silence.Judge,
    Vote: _vote,
    Compare: compare.Judge,
}


def is_worse(one: Severity, other: Severity) -> bool:
    """Whether one severity is worse than another."""
    return _WORST_FIRST.index(one) < _WORST_FIRST.index(other)
