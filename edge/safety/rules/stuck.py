"""An analogue value that has not moved for too long to be true."""

from __future__ import annotations

from edge.safety.rules.text import seconds, with_unit
from shared.contracts.protection import Stuck


class Judge:
    """Judges for how long one value has stayed the same; time without good ones is not counted."""

    def __init__(self, rule: Stuck) -> None:
        self._rule = rule
        self._from: float | None = None
        self._last_s = 0.0
        self._still_s = 0.0
        self._blind = False

    def update(self, value: float | None, mono_s: float) -> bool | None:
        """Return whether the value is stuck; None (not known) for a bad one."""
        if value is None:
            self._blind = True
            return None
        if self._from is None or abs(value - self._from) > self._rule.tolerance:
            self._from, self._still_s = value, 0.0
        elif not self._blind:
            self._still_s += mono_s - self._last_s
        self._last_s, self._blind = mono_s, False
        return self._still_s >= self._rule.for_s

    def shown(self) -> tuple[str, str]:
        """Return the value and for how many seconds it may stay."""
        return with_unit(self._from, self._rule.select.quantity), seconds(self._rule.for_s)
