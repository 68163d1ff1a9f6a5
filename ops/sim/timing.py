"""How fast a simulated charge point acts, and its named timers.

Timers run on monotonic time, which a scaled wall clock leaves alone; a demo that scales its
wall clock therefore uses the `FAST` profile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingProfile:
    """Periods and limits in seconds; `NORMAL` has the protocol's own figures.

    Attributes:
        record_retry_s: Between the first sending of a record and its three retries.
        record_last_s: From the last of those retries to the very last one.
        step_s: How often a running charge is brought up to date between two reports.
        ramp_down_s: From a stop to zero current.
        plug_wait_s: How long a remote start waits for the plug.
        start_answer_s: How long a start request waits for the platform.
    """

    name: str
    heartbeat_s: float
    login_retry_s: float
    tariff_retry_s: float
    idle_report_s: float
    charging_report_s: float
    record_retry_s: float
    record_last_s: float
    step_s: float
    ramp_down_s: float
    start_s: float
    start_answer_s: float
    plug_wait_s: float
    reboot_s: float
    update_s: float
    bay_lock_s: float
    bay_lock_report_s: float
    reconnect_first_s: float
    reconnect_max_s: float
    record_retries: int = 3
    heartbeats_missed_max: int = 3


NORMAL = TimingProfile(
    name="normal",
    heartbeat_s=10,
    login_retry_s=10,
    tariff_retry_s=10,
    idle_report_s=300,
    charging_report_s=15,
    record_retry_s=30,
    record_last_s=300,
    step_s=1,
    ramp_down_s=0.2,
    start_s=2,
    start_answer_s=10,
    plug_wait_s=60,
    reboot_s=5,
    update_s=10,
    bay_lock_s=3,
    bay_lock_report_s=300,
    reconnect_first_s=1,
    reconnect_max_s=30,
)
FAST = TimingProfile(
    name="fast",
    heartbeat_s=1,
    login_retry_s=1,
    tariff_retry_s=1,
    idle_report_s=5,
    charging_report_s=0.5,
    record_retry_s=2,
    record_last_s=20,
    step_s=0.1,
    ramp_down_s=0.05,
    start_s=0.05,
    start_answer_s=5,
    plug_wait_s=6,
    reboot_s=0.3,
    update_s=0.3,
    bay_lock_s=0.1,
    bay_lock_report_s=5,
    reconnect_first_s=0.1,
    reconnect_max_s=1,
)
PROFILES = {profile.name: profile for profile in (NORMAL, FAST)}


class Timers:
    """Named one-shot timers of one charge point.

    Whoever owns the loop sets `on_change`, and calls `run_due` at or after `next_due_s`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[str, tuple[float, Callable[[], None]]] = {}
        self.on_change: Callable[[], None] | None = None

    def set(self, name: str, delay_s: float, act: Callable[[], None]) -> None:
        """Call `act` once after `delay_s`; replaces a timer of the same name."""
        self._due[name] = (self._clock.monotonic_s() + delay_s, act)
        if self.on_change is not None:
            self.on_change()

    def cancel(self, name: str) -> None:
        """Forget a timer, if there is one."""
        self._due.pop(name, None)

    def cancel_all(self, prefix: str) -> None:
        """Forget every timer whose name begins with `prefix`."""
        for name in [name for name in self._due if name.startswith(prefix)]:
            del self._due[name]

    def running(self, name: str) -> bool:
        """Tell whether a timer of that name is set."""
        return name in self._due

    def next_due_s(self) -> float | None:
        """Return the monotonic instant of the earliest timer, None without timers."""
        return min((due_s for due_s, _ in self._due.values()), default=None)

    def run_due(self) -> None:
        """Run what is due by now, earliest first. What that sets for now runs too."""
        while self._due:
            name, (due_s, act) = min(self._due.items(), key=lambda item: item[1][0])
            if due_s > self._clock.monotonic_s():
                return
            del self._due[name]
            act()
