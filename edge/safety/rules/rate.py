"""A value that rises, or falls, faster than it may."""

from __future__ import annotations

import math
from collections import deque
from itertools import islice

from edge.safety.rules.calm import NEVER, Range
from edge.safety.rules.text import seconds, with_unit
from shared.contracts.protection import Rate

_KEPT = 60
"""Samples kept of a window: enough for its slope, and few enough for a point polled at 10 Hz."""


class Judge:
    """Judges the change of one value over a window.

    The change is from the value one window ago, or from the first one known since: it counts
    whole even where the window is not full yet, so a jump trips at once.
    """

    def __init__(self, rule: Rate) -> None:
        self._window_s = rule.window_s
        self._apart_s = rule.window_s / _KEPT
        self._quantity = rule.select.quantity
        self._change_max = rule.per_s * rule.window_s
        self._samples: deque[tuple[float, float]] = deque()
        self._change = 0.0

    def update(self, value: float | None, mono_s: float) -> bool | None:
        """Return whether the change is too large; None (not known) for a bad value."""
        if value is None:
            return None
        samples = self._samples
        then_s = mono_s - self._window_s
        while len(samples) > 1 and samples[1][0] <= then_s:
            samples.popleft()
        if samples and samples[0][0] < then_s - self._window_s:
            samples.clear()
        self._change = value - self._before(mono_s, value)
        if not samples or mono_s - samples[-1][0] >= self._apart_s:
            samples.append((mono_s, value))
        limit = self._change_max
        return self._change > limit if limit > 0 else self._change < limit

    def calm(self, _mono_s: float) -> Range:
        """Return what is no change worth a look, until the next value would be kept.

        Until then the window begins between the first three that are kept.
        """
        samples = self._samples
        if not samples:
            return NEVER
        first = [value for _, value in islice(samples, 3)]
        to_s = samples[-1][0] + self._apart_s
        if self._change_max > 0:
            return -math.inf, min(first) + self._change_max, to_s
        return max(first) + self._change_max, math.inf, to_s

    def _before(self, mono_s: float, value: float) -> float:
        """Return the value one window ago, between the samples around that time."""
        if not self._samples:
            return value
        first_s, first = self._samples[0]
        then_s = mono_s - self._window_s
        if first_s >= then_s:
            return first
        next_s, following = self._samples[1] if len(self._samples) > 1 else (mono_s, value)
        return first + (following - first) * (then_s - first_s) / (next_s - first_s)

    def shown(self) -> tuple[str, str]:
        """Return change and limit with their unit."""
        over = f" / {seconds(self._window_s)}"
        change = with_unit(self._change, self._quantity)
        return change + over, with_unit(self._change_max, self._quantity) + over
