"""A value above or below a limit, over only when it is past the hysteresis."""

from __future__ import annotations

import math

from edge.safety.rules.calm import CALM_S, NEVER, Range
from edge.safety.rules.text import beyond, with_unit
from shared.contracts.protection import Threshold


class Judge:
    """Judges one value against a limit."""

    def __init__(self, rule: Threshold) -> None:
        self._rule = rule
        self._above = math.inf if rule.above is None else rule.above
        self._below = -math.inf if rule.below is None else rule.below
        self._beyond = False
        self._value: float | None = None

    def update(self, value: float | None, _mono_s: float) -> bool | None:
        """Return whether the value is beyond its limit; None (not known) for a bad one."""
        if value is None:
            return None
        self._value = value
        slack = self._rule.hysteresis if self._beyond else 0.0
        self._beyond = value > self._above - slack or value < self._below + slack
        return self._beyond

    def calm(self, mono_s: float) -> Range:
        """Return what is not beyond the limit, as long as the last value was not."""
        return NEVER if self._beyond else (self._below, self._above, mono_s + CALM_S)

    def shown(self) -> tuple[str, str]:
        """Return value and limit with their unit."""
        rule, quantity = self._rule, self._rule.select.quantity
        sides = (("<", rule.below), (">", rule.above))
        limits = [beyond(sign, limit, quantity) for sign, limit in sides if limit is not None]
        return with_unit(self._value, quantity), " ".join(limits)
