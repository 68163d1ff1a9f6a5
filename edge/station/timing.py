"""The station's own time limits; all in real seconds unless a name says otherwise."""

from __future__ import annotations

from msgspec import Struct


class Timing(Struct, frozen=True):
    """How long the station waits for things.

    Attributes:
        start_s: An authorised start that does not charge by then has failed.
        estimate_s: A transaction that evidently ended is estimated when no record came.
        unreachable_s: The same for one whose charge point stays away.
        ask_hq_s: HQ has this long to answer for a token that is not on the list.
        alive_s: A transaction counts as alive this long after its last sample.
        clock_tolerance_ms: A charge point's time is used when this close to ours (wall time).
        hq_clock_tolerance_ms: Our own time is handed on when this close to HQ's (wall time).
        sparse_ms: Samples further apart than this (wall time) do not say when energy flowed: on
            a line between nearer ones nothing is off by more than full power gives in 5 s.
        offline_alarm_s: A charge point that is gone this long raises an alarm.
    """

    start_s: float = 150.0
    estimate_s: float = 600.0
    unreachable_s: float = 86_400.0
    ask_hq_s: float = 3.0
    alive_s: float = 60.0
    clock_tolerance_ms: int = 60_000
    hq_clock_tolerance_ms: int = 300_000
    sparse_ms: int = 20_000
    offline_alarm_s: float = 5.0


NORMAL = Timing()


def fast(scale: float) -> Timing:
    """Return limits for a demo whose wall clock runs `scale` times as fast.

    Its samples stay sparse by the station's own limit: what a busy machine hears 0.1 s late is
    12 s late by that clock, and says as little about when energy flowed.
    """
    return Timing(
        start_s=20.0,
        estimate_s=30.0,
        alive_s=5.0,
        clock_tolerance_ms=int(60_000 * max(scale / 10, 1)),
        hq_clock_tolerance_ms=int(300_000 * max(scale / 10, 1)),
        offline_alarm_s=1.0,
    )
