"""Time as an argument: who needs it takes a `Clock`, so that tests and the demo own it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

_MS = 1000


class Clock(Protocol):
    """Where time comes from.

    Wall time may jump (no battery, bad NTP); whatever measures a duration or a time-out uses
    `monotonic_s`, never a difference of wall times.
    """

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def now_ms(self) -> int:
        """Return the wall time as whole milliseconds since 1970, UTC."""
        ...

    def now_us(self) -> int:
        """Return the wall time as whole microseconds since 1970, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start that never go backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Return the wall time as whole milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def now_us(self) -> int:
        """Return the wall time as whole microseconds since 1970, UTC."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start that never go backwards."""
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """A wall clock that runs `scale` times as fast, so that a demo sees tariffs change.

    Every process of one demo is given the same `real_start_ms` and `start_ms` and so shares one
    time. Monotonic time stays real: time-outs are not scaled.
    """

    real_start_ms: int
    start_ms: int
    scale: float

    def now(self) -> datetime:
        """Return the scaled wall time, aware, in UTC."""
        return from_ms(self.now_ms())

    def now_ms(self) -> int:
        """Return the scaled wall time as whole milliseconds since 1970, UTC."""
        elapsed_ms = time.time_ns() // 1_000_000 - self.real_start_ms
        return self.start_ms + int(elapsed_ms * self.scale)

    def now_us(self) -> int:
        """Return the scaled wall time as whole microseconds since 1970, UTC."""
        return self.now_ms() * 1_000

    def monotonic_s(self) -> float:
        """Return real seconds that never go backwards."""
        return time.monotonic()


def to_ms(instant: datetime) -> int:
    """Return an aware datetime as whole milliseconds since 1970, UTC, rounded down.

    Raises:
        ValueError: The datetime is naive.
    """
    if instant.tzinfo is None:
        raise ValueError(f"naive time {instant.isoformat()}")
    delta = instant - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * _MS + delta.microseconds // _MS


def from_ms(instant_ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware datetime in UTC, exactly."""
    seconds, ms = divmod(instant_ms, _MS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=ms * 1000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
