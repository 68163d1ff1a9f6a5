"""So many of the last samples, or of the points of a zone, must agree."""

from __future__ import annotations

from collections import deque

from edge.safety.rules.text import beyond, with_unit
from shared.contracts.protection import Vote


class OfSamples:
    """Judges the last good samples of one point."""

    def __init__(self, rule: Vote) -> None:
        self._rule = rule
        self._votes: deque[bool] = deque(maxlen=rule.of)
        self._value: float | None = None

    def update(self, value: float | None, _mono_s: float) -> bool | None:
        """Return whether enough samples are above the limit; a bad one has no vote."""
        if value is None:
            return None
        self._value = value
        self._votes.append(value > self._rule.above)
        return sum(self._votes) >= self._rule.needed

    def shown(self) -> tuple[str, str]:
        """Return value and limit with their unit."""
        return _shown(self._value, self._rule)


class OfPoints:
    """Judges the points of one zone."""

    def __init__(self, rule: Vote) -> None:
        self._rule = rule
        self._values: dict[str, float | None] = {}

    def update(self, point: str, value: float | None, _mono_s: float) -> bool | None:
        """Return whether enough points are above the limit.

        None (not known) while it hangs on points that cannot be read.
        """
        self._values[point] = value
        return self._counted()

    def leave(self, point: str) -> bool | None:
        """Forget a point that is there no more; return what is found without it."""
        self._values.pop(point, None)
        return self._counted()

    def _counted(self) -> bool | None:
        values = self._values.values()
        above = sum(value is not None and value > self._rule.above for value in values)
        unknown = sum(value is None for value in values)
        if above >= self._rule.needed:
            return True
        return None if above + unknown >= self._rule.needed else False

    def shown(self) -> tuple[str, str]:
        """Return the highest value and the limit with their unit."""
        good = [value for value in self._values.values() if value is not None]
        return _shown(max(good, default=None), self._rule)


def _shown(value: float | None, rule: Vote) -> tuple[str, str]:
    quantity = rule.select.quantity
    return with_unit(value, quantity), beyond(">", rule.above, quantity)
