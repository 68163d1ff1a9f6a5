"""All simulated devices of a station, what they watch, and what their outputs switch.

Pure but for the clock that it is given: `tick` moves the world, everything else happens at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from edge.devices.sensors.profile import Profile
from ops.sim.events import EventLog
from ops.sim.sensors.device import SimulatedDevice
from ops.sim.sensors.layout import Layout, check
from ops.sim.sensors.world import World
from shared.clock import Clock
from shared.contracts.protection import Output, OutputKind

_NUMBERS_EVERY_STEPS = 5

ConnectorPlace = tuple[str, int]
OnContactor = Callable[[ConnectorPlace, bool], None]


class SensorEvent(Struct, frozen=True, kw_only=True):
    """One thing that happened at the devices.

    Attributes:
        index: Counts from 1.
        name: `contact` (a point says something else: `value`), `written` (a coil was written),
            `switched` (what hangs on a coil went on or off), `did` (somebody did something).
        at_s: Monotonic seconds (one clock for all processes of a machine).
    """

    index: int
    name: str
    at_s: float
    device: str = ""
    point: str = ""
    value: float | None = None
    detail: dict[str, Any] = {}


class Installation:
    """The devices of a layout in one world.

    Args:
        layout: What stands where.
        profiles: The models by name.
        clock: Only its monotonic seconds are used.
        seed: Same seed, same doings, same steps: same values.
        pace: How much faster than real time fire and water are.

    Raises:
        ConfigError: The layout does not fit the profiles.
    """

    def __init__(
        self,
        layout: Layout,
        profiles: Mapping[str, Profile],
        *,
        clock: Clock,
        seed: int = 0,
        pace: float = 1.0,
    ) -> None:
        check(layout, profiles)
        self.layout = layout
        self.log: EventLog[SensorEvent] = EventLog()
        self.requests = 0
        """Modbus requests so far, answered or not."""
        self.on_contactor: OnContactor = lambda _place, _is_open: None
        """Is told when the supply of a connector is cut or back."""
        self._clock = clock
        self._pace = pace
        self._ticked_s = clock.monotonic_s()
        zones = [zone.name for zone in layout.zones]
        self.world = World([*zones, *(device.zone for device in layout.devices)], seed)
        self.devices = {
            device.name: SimulatedDevice(
                device, profiles[device.profile], self.world, seed, self._said
            )
            for device in layout.devices
        }
        self._acting = {name: dict(device.acting) for name, device in self.devices.items()}
        self._cut: dict[ConnectorPlace, bool] = {}
        for output in layout.outputs:
            self._wire_read_back(output)

    def _wire_read_back(self, output: Output) -> None:
        """Let an output's read-back point, of its own device or `device/point`, show it."""
        if not output.device or not output.read_back:
            return
        owner, _, point = output.read_back.rpartition("/")
        shown_at = self.devices.get(owner or output.device)
        if shown_at is None or (owner or output.device, point) == (output.device, output.point):
            return
        switched_by, coil = self.devices[output.device], output.point
        shown_at.shown_by[point] = lambda: switched_by.reads_back(coil)
        shown_at.refresh()

    # Time

    def tick(self) -> None:
        """Go on to the present."""
        now_s = self._clock.monotonic_s()
        elapsed_s, self._ticked_s = now_s - self._ticked_s, now_s
        self.advance(elapsed_s * self._pace)

    def advance(self, duration_s: float) -> None:
        """Go on by so much of the world's own time."""
        before = self.world.steps
        if not self.world.advance(duration_s):
            return
        steps = range(before + 1, self.world.steps + 1)
        numbers = any(step % _NUMBERS_EVERY_STEPS == 0 for step in steps)
        for device in self.devices.values():
            for _ in steps:
                device.tick()
            device.refresh(numbers=numbers)

    # What happened

    def emit(
        self,
        name: str,
        device: str = "",
        point: str = "",
        value: float | None = None,
        **detail: Any,
    ) -> SensorEvent:
        """Note that something happened."""
        event = SensorEvent(
            index=self.log.next_index(),
            name=name,
            at_s=self._clock.monotonic_s(),
            device=device,
            point=point,
            value=value,
            detail=detail,
        )
        self.log.add(event)
        return event

    def _said(self, device: SimulatedDevice, point: str, value: float | None) -> None:
        self.emit("contact", device.spec.name, point, value)

    # Outputs

    def write_coil(self, device: SimulatedDevice, address: int, *, on: bool) -> bool:
        """Take a write from the wire. Returns False when there is no such coil."""
        if not device.write_coil(address, on=on):
            return False
        point = next(p.name for p in device.profile.points if p.writable and p.address == address)
        self.emit("written", device.spec.name, point, float(on))
        self.follow(device)
        return True

    def follow(self, device: SimulatedDevice) -> None:
        """Carry on what a device's outputs do: read-backs elsewhere, supply of connectors."""
        name, before = device.spec.name, self._acting[device.spec.name]
        for coil, acting in device.acting.items():
            if acting != before[coil]:
                self.emit("switched", name, coil, float(acting))
        self._acting[name] = dict(device.acting)
        for other in self.devices.values():
            if other.shown_by and other is not device:
                other.refresh()
        self._feed()

    def _feed(self) -> None:
        cut: dict[ConnectorPlace, bool] = {}
        for output in self.layout.outputs:
            if output.kind is OutputKind.CONTACTOR and output.device:
                is_open = self.devices[output.device].acting[output.point]
                for place in output.connectors:
                    cut[place] = cut.get(place, False) or is_open
        for place, is_open in cut.items():
            if self._cut.get(place, False) != is_open:
                self.on_contactor(place, is_open)
        self._cut = cut

    def cut_connectors(self) -> dict[ConnectorPlace, bool]:
        """Return of each connector with a contactor whether its supply is cut."""
        self._feed()
        return dict(self._cut)

    # Asking

    def status(self) -> dict[str, Any]:
        """Return what is going on now, JSON values only."""
        return {
            "devices": {name: _status(device) for name, device in self.devices.items()},
            "outputs": {
                output.name: _output_status(output, self.devices[output.device])
                for output in self.layout.outputs
                if output.device
            },
            "zones": {
                name: {
                    "temperature_c": round(zone.temperature_c, 1),
                    "smoke_percent": round(zone.smoke_percent, 1),
                    "water_mm": round(zone.water_mm),
                    "burning_s": zone.burning_s,
                }
                for name, zone in self.world.zones.items()
            },
            "requests": self.requests,
            "last_event": self.log.count,
        }


def _status(device: SimulatedDevice) -> dict[str, Any]:
    return {
        "unit_id": device.spec.unit_id,
        "profile": device.spec.profile,
        "zone": device.spec.zone,
        "values": dict(device.said),
        "coils": dict(device.ordered),
        "faults": [f"{fault.kind} {fault.point}".strip() for fault in device.faults.active()],
    }


def _output_status(output: Output, device: SimulatedDevice) -> dict[str, Any]:
    return {
        "kind": output.kind,
        "ordered_on": device.ordered[output.point],
        "is_on": device.acting[output.point],
        "reads_on": device.reads_back(output.point),
    }
