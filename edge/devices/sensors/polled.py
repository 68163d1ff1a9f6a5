"""One device as its line sees it: whether it answers, and when it is asked again. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from msgspec import Struct

from edge.devices.sensors.plan import PlannedDevice, Read

MISSES_MAX = 3
PROBE_FIRST_S, PROBE_MAX_S = 1.0, 30.0
LATE_S = 0.3
"""How long an answer may still be on its way that could be taken for another's."""
STALE_PERIODS = 3
STALE_MIN_S = 1.0


class DeviceState(Struct, frozen=True, kw_only=True):
    """A device, for diagnostics; `answering` None: not yet known."""

    name: str
    unit_id: int
    answering: bool | None
    polls: int
    errors: int
    last_error: str


@dataclass(slots=True)
class Polled:
    """Times are monotonic seconds. `answering` is what was told; who tells sets it."""

    planned: PlannedDevice
    answering: bool | None = None
    misses: int = 0
    polls: int = 0
    errors: int = 0
    last_error: str = ""
    probe_at_s: float = 0.0
    probe_every_s: float = PROBE_FIRST_S
    not_before_s: float = 0.0
    told_s: float = 0.0
    """When all its points were last told as unanswered."""
    due_s: dict[Read, float] = field(default_factory=dict)
    """When each request is due that is not of the safety round."""
    reported_s: dict[Read, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, planned: PlannedDevice, old: Polled | None, now_s: float) -> Polled:
        """Return a device of a new plan; what is known of an unchanged one is kept."""
        device = cls(planned)
        if old is not None and old.planned.device == planned.device:
            device.answering, device.misses = old.answering, old.misses
            device.polls, device.errors = old.polls, old.errors
            device.last_error = old.last_error
            device.probe_at_s, device.probe_every_s = old.probe_at_s, old.probe_every_s
            device.not_before_s = old.not_before_s
        device.due_s = {read: now_s for read in planned.reads if not read.is_safety}
        device.reported_s = dict.fromkeys(planned.reads, now_s)
        return device

    @property
    def name(self) -> str:
        """Its name in the document."""
        return self.planned.device.name

    @property
    def is_dead(self) -> bool:
        """Whether it was silent so often running that it is only probed."""
        return self.misses >= MISSES_MAX

    def answered(self, read: Read, now_s: float) -> None:
        """Take in an answer, be it a refusal; one that was dead is read whole at once."""
        if self.is_dead:
            self.due_s = dict.fromkeys(self.due_s, now_s)
        self.misses = 0
        self.probe_every_s = PROBE_FIRST_S
        if read in self.due_s:
            self.due_s[read] = now_s + read.period_s

    def missed(self, read: Read, now_s: float, *, may_be_late: bool) -> None:
        """Take in a silence; `may_be_late`: an answer may come yet that names no request."""
        self.errors += 1
        if read in self.due_s:
            self.due_s[read] = now_s + read.period_s
        if self.is_dead:
            self.probe_every_s = min(2 * self.probe_every_s, PROBE_MAX_S)
        else:
            self.misses += 1
            self.probe_every_s = PROBE_FIRST_S
        self.probe_at_s = now_s + self.probe_every_s
        if may_be_late and self.planned.is_ambiguous:
            self.not_before_s = now_s + LATE_S

    def failed(self, reason: str) -> None:
        """Count an error that says nothing about whether it lives."""
        self.errors += 1
        self.last_error = reason

    def turns(self) -> Iterator[tuple[float, Polled, Read]]:
        """Yield what it is asked outside the safety round, with the time from which on."""
        if self.is_dead:
            yield self.probe_at_s, self, self.planned.reads[0]
            return
        for read, due_s in self.due_s.items():
            yield max(due_s, self.not_before_s), self, read

    def stale(self, now_s: float) -> list[Read]:
        """Return the requests of which nothing was told for three of their periods."""
        return [
            read
            for read, reported_s in self.reported_s.items()
            if now_s - reported_s > max(STALE_PERIODS * read.period_s, STALE_MIN_S)
        ]

    def state(self) -> DeviceState:
        """Return it for diagnostics."""
        return DeviceState(
            name=self.name,
            unit_id=self.planned.device.unit_id,
            answering=self.answering,
            polls=self.polls,
            errors=self.errors,
            last_error=self.last_error,
        )
