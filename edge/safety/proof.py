"""Silence is an alarm: every safety channel proves that it lives, or protection is degraded.

A channel is whatever must work for people to be protected: a safety device, an output that reads
back, a line, the loudspeaker, the screen, the store. Each has an age limit or says itself that it
fails. After an unclean stop each must have proven itself once before anything new starts.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.profile import Profile
from edge.devices.sensors.reports import PointSampled
from edge.view import ChannelView
from shared.contracts.protection import (
    Device,
    Output,
    OutputKind,
    Protection,
    Quality,
    Quantity,
)

SPEAKER = "channel:speaker"
SCREEN = "channel:screen"
STORAGE = "channel:storage"
_AGE_MAX_S = 2.0
_SCREEN_AGE_MAX_S = 10.0
_GRACE_S = 5.0
"""Until a channel that has never proven itself is called lost: lines connect first."""
_TELL_S = 2.0
"""Rules that know more of a cause are heard first."""
_SETTLES_S = 2.0
"""A module that is back is told anew what its outputs should do, and needs a moment for it."""
_BAD_MAX = 3
"""Polls in a row without a usable value."""


class ChannelKind(StrEnum):
    """What kind of thing a channel is."""

    SENSOR = "sensor"
    OUTPUT = "output"
    LINE = "line"
    MODULE = "module"
    SPEAKER = "speaker"
    SCREEN = "screen"
    STORAGE = "storage"


_TESTED = frozenset({ChannelKind.SENSOR, ChannelKind.OUTPUT})
_CARRIES = frozenset({ChannelKind.LINE, ChannelKind.MODULE})


class Channel(Struct, kw_only=True):
    """One safety channel; `name` is the object of its alarm.

    `age_max_s` None: it says itself when it fails. `zone` "" concerns the whole station.
    """

    name: str
    kind: ChannelKind
    title_zh: str
    title_en: str
    zone: str = ""
    quantities: frozenset[Quantity] = frozenset()
    age_max_s: float | None = _AGE_MAX_S
    last_s: float | None = None
    bad: int = 0
    reason: str = "waiting"
    """Why it is not ok; "" while it is."""
    proven: bool = False
    lost_s: float | None = None
    """Since when it is not ok."""
    shaky_s: float | None = None
    """A line or module: since when it is not ok, or was so a moment ago."""

    @property
    def ok(self) -> bool:
        """Whether it has proven itself and not failed since."""
        return not self.reason


class Proof:
    """All channels of a protection document, and those that every station has."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._by_device: dict[str, Channel] = {}
        self._safety_points: set[tuple[str, str]] = set()
        self._device_lines: dict[str, str] = {}
        self._silent_devices: set[str] = set()
        self._answers_since: dict[str, Moment] = {}
        """Devices that answer; each says so once, whatever documents come after."""
        self._self_test = False

    def configure(self, protection: Protection, profiles: Mapping[str, Profile]) -> None:
        """Take the channels of a document; those that were there keep what is known of them."""
        before = self._channels
        made = [
            *_of_lines(protection),
            *_of_modules(protection),
            *_of_devices(protection.devices, profiles),
            *_of_outputs(protection),
        ]
        kept = [before[name] for name in (SPEAKER, SCREEN, STORAGE) if name in before]
        self._channels = {each.name: before.get(each.name, each) for each in made}
        for each in made:
            known = self._channels[each.name]
            known.zone, known.quantities = each.zone, each.quantities
            known.title_zh, known.title_en = each.title_zh, each.title_en
        self._channels |= {each.name: each for each in kept}
        self._device_lines = {device.name: device.line for device in protection.devices}
        self._silent_devices &= self._device_lines.keys()
        self._answers_since = {
            name: at for name, at in self._answers_since.items() if name in self._device_lines
        }
        for name, at in self._answers_since.items():
            if (channel := self._channels.get(module(name))) and channel.reason == "waiting":
                _prove(channel, at)
        self._by_device = {
            device.name: channel
            for device in protection.devices
            if (channel := self._channels.get(sensor(device.name)))
        }
        self._safety_points = {
            (device.name, point.name)
            for device in protection.devices
            if device.name in self._by_device and device.profile in profiles
            for point in profiles[device.profile].points
            if point.safety
        }

    def remove(self, name: str) -> None:
        """Watch a channel no more."""
        self._channels.pop(name, None)

    def add(self, name: str, kind: ChannelKind, title_zh: str, title_en: str) -> None:
        """Watch a channel that is in no document: loudspeaker, screen, store."""
        age_max_s = _SCREEN_AGE_MAX_S if kind is ChannelKind.SCREEN else None
        self._channels.setdefault(
            name,
            Channel(
                name=name,
                kind=kind,
                title_zh=title_zh,
                title_en=title_en,
                age_max_s=age_max_s,
            ),
        )

    # Signs of life

    def alive(self, name: str, at: Moment) -> None:
        """A channel proved itself."""
        if channel := self._channels.get(name):
            _prove(channel, at)

    def failed(self, name: str, reason: str) -> None:
        """A channel says itself that it fails; it is lost at once."""
        if channel := self._channels.get(name):
            channel.reason = reason

    def on_point(self, report: PointSampled) -> None:
        """A point was polled; only safety points prove anything."""
        if (report.device, report.point) not in self._safety_points:
            return
        channel = self._by_device[report.device]
        if report.quality is Quality.GOOD:
            _prove(channel, report.at)
            line = self._channels.get(_line(self._device_lines[report.device]))
            if line is not None and line.reason:
                self._line_lives(line, report.at)
            return
        channel.bad += 1
        if channel.bad >= _BAD_MAX:
            channel.reason = str(report.quality)

    def on_answering(self, device: str, at: Moment, *, answering: bool, reason: str) -> None:
        """A device answers again, or has stopped to; its line lives while one of them does."""
        if answering:
            self._silent_devices.discard(device)
            self._answers_since[device] = at
        else:
            self._silent_devices.add(device)
            self._answers_since.pop(device, None)
            if channel := self._by_device.get(device):
                channel.reason = reason or "no_answer"
        if channel := self._channels.get(module(device)):
            if answering:
                _prove(channel, at)
            else:
                channel.reason = reason or "no_answer"
        if line := self._channels.get(_line(self._device_lines.get(device, ""))):
            others = {name for name, on in self._device_lines.items() if _line(on) == line.name}
            if others <= self._silent_devices:
                line.reason = reason or "no_answer"
            elif answering:
                self._line_lives(line, at)

    def _line_lives(self, line: Channel, at: Moment) -> None:
        """A device answers; what else hangs there has as long to be heard as when it was lost."""
        if line.reason:
            for device, on in self._device_lines.items():
                for name in (sensor(device), module(device)) if _line(on) == line.name else ():
                    channel = self._channels.get(name)
                    if channel is not None and channel.lost_s is not None:
                        channel.lost_s = channel.shaky_s = at.mono_s
            _prove(line, at)

    def tick(self, now: Moment) -> None:
        """Look at the ages of all channels; several times a second."""
        for channel in self._channels.values():
            if channel.ok and _is_old(channel, now):
                channel.reason = "silent"
            if channel.ok:
                channel.lost_s = None
            elif channel.lost_s is None:
                channel.lost_s = now.mono_s
            if not _is_shaky(channel, now):
                channel.shaky_s = None
            elif channel.shaky_s is None:
                channel.shaky_s = now.mono_s

    def channels(self) -> list[Channel]:
        """Return all channels."""
        return list(self._channels.values())

    def is_lost(self, channel: Channel, now: Moment) -> bool:
        """Whether a channel has been silent for so long that people must know.

        One that never proved itself has some seconds more: lines connect first. A line or
        module that comes and goes is lost, too: what hangs on it is no alarm of its own.
        """
        shaky_s = channel.shaky_s if channel.proven else None
        if shaky_s is not None and now.mono_s - shaky_s > _TELL_S + _SETTLES_S:
            return True
        since_s = channel.lost_s
        wait_s = _TELL_S if channel.proven else _GRACE_S
        return since_s is not None and now.mono_s - since_s > wait_s

    # Questions

    def line_is_down(self, device: str) -> bool:
        """Whether no device on the line of this one answers: then the line is what failed."""
        line = self._channels.get(_line(self._device_lines.get(device, "")))
        return line is not None and not line.ok and line.reason != "waiting"

    def module_fails(self, device: str, now: Moment) -> bool:
        """Whether a device with outputs does not answer, or has only just begun to."""
        channel = self._channels.get(module(device))
        return channel is not None and _is_shaky(channel, now)

    def is_covered(self, name: str, *, faulty: Container[str]) -> bool:
        """Whether other devices watch the zone of this one for all that it does.

        Only those count that live and are not `faulty`: one may answer and say that it is broken.
        """
        channel = self._channels.get(name)
        if channel is None or not channel.quantities:
            return False
        seen = {
            quantity
            for other in self._channels.values()
            if other.kind is ChannelKind.SENSOR
            and other is not channel
            and other.ok
            and other.name not in faulty
            and other.zone in (channel.zone, "")
            for quantity in other.quantities
        }
        return channel.quantities <= seen

    def zone_of(self, name: str) -> str | None:
        """Return the zone of a channel, "" for the whole station, None when there is no such."""
        channel = self._channels.get(name)
        return channel.zone if channel is not None else None

    def require_self_test(self) -> None:
        """Ask every safety channel to prove itself once from now."""
        self._self_test = True

    def self_test_waits_for(self) -> tuple[Channel, ...]:
        """Return the channels that have not passed the self-test; () when it has passed."""
        if not self._self_test:
            return ()
        waiting = tuple(
            channel
            for channel in self._channels.values()
            if channel.kind in _TESTED and not channel.proven
        )
        self._self_test = bool(waiting)
        return waiting

    def views(self, now: Moment) -> tuple[ChannelView, ...]:
        """Return the channels as they are shown."""
        return tuple(
            ChannelView(
                name=channel.name,
                title_zh=channel.title_zh,
                title_en=channel.title_en,
                ok=channel.ok,
                reason=channel.reason,
                age_s=None if channel.last_s is None else round(now.mono_s - channel.last_s, 1),
            )
            for channel in self._channels.values()
        )


def _is_old(channel: Channel, now: Moment) -> bool:
    if channel.age_max_s is None or channel.last_s is None:
        return False
    return now.mono_s - channel.last_s > channel.age_max_s


def _is_shaky(channel: Channel, now: Moment) -> bool:
    """Whether a line or module does not answer, or has only just begun to."""
    if channel.kind not in _CARRIES or channel.reason == "waiting":
        return False
    settles = channel.last_s is not None and now.mono_s - channel.last_s < _SETTLES_S
    return not channel.ok or settles


def _prove(channel: Channel, at: Moment) -> None:
    channel.last_s = at.mono_s
    channel.bad = 0
    channel.reason = ""
    channel.proven = True


def sensor(device: str) -> str:
    """Return the name of a device's channel."""
    return f"sensor:{device}"


def output(name: str) -> str:
    """Return the name of an output's channel."""
    return f"output:{name}"


def module(device: str) -> str:
    """Return the name of the channel of a device with outputs."""
    return f"module:{device}"


def _line(name: str) -> str:
    return f"channel:{name}"


def _of_lines(protection: Protection) -> Iterable[Channel]:
    for name in dict.fromkeys(device.line for device in protection.devices):
        yield Channel(
            name=_line(name),
            kind=ChannelKind.LINE,
            title_zh=f"总线 {name}",
            title_en=f"Line {name}",
            age_max_s=None,
        )


def _of_modules(protection: Protection) -> Iterable[Channel]:
    carrying = {name for each in protection.outputs for name in devices_of(each)}
    for device in protection.devices:
        if device.name in carrying:
            yield Channel(
                name=module(device.name),
                kind=ChannelKind.MODULE,
                title_zh=device.title_zh or f"输出模块 {device.name}",
                title_en=device.title_en or f"Output module {device.name}",
                age_max_s=None,
            )


def devices_of(spec: Output) -> tuple[str, ...]:
    """Return the device of an output and, where that is another, the one that reads it back."""
    reader, slash, _ = spec.read_back.partition("/")
    return tuple(dict.fromkeys(name for name in (spec.device, slash and reader) if name))


def _of_devices(devices: Iterable[Device], profiles: Mapping[str, Profile]) -> Iterable[Channel]:
    for device in devices:
        profile = profiles.get(device.profile)
        points = profile.points if profile is not None else ()
        quantities = frozenset(
            point.quantity
            for point in points
            if point.safety and point.quantity not in (Quantity.OUTPUT_ON, Quantity.DETECTOR_FAULT)
        )
        if profile is not None and quantities:
            yield Channel(
                name=sensor(device.name),
                kind=ChannelKind.SENSOR,
                title_zh=device.title_zh or f"{profile.title_zh} {device.name}",
                title_en=device.title_en or f"{profile.title_en} {device.name}",
                zone=device.zone,
                quantities=quantities,
            )


_TITLES = {
    OutputKind.SIREN: ("警号", "Siren"),
    OutputKind.STROBE: ("闪灯", "Strobe"),
    OutputKind.CONTACTOR: ("接触器", "Contactor"),
    OutputKind.WATCHDOG: ("看门狗", "Watchdog"),
    OutputKind.SPEAKER: ("扬声器", "Loudspeaker"),
}


def _of_outputs(protection: Protection) -> Iterable[Channel]:
    for spec in protection.outputs:
        if spec.read_back:
            title_zh, title_en = _TITLES[spec.kind]
            yield Channel(
                name=output(spec.name),
                kind=ChannelKind.OUTPUT,
                title_zh=f"{title_zh} {spec.name}",
                title_en=f"{title_en} {spec.name}",
            )
