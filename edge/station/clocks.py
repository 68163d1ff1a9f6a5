"""Charge points get the station's time at each login and once a day, while it can be right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from edge.devices.chargers.reports import Moment
from edge.devices.chargers.wishes import SetClock
from shared.clock import to_ms

_RELEASED_MS = to_ms(datetime(2026, 11, 1, tzinfo=UTC))
"""No clock that is right says less: a computer without a battery starts in 1970."""
_PERIOD_S = 86_400.0 - 1_800.0
"""A day, met by a look once an hour."""


class ClockKeeper:
    """Says whether the station's own clock may be handed on, and hands it on."""

    def __init__(self, tolerance_ms: int, now: Moment) -> None:
        """Trust the clock while HQ's is nearer than `tolerance_ms`, or unknown."""
        self.hq_offset_ms: Callable[[], int | None] = lambda: None
        self._tolerance_ms = tolerance_ms
        self._set_s = now.mono_s

    def trusted(self, wall_ms: int) -> bool:
        """Whether the station's wall time can be right."""
        offset_ms = self.hq_offset_ms() or 0
        return wall_ms >= _RELEASED_MS and abs(offset_ms) <= self._tolerance_ms

    def due(self, numbers: list[str], now: Moment) -> list[SetClock]:
        """Return what sets these charge points' clocks, once a day. Call it hourly."""
        if now.mono_s - self._set_s < _PERIOD_S or not self.trusted(now.wall_ms):
            return []
        self._set_s = now.mono_s
        return [SetClock(charge_point_no=number) for number in numbers]
