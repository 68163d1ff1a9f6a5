"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import datetime

from shared.clock import from_ms, to_ms


class ManualClock:
    """Wall and monotonic time move together, and only by `advance`."""

    def __init__(self, start: datetime) -> None:
        self._ms = to_ms(start)
        self._start_ms = self._ms

    def now(self) -> datetime:
        return from_ms(self._ms)

    def now_ms(self) -> int:
        return self._ms

    def now_us(self) -> int:
        return self._ms * 1000

    def monotonic_s(self) -> float:
        return 1000.0 + (self._ms - self._start_ms) / 1000

    def advance(self, seconds: float) -> None:
        self._ms += round(seconds * 1000)
