"""Points of one zone that should agree, and do not."""

from __future__ import annotations

from edge.safety.rules.text import beyond, with_unit
from shared.contracts.protection import Spread


class Judge:
    """Judges how far the good values of several points lie apart."""

    def __init__(self, rule: Spread) -> None:
        self._quantity = rule.select.quantity
        self._max = rule.max_spread
        self._values: dict[str, float] = {}
        self._spread = 0.0

    def update(self, point: str, value: float | None, _mono_s: float) -> bool | None:
        """Return whether the points differ too much; None (not known) with fewer than two.

        A point whose value turned bad no longer counts.
        """
        if value is None:
            self._values.pop(point, None)
        else:
            self._values[point] = value
        return self._differ()

    def leave(self, point: str) -> bool | None:
        """Forget a point that is there no more; return what is found without it."""
        self._values.pop(point, None)
        return self._differ()

    def _differ(self) -> bool | None:
        if len(self._values) < 2:
            return None
        self._spread = max(self._values.values()) - min(self._values.values())
        return self._spread > self._max

    def shown(self) -> tuple[str, str]:
        """Return spread and limit with their unit."""
        return (
            with_unit(self._spread, self._quantity),
            beyond(">", self._max, self._quantity),
        )
