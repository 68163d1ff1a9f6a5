"""Looks at the protection itself: channels, self-test, drill, and what the loudspeaker says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.reports import OutputRead
from edge.safety.causes import Cause, CauseKey, Connector, Hearer, rank
from edge.safety.drill import DRILLED, Drill, DrillError
from edge.safety.hands import Hands
from edge.safety.interlock import STATION, Action
from edge.safety.latches import place_covers
from edge.safety.proof import (
    SCREEN,
    SPEAKER,
    STORAGE,
    Channel,
    ChannelKind,
    Proof,
    devices_of,
    output,
)
from edge.safety.speaker import DRILL_MESSAGE, Speaker
from edge.sound.messages import GENERAL
from shared.contracts.protection import Output, OutputKind, Protection
from shared.contracts.words import Severity
from shared.ids import uuid7

EMERGENCY = "emergency_stop"
"""Code of what HQ orders."""
SELF_TEST = "self_test"
DEGRADED = "protection_degraded"
LINE_DOWN = "line_down"
MODULE_DOWN = "output_module_down"
SCREEN_SILENT = "kiosk_silent"
_OBJECT = "station"
_SCREEN_GAP_S = 5.0
_SCREEN_STAYS_S = 60.0
"""A screen that has watched for so long belongs to the station."""
_SILENCES = frozenset({"detector_fault", "sensor_silent"})
"""Alarms that say of a device that it is lost."""
_DEVICE_FAULTS = _SILENCES | {"sensor_stuck", DEGRADED}
"""Alarms of a device itself, not of what it sees."""


class Watch:
    """What is lost, what is tried, what is said."""

    def __init__(self, hands: Hands, proof: Proof, speaker: Speaker, hearer: Hearer) -> None:
        self._hands = hands
        self._proof = proof
        self._speaker = speaker
        self._hearer = hearer
        self._drill: Drill | None = None
        self._has_speaker = False
        self._screen_s = self._screen_since_s = -_SCREEN_STAYS_S
        self._lines_with_outputs: set[str] = set()
        self._carried: dict[str, list[str]] = {}
        """By device, the outputs that fail with it."""
        self._told: set[CauseKey] = set()
        """What was lost at the last look."""
        self.storage_failed: Callable[[], str] = str
        """Says why the store fails, "" while it works."""
        hands.is_explained = self._explains_output
        hands.on_danger = self._on_danger
        proof.add(STORAGE, ChannelKind.STORAGE, "存储", "Storage")

    def configure(self, protection: Protection) -> None:
        """Take another document."""
        kinds = {each.kind for each in protection.outputs}
        self._has_speaker = OutputKind.SPEAKER in kinds
        if self._has_speaker:
            self._proof.add(SPEAKER, ChannelKind.SPEAKER, "扬声器", "Loudspeaker")
        else:
            self._proof.remove(SPEAKER)
        lines = {device.name: device.line for device in protection.devices}
        devices = {each.device for each in protection.outputs if each.device}
        self._carried = {}
        for each in protection.outputs:
            for device in devices_of(each):
                self._carried.setdefault(device, []).append(each.name)
        self._lines_with_outputs = {f"channel:{lines.get(device, '')}" for device in devices}

    def on_output(self, report: OutputRead) -> None:
        """A read-back came: it proves the output where it agrees."""
        name, outputs = output(report.output), self._hands.outputs
        if report.on is None:
            self._proof.failed(name, "unreadable")
        elif fault := outputs.fault(report.output):
            self._proof.failed(name, fault)
        elif outputs.agrees_since_s(report.output) is not None:
            self._proof.alive(name, report.at)

    def on_screen(self, now: Moment) -> None:
        """A screen took what it was shown."""
        if now.mono_s - self._screen_s > _SCREEN_GAP_S:
            self._screen_since_s = now.mono_s
        self._screen_s = now.mono_s
        if now.mono_s - self._screen_since_s >= _SCREEN_STAYS_S:
            # Who only looks in is missed by nobody.
            self._proof.add(SCREEN, ChannelKind.SCREEN, "场站屏幕", "Station screen")
        self._proof.alive(SCREEN, now)

    # Once a second

    def look(self, now: Moment) -> None:
        """Raise what is lost, end what is back."""
        before, self._told = self._told, set()
        self._look_at_own(now)
        for channel in self._proof.channels():
            self._look_at(channel, now)
        for spec in self._hands.outputs.specs():
            if fault := self._hands.outputs.fault(spec.name):
                on = self._hands.outputs.fault_on(spec.name)
                self._hands.output_fault(spec, fault, now, on=on, active=True)
        waiting = self._proof.self_test_waits_for()
        names = ", ".join(channel.name for channel in waiting)
        self._hands.notice(SELF_TEST, _OBJECT, now, {"channel": names}, active=bool(waiting))
        for code, object_ in before - self._told:
            # It is back, or its document is gone.
            self._hands.notice(code, object_, now, {}, active=False)

    def _tell(
        self,
        code: str,
        object_: str,
        now: Moment,
        params: dict[str, str],
        *,
        lost: bool,
        severity: Severity | None = None,
    ) -> None:
        if lost:
            self._told.add((code, object_))
        self._hands.notice(code, object_, now, params, active=lost, severity=severity)

    def _look_at_own(self, now: Moment) -> None:
        for name, reason in ((STORAGE, self.storage_failed()), (SPEAKER, self._speaker.reason)):
            if reason:
                self._proof.failed(name, reason)
            else:
                self._proof.alive(name, now)

    def _look_at(self, channel: Channel, now: Moment) -> None:
        lost = self._proof.is_lost(channel, now)
        params = {"channel": channel.name.partition(":")[2]}
        match channel.kind:
            case ChannelKind.STORAGE:
                return  # has an alarm of its own
            case ChannelKind.LINE:
                has_outputs = channel.name in self._lines_with_outputs
                severity = Severity.CRITICAL if has_outputs else Severity.MAJOR
                params = {"line": params["channel"]}
                self._tell(LINE_DOWN, channel.name, now, params, lost=lost, severity=severity)
                return
            case ChannelKind.SCREEN:
                self._tell(SCREEN_SILENT, channel.name, now, params, lost=lost)
                return
            case ChannelKind.MODULE:
                self._look_at_module(params["channel"], now, lost=lost)
                return
            case ChannelKind.OUTPUT:
                name = params["channel"]
                lost = lost and not (self._hands.outputs.fault(name) or self._hangs(name, now))
            case ChannelKind.SENSOR:
                lost = lost and not self._is_explained(channel)
            case ChannelKind.SPEAKER:
                pass
        self._tell(DEGRADED, channel.name, now, params, lost=lost)

    def _look_at_module(self, device: str, now: Moment, *, lost: bool) -> None:
        params = {"outputs": ", ".join(self._carried.get(device, ()))}
        lost = lost and not self._proof.line_is_down(device)
        self._tell(MODULE_DOWN, f"sensor:{device}", now, params, lost=lost)

    def _hangs(self, name: str, now: Moment) -> bool:
        """Whether an output cannot be read because something else failed."""
        return any(
            self._explains_output(spec, "unreadable", now)
            for spec in self._hands.outputs.specs()
            if spec.name == name
        )

    def _explains_output(self, spec: Output, reason: str, now: Moment) -> bool:
        """Whether the alarm of its line or module says already why an output fails."""
        if self._proof.line_is_down(spec.device) or self._proof.module_fails(spec.device, now):
            return True
        readers = devices_of(spec)[1:] if reason == "unreadable" else ()
        return any(self._proof.module_fails(reader, now) for reader in readers)

    def _is_explained(self, channel: Channel) -> bool:
        """Whether an alarm of a rule, or of the line, says already that this device is lost."""
        if self._proof.line_is_down(channel.name.partition(":")[2]):
            return True
        return any(
            cause.active and cause.code in _SILENCES and _channel_of(cause) == channel.name
            for cause in self._hands.causes.values()
        )

    # Starts

    def refuses(self, connector: Connector) -> str:
        """Return why nothing new may start at a connector, "" when it may."""
        if self._proof.self_test_waits_for():
            return SELF_TEST
        for cause in self._refusing():
            if any(place_covers(place, connector) for place in cause.action.no_new_starts):
                return cause.code
        return ""

    @property
    def starts_refused(self) -> str:
        """Why nothing new may start anywhere, "" when it may somewhere."""
        if self._proof.self_test_waits_for():
            return SELF_TEST
        for cause in self._refusing():
            if STATION in cause.action.no_new_starts:
                return cause.code
        return ""

    def _refusing(self) -> Iterator[Cause]:
        """Yield what refuses starts: a device that fails only where no other watches as well."""
        active = [cause for cause in self._hands.causes.values() if cause.active]
        faulty = {_channel_of(cause) for cause in active if cause.code in _DEVICE_FAULTS}
        for cause in active:
            fails = cause.code in _DEVICE_FAULTS
            if not (fails and self._proof.is_covered(_channel_of(cause), faulty=faulty)):
                yield cause

    # Drill

    @property
    def drill_running(self) -> bool:
        """Whether a drill is under way."""
        return self._drill is not None

    @property
    def can_drill(self) -> bool:
        """Whether there is something to try."""
        kinds = {spec.kind for spec in self._hands.outputs.specs()}
        return self._has_speaker or bool(kinds & DRILLED)

    def start_drill(self, by: str, now: Moment) -> None:
        """Try sirens, strobes and loudspeaker one after the other.

        Raises:
            DrillError: One runs, something real is wrong, or there is nothing to try.
        """
        if self._drill is not None:
            raise DrillError("drill_running", "drill: one is under way")
        actions = [cause.action for cause in self._hands.causes.values()]
        if any(each.stops or each.sirens for each in actions):
            raise DrillError("drill_alarm", "drill: not while an alarm stands")
        self._drill = Drill(
            uuid7(now.wall_ms),
            by,
            self._hands.outputs.specs(),
            now,
            with_speaker=self._has_speaker,
        )
        self._hands.tell(self._hearer.on_drill_started, now)
        self._hands.tell_all()

    def _on_danger(self, now: Moment) -> None:
        if self._drill is not None:
            drill, self._drill = self._drill, None
            self._hands.tell(self._hearer.on_drill, drill.abort(self._hands.outputs, now))
        self.speak()

    def tick(self, now: Moment) -> None:
        """Go on with the drill, and with what is said."""
        if self._drill is not None:
            finished = self._drill.step(self._hands.outputs, self._speaker, now)
            if finished is not None:
                self._drill = None
                self._hands.tell(self._hearer.on_drill, finished)
        self.speak()

    # Loudspeaker

    def speak(self) -> None:
        """Say what matters most: the worst cause, of two alike the later one.

        What was noticed here comes before an order of HQ that is as grave: people must leave
        the smoke, whoever stopped the charging.
        """
        if self._drill is not None and self._drill.speaks:
            self._speaker.say(DRILL_MESSAGE)
            return
        wanted = [
            (rank(cause.code, cause.severity), _turn(cause), cause.action.message)
            for cause in self._hands.causes.values()
            if self._is_said(cause.key, cause.action)
        ]
        if wanted:
            self._speaker.say(min(wanted)[-1])
        else:
            needed = self._has_speaker and self._hands.outputs.speaker_needed
            self._speaker.say(GENERAL if needed else "")

    def _is_said(self, key: CauseKey, action: Action) -> bool:
        return bool(action.message and action.speakers) and not (
            self._hands.outputs.is_silenced(key)
        )


def _channel_of(cause: Cause) -> str:
    """Return the channel of the device that a cause was noticed at, or by."""
    return cause.object.partition("/")[0]


def _turn(cause: Cause) -> float:
    return math.inf if cause.ordered else -cause.at.mono_s
