"""What stands at a station now: each cause with what it does, and the figures of its trip."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from msgspec import Struct, field

from edge.devices.chargers.reports import Moment
from edge.safety.interlock import Action
from shared.contracts.alarm_codes import entry_of
from shared.contracts.events import DrillFinished
from shared.contracts.words import Severity

Connector = tuple[str, int]
Place = tuple[str, int]
CauseKey = tuple[str, str]
_WORST_FIRST = tuple(Severity)


class Trip(Struct):
    """One stop by the station itself, and how fast it was; times as in `SafetyTripped`."""

    trip_id: UUID
    cause: str
    object: str
    zone: str
    at: Moment
    connectors: tuple[Connector, ...]
    stopped_s: float
    """Monotonic: when the last stop frame was handed to the kernel."""
    stop_sent_us: int | None
    """None where no charge point could be told."""
    awaiting: set[Connector]
    """Connectors that were told to stop and have not shown zero current yet."""
    siren_us: int | None = None
    contactors: tuple[str, ...] = ()
    contactor_us: int | None = None
    last_zero_ms: int | None = None
    is_seen: bool = True
    """False when one could not be told, or was cut off unseen: nobody reads its current."""

    @property
    def zero_current_ms(self) -> int | None:
        """The last of the stopped connectors; None while one is awaited, or was never seen."""
        return None if self.awaiting or not self.is_seen else self.last_zero_ms

    def us_since(self, at: Moment) -> int:
        """Return the microseconds from the deciding reply until then."""
        return max(0, int((at.mono_s - self.at.mono_s) * 1_000_000))


class Cause(Struct):
    """Something that is wrong, known by code and object; it stands until it is over and reset.

    `severity` None is the catalogue's. `latched` are the places that it blocks.
    """

    code: str
    object: str
    at: Moment
    action: Action
    severity: Severity | None = None
    params: dict[str, str] = field(default_factory=dict)
    zone: str = ""
    active: bool = True
    latched: set[Place] = field(default_factory=set)
    opened: bool = False
    """Its trip opened the contactors above what it latched: they stay open as long."""
    ordered: bool = False
    """HQ's emergency stop: it stands until somebody resets it, whatever any value says."""
    trip: Trip | None = None
    unsure_s: float | None = None
    """Known from before a restart only: since when; None once its rule has spoken."""

    @property
    def key(self) -> CauseKey:
        """What identifies it."""
        return self.code, self.object

    @property
    def may_trip(self) -> bool:
        """Whether it trips when it is noticed: it is HQ's order yet, or only an alarm of before."""
        return self.ordered or (self.unsure_s is not None and not self.latched)


def rank(code: str, severity: Severity | None) -> int:
    """Return how bad a cause is, 0 the worst; without a severity by what its code has."""
    return _WORST_FIRST.index(severity or entry_of(code).severity)


class Hearer(Protocol):
    """Who is told after the engine has acted; what goes wrong there stops nothing here."""

    def on_trip(self, cause: Cause) -> None:
        """Connectors were stopped for this cause: block its places, raise it, tell HQ."""

    def on_figures(self, trip: Trip) -> None:
        """A figure of a trip has come in."""

    def on_notice(self, cause: Cause) -> None:
        """Something is wrong, came again or became worse; nothing was stopped for it now."""

    def on_gone(self, cause: Cause) -> None:
        """A cause is gone, but what it latched stays."""

    def on_over(self, cause: Cause) -> None:
        """A cause is gone and blocks nothing."""

    def on_isolated(self, connector: Connector, now: Moment) -> None:
        """The contactor above a connector was opened because its stop was not proven."""

    def on_confirmed(self, connector: Connector, at: Moment) -> None:
        """A stop was proven."""

    def on_drill_started(self, now: Moment) -> None:
        """A drill has begun."""

    def on_drill(self, finished: DrillFinished) -> None:
        """A drill is over."""
