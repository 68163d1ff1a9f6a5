"""One simulated Modbus device: what it measures, what it is set to say, what its coils do. Pure."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from edge.devices.sensors.profile import Point, Profile, Table
from ops.sim.sensors.faults import Faults
from ops.sim.sensors.memory import Memory, coil_at
from ops.sim.sensors.world import STATION, STEP_S, WINDING_ABOVE_OIL_C, World
from shared.contracts.protection import CONTACTS, Device, Quantity

SMOKE_ON_PERCENT, SMOKE_OFF_PERCENT = 10.0, 3.0
HEAT_C = 57.0
WATER_MM = 5.0
_ALARMS = frozenset({Quantity.SMOKE, Quantity.HEAT, Quantity.WATER})
_PHASES, _PHASE_V, _POWER_FACTOR = 3, 230.0, 0.97
_BASE_W = 2700.0
_CHARGER_EFFICIENCY = 0.95
_STEADY: dict[Quantity, tuple[float, float]] = {
    # usual value, how much it wavers
    Quantity.VOLTAGE_V: (_PHASE_V, 0.6),
    Quantity.CURRENT_A: (12.0, 0.3),
    Quantity.POWER_W: (_BASE_W, 40.0),
    Quantity.FREQUENCY_HZ: (50.0, 0.02),
    Quantity.POWER_FACTOR: (_POWER_FACTOR, 0.004),
    Quantity.BREAKER_CLOSED: (1.0, 0.0),
}
_WAVERS_C = 0.15
_WAVERS_PERCENT = 0.3

Changed = Callable[["SimulatedDevice", str, float | None], None]


class SimulatedDevice:
    """A device of a layout.

    Args:
        spec: Its place in the layout.
        profile: Its model.
        world: What it measures.
        seed: Decides how its numbers waver.
        changed: Is told at once when a contact or an output says something else.
    """

    def __init__(
        self, spec: Device, profile: Profile, world: World, seed: int, changed: Changed
    ) -> None:
        self.spec = spec
        self.profile = profile
        self.faults = Faults()
        self.memory = Memory(profile)
        self.said: dict[str, float | None] = {}
        """What each point says now."""
        self.ordered = {point.name: False for point in profile.points if point.writable}
        """What was last written to each coil."""
        self.acting = dict(self.ordered)
        """Whether what hangs on each coil is really on."""
        self.shown_by: dict[str, Callable[[], bool]] = {}
        """Read-back points and what they show; filled by the installation."""
        self.door_open = False
        self.garbage = Random(f"garbage/{seed}/{spec.name}")  # noqa: S311 - a simulation
        self._world = world
        self._zone = spec.zone if spec.zone in world.zones else STATION
        self._changed = changed
        self._pinned: dict[str, float | None] = {}
        self._energy_kwh = 1000.0 + spec.unit_id
        self._is_at_supply = len(self.points_of(Quantity.VOLTAGE_V)) == _PHASES
        self._waver = Random(f"{seed}/{spec.name}")  # noqa: S311 - a simulation
        self.refresh(numbers=True)

    # What people do

    def set(self, point: str, value: float | None) -> None:
        """Let a point say a value from now on; None: it has none. Raises ValueError."""
        self._known(point)
        self._pinned[point] = value
        self.refresh()

    def release(self, point: str = "") -> None:
        """Let a point, or all, say again what they measure."""
        for name in list(self._pinned) if not point else [point]:
            self._pinned.pop(name, None)
        self.refresh()

    def points_of(self, quantity: Quantity) -> list[str]:
        """Return the names of its points that measure a quantity."""
        return [point.name for point in self.profile.points if point.quantity is quantity]

    def heal(self, kind: str = "", point: str = "") -> None:
        """End faults; without a kind also whatever was set by hand."""
        self.faults.clear(kind, point)
        if not kind:
            self.release()
            self.door_open = False
        self._actuate()
        self.refresh(numbers=True)

    def break_down(self, kind: str, point: str = "", value: float | None = None) -> None:
        """Begin a fault. Raises ValueError."""
        if point:
            self._known(point)
        self.faults.set(kind, point, value)
        self._actuate()
        self.refresh(numbers=True)

    def _known(self, name: str) -> Point:
        point = self.profile.find(name)
        if point is None:
            names = ", ".join(point.name for point in self.profile.points)
            raise ValueError(f"{self.spec.name} has no point {name!r}; it has {names}")
        return point

    # What the wire does

    def write_coil(self, address: int, *, on: bool) -> bool:
        """Take what was written to a coil. Returns False when there is none."""
        point = coil_at(self.profile.points, address)
        if point is None or point.table is not Table.COIL:
            return False
        self.ordered[point.name] = on
        self._actuate()
        self.refresh()
        return True

    def _actuate(self) -> None:
        for name, on in self.ordered.items():
            broken = any(self.faults.get(kind, name) for kind in ("dead", "weld", "weld_hidden"))
            if self.faults.get("stuck_on", name):
                on = on or self.acting[name]
            self.acting[name] = on and not broken

    def reads_back(self, coil: str) -> bool:
        """Return what a coil's read-back shows."""
        return self.acting[coil] or (
            self.ordered[coil] and self.faults.get("weld_hidden", coil) is not None
        )

    # What it says

    def refresh(self, *, numbers: bool = False) -> None:
        """Measure anew: contacts and outputs, and `numbers` too if told so."""
        if self.faults.get("stuck"):
            return
        new: dict[str, float | None] = {}
        for point in self.profile.points:
            is_contact = point.quantity in CONTACTS
            if is_contact or numbers or point.name in self._pinned:
                new[point.name] = self._value(point)
        before = self.said
        changed = {n for n, value in new.items() if n not in before or before[n] != value}
        if not changed:
            return
        self.said = {**before, **new}
        self.memory.write(self.said, changed)
        for name in sorted(changed):
            is_told = name in self._pinned or self._known(name).quantity in CONTACTS
            if is_told and before.get(name, 0.0) != new[name]:
                self._changed(self, name, new[name])

    def tick(self) -> None:
        """Count one step of the world."""
        self._energy_kwh += self._power_w() / 1000 * STEP_S / 3600

    def _power_w(self) -> float:
        """Return the load: lights and fans; behind a three-phase meter the charge points too."""
        if not self._is_at_supply:
            return _BASE_W
        return _BASE_W + self._world.charging_w / _CHARGER_EFFICIENCY

    def _value(self, point: Point) -> float | None:
        if point.name in self._pinned:
            return self._pinned[point.name]
        if self.faults.get("no_value", point.name):
            return None
        if point.quantity in CONTACTS:
            return float(self._contact(point))
        value = self._number(point.quantity)
        if (lie := self.faults.get("lie", point.name)) is not None:
            value += lie.value
        low = value if point.min is None else max(point.min, value)
        return low if point.max is None else min(point.max, low)

    def _contact(self, point: Point) -> bool:
        if point.writable:
            return self.reads_back(point.name)
        if point.name in self.shown_by:
            return self.shown_by[point.name]()
        flapping = self.faults.get("flapping", point.name)
        if flapping is not None and point.quantity in _ALARMS:
            half_periods = int(self._world.steps * STEP_S / max(STEP_S, flapping.value))
            return half_periods % 2 == 1
        zone = self._world.zones[self._zone]
        match point.quantity:
            case Quantity.SMOKE:
                limit = SMOKE_OFF_PERCENT if self.said.get(point.name) else SMOKE_ON_PERCENT
                return zone.smoke_percent >= limit
            case Quantity.HEAT:
                return zone.temperature_c >= HEAT_C
            case Quantity.WATER:
                return zone.water_mm >= WATER_MM
            case Quantity.DOOR_OPEN | Quantity.TRANSFORMER_DOOR_OPEN:
                return self.door_open
            case Quantity.DETECTOR_FAULT:
                return self.faults.get("detector_fault", point.name) is not None
        return bool(_STEADY.get(point.quantity, (0.0, 0.0))[0])

    def _number(self, quantity: Quantity) -> float:
        zone, wavers = self._world.zones[self._zone], self._waver.gauss(0.0, 1.0)
        match quantity:
            case Quantity.SMOKE_DENSITY_PERCENT:
                return max(0.0, zone.smoke_percent + abs(wavers) * 0.1)
            case Quantity.TEMPERATURE_C:
                return zone.temperature_c + wavers * _WAVERS_C
            case Quantity.HUMIDITY_PERCENT:
                return zone.humidity_percent + wavers * _WAVERS_PERCENT
            case Quantity.OIL_TEMPERATURE_C:
                return self._world.oil_c + wavers * _WAVERS_C
            case Quantity.WINDING_TEMPERATURE_C:
                return self._world.oil_c + WINDING_ABOVE_OIL_C + wavers * _WAVERS_C
            case Quantity.ENERGY_KWH:
                return self._energy_kwh
            case Quantity.POWER_W:
                return self._power_w() + wavers * _STEADY[quantity][1]
            case Quantity.CURRENT_A if self._is_at_supply:
                phase_a = self._power_w() / (_PHASES * _PHASE_V * _POWER_FACTOR)
                return phase_a + wavers * _STEADY[quantity][1]
        usual, amplitude = _STEADY.get(quantity, (0.0, 0.0))
        return usual + wavers * amplitude
