"""The stop ladder: a stop counts only when current is seen to be zero.

0x36 goes out at once; the connector is asked for its values; 0x36 is repeated; while current
flows, or nobody knows, the contactor is opened; what still flows at the end is a critical alarm.
The ladder sends through the function that it is given, in the same call in which it is started,
before anything else happens.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from edge.devices.chargers.reports import ConnectorSampled, Moment, WireState
from edge.devices.chargers.wishes import AnyWish, ReadNow, StopRemotely
from shared.contracts.protection import OpenContactor

ORDINARY = "stop"
"""Cause of a stop that somebody wanted, or a limit: no danger, nothing is blocked."""
ZERO_CURRENT_DA = 10
"""Below 1 A counts as zero."""
_ZERO_A = 1.0
_METER_FRESH_S = 2.0

Connector = tuple[str, int]


class Rungs(Struct, frozen=True):
    """When what happens, seconds after the first stop frame."""

    read_first_s: float = 0.5
    read_again_s: float = 1.0
    stop_again_s: tuple[float, ...] = (2.0, 4.0, 6.0)
    contactor_s: float = 6.0
    failed_s: float = 10.0
    repeat_s: float = 10.0
    """After the end: what still flows is stopped again so often, for as long as it flows."""
    contactor_works_s: float = 2.0
    """Current that flows longer than this after the contactor was told: it did not open."""


class Climb(Struct):
    """One stop on its way."""

    connector: Connector
    cause: str
    started: Moment
    next_read_s: float
    next_stop_s: float
    contactor: OpenContactor
    stops_sent: int = 1
    failed: bool = False
    isolated_s: float | None = None
    """When the contactor was told to open."""
    flowed_s: float | None = None
    """When current was last seen."""
    was_at_rest: bool = False
    """Nothing charged there when it was told to stop."""


class Confirmed(Struct, frozen=True):
    """Current was seen to be zero; or nothing can flow: the contactor reads open (`isolated`)."""

    connector: Connector
    cause: str
    at: Moment
    isolated: bool = False
    was_zero: bool = False
    """It was without current already when it was told to stop."""


class Steps(Struct):
    """What a tick of the ladder found: contactors to open, stops and contactors that failed."""

    isolate: list[Climb]
    not_confirmed: list[Climb]
    still_flows: list[Climb]


class StopLadder:
    """All stops that are not yet confirmed."""

    def __init__(self, send: Callable[[AnyWish], bool], rungs: Rungs) -> None:
        self._send = send
        self._rungs = rungs
        self._climbs: dict[Connector, Climb] = {}
        self._lost: set[str] = set()
        self._at_rest: set[Connector] = set()
        # Ampere by connector and meter point, and when it was read.
        self._meters: dict[Connector, dict[str, tuple[float, float]]] = {}

    @property
    def busy(self) -> bool:
        """Whether a stop is waiting for its proof."""
        return bool(self._climbs)

    def climbing(self, connector: Connector) -> bool:
        """Whether a stop of this connector waits for its proof."""
        return connector in self._climbs

    def climbing_for_danger(self, connector: Connector) -> bool:
        """Whether a stop that opens the contactor in the end waits for its proof."""
        climb = self._climbs.get(connector)
        return climb is not None and climb.cause != ORDINARY

    def climbs(self) -> list[Climb]:
        """Return all stops that wait for their proof."""
        return list(self._climbs.values())

    def start(
        self,
        connector: Connector,
        cause: str,
        now: Moment,
        contactor: OpenContactor = OpenContactor.UNCONFIRMED,
    ) -> bool:
        """Send a stop now and follow it; whether the frame could be written.

        A stop that climbs already for a danger goes on as it is, with the stricter contactor; an
        ordinary one never opens a contactor.
        """
        sent = self._stop(connector)
        climb = self._climbs.get(connector)
        if climb is not None and (climb.cause != ORDINARY or cause == ORDINARY):
            if contactor is not OpenContactor.NEVER and cause != ORDINARY:
                climb.contactor = max(climb.contactor, contactor, key=_STRICTNESS.index)
            return sent
        self._climbs[connector] = Climb(
            connector,
            cause,
            now,
            next_read_s=now.mono_s + self._rungs.read_first_s,
            next_stop_s=now.mono_s + self._next_stop_after(1),
            contactor=OpenContactor.NEVER if cause == ORDINARY else contactor,
            was_at_rest=connector in self._at_rest,
        )
        return sent

    def on_lost(self, charge_point_no: str) -> list[Climb]:
        """Forget ordinary stops of a lost link: another vehicle may charge when it is back.

        Who wanted them asks again while the transaction runs. Others go on until proven; returned
        are those whose contactor is to be opened now, because nobody can see what flows.
        """
        self._lost.add(charge_point_no)
        self._at_rest = {each for each in self._at_rest if each[0] != charge_point_no}
        blind = []
        for connector, climb in list(self._climbs.items()):
            if connector[0] != charge_point_no:
                continue
            if climb.cause == ORDINARY:
                del self._climbs[connector]
            elif self._may_isolate(climb):
                blind.append(climb)
        return blind

    def forget(self, charge_point_no: str) -> None:
        """Give up what nobody will ever prove: the charge point is no longer ours."""
        for connector in [each for each in self._climbs if each[0] == charge_point_no]:
            del self._climbs[connector]

    def on_back(self, charge_point_no: str) -> None:
        """Send what still waits for its proof again: the link is back."""
        self._lost.discard(charge_point_no)
        for connector in self._climbs:
            if connector[0] == charge_point_no:
                self._stop(connector)

    def isolated(self, connector: Connector, now: Moment) -> None:
        """Note that the contactor above a connector was told to open."""
        climb = self._climbs.get(connector)
        if climb is not None and climb.isolated_s is None:
            climb.isolated_s = now.mono_s

    def closed(self, connector: Connector) -> None:
        """Note that the contactor was closed again: what still flows opens it again."""
        if climb := self._climbs.get(connector):
            climb.isolated_s = None

    def _next_stop_after(self, stops_sent: int) -> float:
        """Return when the next stop is due, seconds after the first."""
        again = self._rungs.stop_again_s
        if stops_sent <= len(again):
            return again[stops_sent - 1]
        return self._rungs.failed_s + self._rungs.repeat_s * (stops_sent - len(again))

    # Proof

    def on_sample(self, sample: ConnectorSampled) -> Confirmed | None:
        """Take in what a connector reports; the proof when it is the one that is waited for.

        A charge point that says zero is not believed while the connector's own meter counts.
        """
        if sample.replayed:
            return None
        connector = (sample.charge_point_no, sample.connector_no)
        flows = sample.current_da >= ZERO_CURRENT_DA
        if flows or sample.state is WireState.CHARGING:
            self._at_rest.discard(connector)
        elif not self._meter_flows(connector, sample.at.mono_s):
            self._at_rest.add(connector)
        climb = self._climbs.get(connector)
        if climb is None or sample.at.mono_s <= climb.started.mono_s:
            return None
        if flows:
            climb.flowed_s = sample.at.mono_s
            return None
        if self._meter_flows(climb.connector, sample.at.mono_s):
            return None
        return self._confirm(climb, sample.at)

    def on_meter(self, connector: Connector, point: str, ampere: float, at: Moment) -> (
        Confirmed | None
    ):  # fmt: skip
        """Take in a reading of a connector's own meter; the proof when all its phases are zero."""
        self._meters.setdefault(connector, {})[point] = (ampere, at.mono_s)
        if abs(ampere) >= _ZERO_A:
            self._at_rest.discard(connector)
        climb = self._climbs.get(connector)
        if climb is None or at.mono_s <= climb.started.mono_s:
            return None
        if self._meter_flows(connector, at.mono_s):
            climb.flowed_s = at.mono_s
            return None
        readings = self._meters[connector].values()
        if any(read_s <= climb.started.mono_s for _, read_s in readings):
            return None
        return self._confirm(climb, at)

    def on_vehicle(self, connector: Connector) -> None:
        """A vehicle speaks: charging begins there, or goes on."""
        self._at_rest.discard(connector)

    def on_open(self, connector: Connector, at: Moment) -> Confirmed | None:
        """The contactor above a connector reads open: the proof where the charge point is gone."""
        climb = self._climbs.get(connector)
        if climb is None or connector[0] not in self._lost or climb.isolated_s is None:
            return None
        if self._meter_flows(connector, at.mono_s):
            return None
        return self._confirm(climb, at, isolated=True)

    def _confirm(self, climb: Climb, at: Moment, *, isolated: bool = False) -> Confirmed:
        del self._climbs[climb.connector]
        was_zero = climb.was_at_rest and climb.flowed_s is None
        return Confirmed(climb.connector, climb.cause, at, isolated, was_zero)

    def _meter_flows(self, connector: Connector, mono_s: float) -> bool:
        readings = self._meters.get(connector)
        return readings is not None and any(
            abs(ampere) >= _ZERO_A and mono_s - read_s <= _METER_FRESH_S
            for ampere, read_s in readings.values()
        )

    # Time

    def tick(self, now: Moment) -> Steps:
        """Climb; call this several times a second while `busy`."""
        steps = Steps([], [], [])
        for climb in list(self._climbs.values()):
            self._repeat(climb, now)
            passed_s = now.mono_s - climb.started.mono_s
            if passed_s >= self._rungs.contactor_s and self._may_isolate(climb):
                steps.isolate.append(climb)
            if self._still_flows(climb):
                steps.still_flows.append(climb)
            if passed_s >= self._rungs.failed_s and not climb.failed:
                # It stays on the ladder: the proof may still come, and then clears the alarm.
                climb.failed = True
                steps.not_confirmed.append(climb)
        return steps

    def _repeat(self, climb: Climb, now: Moment) -> None:
        if now.mono_s >= climb.next_stop_s:
            climb.stops_sent += 1
            climb.next_stop_s = climb.started.mono_s + self._next_stop_after(climb.stops_sent)
            self._stop(climb.connector)
        if now.mono_s >= climb.next_read_s:
            climb.next_read_s = now.mono_s + self._rungs.read_again_s
            number, connector_no = climb.connector
            self._send(ReadNow(charge_point_no=number, connector_no=connector_no))

    def _may_isolate(self, climb: Climb) -> bool:
        return climb.contactor is not OpenContactor.NEVER and climb.isolated_s is None

    def _still_flows(self, climb: Climb) -> bool:
        if climb.isolated_s is None or climb.flowed_s is None:
            return False
        return climb.flowed_s - climb.isolated_s > self._rungs.contactor_works_s

    def _stop(self, connector: Connector) -> bool:
        number, connector_no = connector
        sent = self._send(StopRemotely(charge_point_no=number, connector_no=connector_no))
        if sent:
            self._lost.discard(number)
        else:
            self._lost.add(number)
        return sent


_STRICTNESS = (OpenContactor.NEVER, OpenContactor.UNCONFIRMED, OpenContactor.AT_ONCE)
