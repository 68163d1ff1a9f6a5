"""Retry delays that grow and spread, so that a thousand stations do not come back at once."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random


def delays(
    random: Random, *, first_s: float = 1.0, factor: float = 2.0, max_s: float = 60.0
) -> Iterator[float]:
    """Yield delays without end: each between half and all of a bound that grows to `max_s`.

    Args:
        random: Where the jitter comes from; seeded in tests.
        first_s: The first bound, seconds.
        factor: What the bound grows by, each time.
        max_s: Where it stops growing, seconds.
    """
    bound_s = first_s
    while True:
        yield random.uniform(bound_s / 2, bound_s)
        bound_s = min(bound_s * factor, max_s)
