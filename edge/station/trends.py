"""The latest value of every sensor point, and what it did in the last 24 hours, in memory."""

from __future__ import annotations

from array import array

from msgspec import Struct

from edge.devices.sensors.reports import PointSampled
from edge.view import TrendPoint

HOURS_MAX = 24
STEPS_MAX = 200
_BUCKET_MS = 60_000
_BUCKETS = HOURS_MAX * 60

PointName = tuple[str, str]
"""Device and point."""


class _Minutes:
    """One point's day: sum, count, lowest and highest of each minute, in a ring."""

    __slots__ = ("counts", "highs", "lows", "minutes", "sums")

    def __init__(self) -> None:
        self.minutes = array("q", bytes(8 * _BUCKETS))
        self.counts = array("l", bytes(array("l").itemsize * _BUCKETS))
        self.sums = array("d", bytes(8 * _BUCKETS))
        self.lows = array("d", bytes(8 * _BUCKETS))
        self.highs = array("d", bytes(8 * _BUCKETS))

    def add(self, minute: int, value: float) -> None:
        slot = minute % _BUCKETS
        if self.minutes[slot] != minute:
            self.minutes[slot], self.counts[slot], self.sums[slot] = minute, 0, 0.0
            self.lows[slot] = self.highs[slot] = value
        self.counts[slot] += 1
        self.sums[slot] += value
        if value < self.lows[slot]:
            self.lows[slot] = value
        elif value > self.highs[slot]:
            self.highs[slot] = value

    def step(self, first: int, count: int) -> TrendPoint | None:
        """Return `count` minutes from `first` on as one step; None when nothing was measured."""
        slots = [m % _BUCKETS for m in range(first, first + count)]
        held = [
            slot
            for slot, minute in zip(slots, range(first, first + count), strict=True)
            if self.minutes[slot] == minute and self.counts[slot]
        ]
        if not held:
            return None
        samples = sum(self.counts[slot] for slot in held)
        return TrendPoint(
            first * _BUCKET_MS,
            sum(self.sums[slot] for slot in held) / samples,
            min(self.lows[slot] for slot in held),
            max(self.highs[slot] for slot in held),
        )


class Latest(Struct, frozen=True):
    """What a point said last, and the last good value with its age."""

    report: PointSampled
    good: PointSampled | None


class PointHistory:
    """Hears every `PointSampled`."""

    def __init__(self) -> None:
        self._latest: dict[PointName, Latest] = {}
        self._days: dict[PointName, _Minutes] = {}

    def on_point(self, report: PointSampled) -> None:
        """Take in a value; one that is not good is shown but never drawn."""
        name = (report.device, report.point)
        if report.value is None:
            before = self._latest.get(name)
            self._latest[name] = Latest(report, before.good if before else None)
            return
        self._latest[name] = Latest(report, report)
        day = self._days.get(name)
        if day is None:
            day = self._days[name] = _Minutes()
        day.add(report.at.wall_ms // _BUCKET_MS, report.value)

    def keep_only(self, devices: set[str]) -> None:
        """Forget devices that are no longer there."""
        for name in [name for name in self._latest if name[0] not in devices]:
            del self._latest[name]
            self._days.pop(name, None)

    def latest(self) -> dict[PointName, Latest]:
        """Return what every point said last."""
        return self._latest

    def trend(self, device: str, point: str, hours: float, now_ms: int) -> list[TrendPoint]:
        """Return up to 200 steps of the last hours, oldest first, without those without values.

        Raises:
            ValueError: The hours are not above 0 and up to 24, or there is no such point.
        """
        if not 0 < hours <= HOURS_MAX:
            raise ValueError(f"hours: above 0, up to {HOURS_MAX}")
        if (device, point) not in self._latest:
            raise ValueError(f"point: {device}/{point} has not been heard of")
        day = self._days.get((device, point))
        if day is None:
            return []
        last = now_ms // _BUCKET_MS
        minutes = max(1, round(hours * 60))
        width = -(-minutes // STEPS_MAX)
        firsts = range(last - minutes + 1, last + 1, width)
        steps = (day.step(first, min(width, last + 1 - first)) for first in firsts)
        return [step for step in steps if step is not None]
