"""No good value for too long: silence is an alarm of its own."""

from __future__ import annotations

from edge.safety.rules.text import seconds
from shared.contracts.protection import Silence

LATE_S = 1.0
"""How late a poll may be because this program was busy, before its lack is the point's silence."""

UNKNOWN_PERIOD_S = 60.0
"""How long a point that was read once may take for its second poll."""


class Judge:
    """Judges how long ago the last good value of one point came."""

    def __init__(self, rule: Silence) -> None:
        self._rule = rule
        self._good_s: float | None = None
        self._last_s: float | None = None
        self._period_s: float | None = None
        self._bad = 0

    def update(self, value: float | None, mono_s: float) -> bool | None:
        """Count a poll; return whether the point is silent."""
        if self._last_s is not None and not self._bad:
            # Only polls that follow a good one: a dead device is asked ever more seldom.
            self._period_s = mono_s - self._last_s
        self._last_s = mono_s
        if value is not None:
            self._good_s, self._bad = mono_s, 0
            return False
        self._bad += 1
        if self._good_s is None:
            self._good_s = mono_s
        return self.due(mono_s)

    def due(self, mono_s: float) -> bool | None:
        """Return whether it is silent by now, though nobody polls; None before the first poll."""
        if self._good_s is None:
            return None
        silent_s, rule = mono_s - self._good_s, self._rule
        if self._bad >= rule.polls:
            return silent_s >= rule.for_s
        period_s = UNKNOWN_PERIOD_S if self._period_s is None else self._period_s
        return silent_s > max(rule.for_s, rule.polls * period_s) + LATE_S

    def shown(self) -> tuple[str, str]:
        """Return no value, and how long silence may last."""
        return "", seconds(self._rule.for_s)
