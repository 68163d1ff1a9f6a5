"""What goes wrong in one step of protection must not take the next step with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field

logger = logging.getLogger(__name__)

_WELL_S = 10.0
"""What failed and then worked for so long works again."""


@contextmanager
def surviving(what: str) -> Iterator[None]:
    """Log what goes wrong inside, and go on behind it."""
    try:
        yield
    except Exception:
        # A bug in one stop, siren or rule: the others are needed all the more.
        logger.exception("protection goes on without: %s", what)


class _Failing(Struct):
    places: set[str] = field(default_factory=set)
    """Where it fails now."""
    failed_s: float | None = None
    """When that was last seen, monotonic; None until the next look."""


class Failures:
    """Rules and steps of the protection that fail, by the object of their alarm.

    Each is logged once, and known until it has worked everywhere for ten seconds.
    """

    def __init__(self) -> None:
        self.failing: dict[str, _Failing] = {}
        """What fails, or has just now; for asking, at every value, whether anything does."""

    def failed(self, what: str, where: str, error: Exception) -> None:
        """Note that `what` failed at one of its places."""
        known = self.failing.get(what)
        if known is None:
            known = self.failing[what] = _Failing()
            logger.error("protection goes on without: %s at=%s", what, where, exc_info=error)
        known.places.add(where)
        known.failed_s = None

    def works(self, what: str, where: str) -> None:
        """Note that it works at a place."""
        if known := self.failing.get(what):
            known.places.discard(where)

    def forget(self, kind: str) -> None:
        """Let go where things of a kind failed: what takes their place shows it anew."""
        for what, known in self.failing.items():
            if what.startswith(f"{kind}:"):
                known.places.clear()

    def forget_charge_point(self, charge_point_no: str) -> None:
        """Let go where things failed at a charge point that is no longer ours."""
        for known in self.failing.values():
            known.places = {
                place for place in known.places if place.split(":")[1:2] != [charge_point_no]
            }

    def look(self, mono_s: float) -> tuple[list[str], list[str]]:
        """Return what fails, and what works again since the last look."""
        for known in self.failing.values():
            if known.places or known.failed_s is None:
                known.failed_s = mono_s
        well = [
            what
            for what, known in self.failing.items()
            if known.failed_s is not None and mono_s - known.failed_s >= _WELL_S
        ]
        for what in well:
            del self.failing[what]
            logger.info("protection works again: %s", what)
        return list(self.failing), well
