"""What a rule need not be asked about: nearly every value is as good as the one before."""

from __future__ import annotations

import math

CALM_S = 1.0
"""A rule hears at least one value in so long, so that it knows how long all has been well."""

Range = tuple[float, float, float]
"""Values from .. to, both included, and until when (monotonic seconds)."""

NEVER: Range = (math.inf, -math.inf, -math.inf)


class Calm:
    """The values that change nothing at one place, for a while."""

    __slots__ = ("high", "low", "to_s")

    def __init__(self) -> None:
        self.low, self.high, self.to_s = NEVER

    def become(self, values: Range) -> None:
        """Change to other values."""
        self.low, self.high, self.to_s = values


RESTLESS = Calm()
"""Of what has to hear everything; it never becomes anything else."""
