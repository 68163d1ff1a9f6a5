"""A value above another one of the same place: what is given against what is allowed."""

from __future__ import annotations

import math

from edge.safety.rules.calm import CALM_S, NEVER, Range
from edge.safety.rules.text import with_unit
from shared.contracts.protection import Compare

_NOISE = 1e-9
"""What adding margins may leave in the last digits: at the limit is not beyond it."""


class Judge:
    """Judges values of one place against another of it, in so many samples in a row."""

    def __init__(self, rule: Compare) -> None:
        self._rule = rule
        self._value: float | None = None
        self._other: float | None = None
        self._in_a_row: dict[str, int] = {}

    def update_other(self, value: float | None, _mono_s: float) -> bool | None:
        """Keep what the values are compared with; it says nothing alone."""
        self._other = value
        return None

    def update(self, point: str, value: float | None, _mono_s: float) -> bool | None:
        """Return whether a value is too high; None (not known) when either is missing."""
        if value is None or self._other is None:
            return None
        limit = self._limit(self._other)
        beyond_limit = value > limit + _NOISE
        if beyond_limit or not any(self._in_a_row.values()):
            self._value = value
        self._in_a_row[point] = self._in_a_row.get(point, 0) + 1 if beyond_limit else 0
        return max(self._in_a_row.values()) >= self._rule.samples

    def calm(self, mono_s: float) -> Range:
        """Return what is not above the other value, as it is now."""
        if any(self._in_a_row.values()):
            return NEVER
        limit = math.inf if self._other is None else self._limit(self._other)
        return -math.inf, limit, mono_s + CALM_S

    def _limit(self, other: float) -> float:
        share = abs(other) * self._rule.margin_percent / 100
        return other + (max(self._rule.margin, share) if share else self._rule.margin)

    def shown(self) -> tuple[str, str]:
        """Return value and limit with their unit."""
        quantity = self._rule.select.quantity
        limit = "" if self._other is None else with_unit(self._limit(self._other), quantity)
        return with_unit(self._value, quantity), limit and f"> {limit}"
