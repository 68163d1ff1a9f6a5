"""The stop ladder: a stop counts only when current is seen to be zero.

0x36 goes out at once; the connector is asked for its values; 0x36 is repeated; what still flows
at the end is a critical alarm. The ladder sends through the function that it is given, in the
same call in which it is started, before anything else happens.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from edge.devices.chargers.reports import ConnectorSampled, Moment
from edge.devices.chargers.wishes import AnyWish, ReadNow, StopRemotely

ORDINARY = "stop"
"""Cause of a stop that somebody wanted, or a limit: no danger, nothing is blocked."""
ZERO_CURRENT_DA = 10
"""Below 1 A counts as zero."""

Connector = tuple[str, int]


class Rungs(Struct, frozen=True):
    """When what happens, seconds after the first stop frame."""

    read_first_s: float = 0.5
    read_again_s: float = 1.0
    stop_again_s: tuple[float, ...] = (2.0, 4.0, 6.0)
    failed_s: float = 10.0
    repeat_s: float = 10.0
    """After the end: what still flows is stopped again so often, for as long as it flows."""


class Climb(Struct):
    """One stop on its way."""

    connector: Connector
    cause: str
    started: Moment
    next_read_s: float
    next_stop_s: float
    stops_sent: int = 1
    failed: bool = False


class Confirmed(Struct, frozen=True):
    """Current was seen to be zero, so many milliseconds after the first stop frame."""

    connector: Connector
    cause: str
    started: Moment
    zero_current_ms: int


class NotConfirmed(Struct, frozen=True):
    """The ladder came to its end and current still flows, or nobody knows."""

    connector: Connector
    cause: str


class StopLadder:
    """All stops that are not yet confirmed."""

    def __init__(self, send: Callable[[AnyWish], bool], rungs: Rungs) -> None:
        self._send = send
        self._rungs = rungs
        self._climbs: dict[Connector, Climb] = {}

    @property
    def busy(self) -> bool:
        """Whether a stop is waiting for its proof."""
        return bool(self._climbs)

    def climbing(self, connector: Connector) -> bool:
        """Whether a stop of this connector waits for its proof."""
        return connector in self._climbs

    def start(self, connector: Connector, cause: str, now: Moment) -> None:
        """Send a stop now and follow it; one that runs for the same cause is only sent again."""
        self._stop(connector)
        climb = self._climbs.get(connector)
        if climb is not None and (climb.cause == cause or cause == ORDINARY):
            return
        self._climbs[connector] = Climb(
            connector,
            cause,
            now,
            next_read_s=now.mono_s + self._rungs.read_first_s,
            next_stop_s=now.mono_s + self._next_stop_after(1),
        )

    def on_lost(self, charge_point_no: str) -> None:
        """Forget ordinary stops of a lost link: another vehicle may charge when it is back.

        Who wanted them asks again while the transaction runs. Others go on until proven.
        """
        for connector, climb in list(self._climbs.items()):
            if connector[0] == charge_point_no and climb.cause == ORDINARY:
                del self._climbs[connector]

    def on_back(self, charge_point_no: str) -> None:
        """Send what still waits for its proof again: the link is back."""
        for connector in self._climbs:
            if connector[0] == charge_point_no:
                self._stop(connector)

    def _next_stop_after(self, stops_sent: int) -> float:
        """Return when the next stop is due, seconds after the first."""
        again = self._rungs.stop_again_s
        if stops_sent <= len(again):
            return again[stops_sent - 1]
        return self._rungs.failed_s + self._rungs.repeat_s * (stops_sent - len(again))

    def on_sample(self, sample: ConnectorSampled) -> Confirmed | None:
        """Take in what a connector reports; the proof when it is the one that is waited for."""
        climb = self._climbs.get((sample.charge_point_no, sample.connector_no))
        if climb is None or sample.replayed or sample.at.mono_s <= climb.started.mono_s:
            return None
        if sample.current_da >= ZERO_CURRENT_DA:
            return None
        del self._climbs[climb.connector]
        passed_ms = int((sample.at.mono_s - climb.started.mono_s) * 1000)
        return Confirmed(climb.connector, climb.cause, climb.started, passed_ms)

    def tick(self, now: Moment) -> list[NotConfirmed]:
        """Climb; call this several times a second while `busy`."""
        failed = []
        for climb in list(self._climbs.values()):
            passed_s = now.mono_s - climb.started.mono_s
            if now.mono_s >= climb.next_stop_s:
                climb.stops_sent += 1
                climb.next_stop_s = climb.started.mono_s + self._next_stop_after(climb.stops_sent)
                self._stop(climb.connector)
            if now.mono_s >= climb.next_read_s:
                climb.next_read_s = now.mono_s + self._rungs.read_again_s
                number, connector_no = climb.connector
                self._send(ReadNow(charge_point_no=number, connector_no=connector_no))
            if passed_s >= self._rungs.failed_s and not climb.failed:
                # It stays on the ladder: the proof may still come, and then clears the alarm.
                climb.failed = True
                failed.append(NotConfirmed(climb.connector, climb.cause))
        return failed

    def _stop(self, connector: Connector) -> None:
        self._send(StopRemotely(charge_point_no=connector[0], connector_no=connector[1]))
