"""What of the sensors goes into telemetry: one sample a minute of each point, and each change."""

from __future__ import annotations

from edge.devices.sensors.reports import PointSampled
from shared.contracts.protection import CONTACTS, Quality
from shared.contracts.telemetry import MISSING, QUALITIES, Sample
from shared.contracts.words import SampleKind

_MILLI = 1000
_MILLI_MAX = 2**62
"""Neighbouring values must not differ by more than 63 bits."""
EVERY_MS = 60_000
_CODES = {quality: code for code, quality in enumerate(QUALITIES)}


def sensor_sample(report: PointSampled) -> Sample:
    """Return a report as telemetry: its value in thousandths of the quantity's unit.

    A good value that would look like none is told a thousandth higher.
    """
    if report.value is None:
        milli = MISSING
    else:
        milli = max(-_MILLI_MAX, min(round(report.value * _MILLI), _MILLI_MAX))
        milli += milli == MISSING
    return Sample(
        SampleKind.SENSOR,
        f"{report.device}/{report.point}",
        0,
        None,
        report.at.wall_ms,
        (milli, _CODES[report.quality]),
    )


class Thinner:
    """Decides which reports become samples; remembers the last that did, for each point."""

    def __init__(self, every_ms: int = EVERY_MS) -> None:
        self._every_ms = every_ms
        self._last: dict[tuple[str, str], tuple[int, Quality, float | None]] = {}

    def take(self, report: PointSampled) -> Sample | None:
        """Return a sample when one is due: a minute has passed, or quality or contact changed.

        When the wall clock was set back, one is due at once.
        """
        contact = report.value if report.quantity in CONTACTS else None
        now_ms = report.at.wall_ms
        key = (report.device, report.point)
        last = self._last.get(key)
        if last is not None:
            last_ms, quality, last_contact = last
            is_same = quality is report.quality and last_contact == contact
            if is_same and 0 <= now_ms - last_ms < self._every_ms:
                return None
        self._last[key] = (now_ms, report.quality, contact)
        return sensor_sample(report)

    def forget(self) -> None:
        """Begin anew, when other devices are polled."""
        self._last.clear()
