"""What can be done at simulated sensors: the vocabulary of their control port.

Every action is a JSON table with `do` and its arguments, as for simulated charge points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ops.sim.actions import ActionError
from ops.sim.sensors.device import SimulatedDevice
from ops.sim.sensors.faults import KINDS
from ops.sim.sensors.installation import SensorEvent
from ops.sim.sensors.site import SensorSite
from shared.contracts.protection import Quantity

_DOORS = (Quantity.DOOR_OPEN, Quantity.TRANSFORMER_DOOR_OPEN)


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="do"):
    """Root of all actions."""

    async def run(self, site: SensorSite) -> Any:
        """Do it; returns JSON values. Raises ActionError if it cannot be done."""
        raise NotImplementedError


class InZone(Action, frozen=True, kw_only=True):
    """Root of what happens to a zone; "" is the one of the whole station."""

    zone: str = ""

    def known(self, site: SensorSite) -> str:
        """Return the zone's name, which there is."""
        if self.zone not in site.installation.world.zones:
            names = ", ".join(filter(None, site.installation.world.zones))
            raise ActionError(f"no zone {self.zone!r}; there are {names}")
        return self.zone


class Fire(InZone, frozen=True, tag="fire", kw_only=True):
    """Set a zone on fire: smoke at once, heat after some seconds, then the zones beside it."""

    async def run(self, site: SensorSite) -> Any:
        """Begin; returns the moment."""
        site.installation.world.ignite(self.known(site))
        return _done(site, "fire", zone=self.zone)


class PutOut(Action, frozen=True, tag="put_out", kw_only=True):
    """Put the fire out, of one zone or of all, and let water run off.

    Smoke goes away by itself within half a minute, or at once when it is aired.
    """

    zone: str | None = None
    air: bool = False

    async def run(self, site: SensorSite) -> Any:
        """Put it out."""
        world = site.installation.world
        if self.zone is not None and self.zone not in world.zones:
            raise ActionError(f"no zone {self.zone!r}")
        world.put_out(self.zone)
        if self.air:
            world.ventilate(self.zone)
        for zone in world.zones if self.zone is None else [self.zone]:
            world.flood(zone, flooding=False)
        return _done(site, "put_out", zone=self.zone or "")


class Flood(InZone, frozen=True, tag="flood", kw_only=True):
    """Let water into a zone, or let it run off."""

    on: bool = True

    async def run(self, site: SensorSite) -> Any:
        """Begin or end."""
        site.installation.world.flood(self.known(site), flooding=self.on)
        return _done(site, "flood", zone=self.zone, on=self.on)


class WarmTransformer(Action, frozen=True, tag="warm_transformer", kw_only=True):
    """Let the transformer's oil and winding get warmer; 0 lets them cool."""

    c_per_s: float

    async def run(self, site: SensorSite) -> Any:
        """Begin or end."""
        site.installation.world.warm_transformer(self.c_per_s)
        return _done(site, "warm_transformer", c_per_s=self.c_per_s)


class AtDevice(Action, frozen=True, kw_only=True):
    """Root of what is done to one device."""

    device: str

    def found(self, site: SensorSite) -> SimulatedDevice:
        """Return the device."""
        device = site.installation.devices.get(self.device)
        if device is None:
            names = ", ".join(site.installation.devices)
            raise ActionError(f"no device {self.device!r}; there are {names}")
        return device


class Smoke(AtDevice, frozen=True, tag="smoke", kw_only=True):
    """Hold smoke to a detector at once, or take it away: what trips are measured from."""

    on: bool = True

    async def run(self, site: SensorSite) -> Any:
        """Flip its smoke contact; `at_s` is the monotonic second of the flip."""
        device = self.found(site)
        points = device.points_of(Quantity.SMOKE)
        if not points:
            raise ActionError(f"{self.device} is no smoke detector")
        for point in points:
            if self.on:
                device.set(point, 1.0)
            else:
                device.release(point)
        return _done(site, "smoke", device=self.device, on=self.on)


class SetValue(AtDevice, frozen=True, tag="set", kw_only=True):
    """Let a point say a value; null: it has none. `release` undoes it."""

    point: str
    value: float | None

    async def run(self, site: SensorSite) -> Any:
        """Set it; `at_s` is the moment."""
        _checked(lambda: self.found(site).set(self.point, self.value))
        return _done(site, "set", device=self.device, point=self.point, value=self.value)


class Release(AtDevice, frozen=True, tag="release", kw_only=True):
    """Let a point, or all of a device, say again what they measure."""

    point: str = ""

    async def run(self, site: SensorSite) -> Any:
        """Undo `set`."""
        self.found(site).release(self.point)
        return _done(site, "release", device=self.device, point=self.point)


class Door(AtDevice, frozen=True, tag="door", kw_only=True):
    """Open or close the door that a device watches."""

    is_open: bool = True

    async def run(self, site: SensorSite) -> Any:
        """Move it."""
        device = self.found(site)
        if not any(map(device.points_of, _DOORS)):
            raise ActionError(f"{self.device} watches no door")
        device.door_open = self.is_open
        device.refresh()
        return _done(site, "door", device=self.device, is_open=self.is_open)


class BreakDown(AtDevice, frozen=True, tag="fault", kw_only=True):
    """Set a fault (see `faults.py`), of the device or of one point; `value` as its kind says."""

    kind: str
    point: str = ""
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault {self.kind!r}; there are {', '.join(sorted(KINDS))}")

    async def run(self, site: SensorSite) -> Any:
        """Set it."""
        device = self.found(site)
        _checked(lambda: device.break_down(self.kind, self.point, self.value))
        site.installation.follow(device)
        return _done(site, "fault", device=self.device, kind=self.kind, point=self.point)


class Heal(Action, frozen=True, tag="heal", kw_only=True):
    """End faults: of one device or all, of one kind or all; all also undoes what was set."""

    device: str = ""
    kind: str = ""
    point: str = ""

    async def run(self, site: SensorSite) -> Any:
        """End them."""
        devices = site.installation.devices
        if self.device and self.device not in devices:
            raise ActionError(f"no device {self.device!r}")
        for device in [devices[self.device]] if self.device else devices.values():
            device.heal(self.kind, self.point)
            site.installation.follow(device)
        return _done(site, "heal", device=self.device, kind=self.kind, point=self.point)


class LineUp(Action, frozen=True, tag="line", kw_only=True):
    """Cut a line with all its connections, or mend it."""

    name: str = ""
    up: bool = True

    async def run(self, site: SensorSite) -> Any:
        """Cut or mend it."""
        line = site.lines.get(self.name)
        if line is None:
            raise ActionError(f"no line {self.name!r}; there are {', '.join(site.lines)}")
        if not self.up:
            await line.stop()
        elif not line.is_up:
            await line.start()
        return _done(site, "line", line=self.name, up=self.up)


class Wait(Action, frozen=True, tag="wait", kw_only=True):
    """Wait for an event; "" and null match anything."""

    name: str
    device: str = ""
    point: str = ""
    value: float | None = None
    since: int = 0
    timeout_s: float = 10.0

    async def run(self, site: SensorSite) -> Any:
        """Return the event."""
        try:
            return await site.installation.log.first(self._matches, self._wanted(), self.timeout_s)
        except TimeoutError as error:
            raise ActionError(str(error)) from error

    def _wanted(self) -> str:
        value = "" if self.value is None else f" = {self.value:g}"
        return f"{self.name} {self.device}/{self.point}{value}"

    def _matches(self, event: SensorEvent) -> bool:
        return (
            event.name == self.name
            and event.index > self.since
            and self.device in ("", event.device)
            and self.point in ("", event.point)
            and self.value in (None, event.value)
        )


class Events(Action, frozen=True, tag="events", kw_only=True):
    """List what happened."""

    since: int = 0

    async def run(self, site: SensorSite) -> Any:
        """Return the events after `since`, of the last 5,000."""
        return [event for event in site.installation.log.events if event.index > self.since]


class Status(Action, frozen=True, tag="status", kw_only=True):
    """Show what is going on."""

    async def run(self, site: SensorSite) -> Any:
        """Return devices, outputs, zones and lines."""
        lines = {
            name: {"address": line.address, "up": line.is_up} for name, line in site.lines.items()
        }
        return {**site.installation.status(), "lines": lines}


AnySensorAction = (
    Fire
    | PutOut
    | Flood
    | WarmTransformer
    | Smoke
    | SetValue
    | Release
    | Door
    | BreakDown
    | Heal
    | LineUp
    | Wait
    | Events
    | Status
)


def _done(site: SensorSite, what: str, *, device: str = "", **detail: Any) -> SensorEvent:
    return site.installation.emit("did", device, what=what, **detail)


def _checked(do: Callable[[], None]) -> None:
    try:
        do()
    except ValueError as error:
        raise ActionError(str(error)) from error
