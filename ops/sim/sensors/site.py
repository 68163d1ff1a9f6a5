"""Simulated sensors in this process: the devices, their lines, and time for their world."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping

from edge.devices.sensors.profile import Profile
from ops.sim.sensors.device import SimulatedDevice
from ops.sim.sensors.installation import Installation
from ops.sim.sensors.layout import Layout, Line
from ops.sim.sensors.lines import ServedLine
from ops.sim.sensors.power import PowerFeed
from ops.sim.sensors.world import STEP_S
from shared.clock import Clock, SystemClock
from shared.errors import ConfigError


class SensorSite:
    """Use as a context manager inside a running loop.

    Args:
        layout: What stands where.
        profiles: The models by name.
        default: The line of devices whose line the layout does not list.
        charger_control_port: That of the simulated charge points that contactors feed; 0 = none.
        clock: Its monotonic seconds time events.
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
        default: Line | None = None,
        charger_control_port: int = 0,
        clock: Clock | None = None,
        seed: int = 0,
        pace: float = 1.0,
    ) -> None:
        self.installation = Installation(
            layout, profiles, clock=clock or SystemClock(), seed=seed, pace=pace
        )
        self.lines = _lines(layout, default or Line(), self.installation)
        self._tasks: list[asyncio.Task[None]] = []
        self._feed = (
            PowerFeed(self.installation, charger_control_port) if charger_control_port else None
        )

    async def start(self) -> None:
        """Begin to listen, and let time pass. Raises OSError when an address is taken."""
        for line in self.lines.values():
            await line.start()
        self._tasks.append(asyncio.create_task(self._live(), name="sim-sensors"))
        if self._feed is not None:
            self._tasks.append(asyncio.create_task(self._feed.run(), name="sim-power"))

    async def stop(self) -> None:
        """End it all."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        for line in self.lines.values():
            await line.stop()

    async def __aenter__(self) -> SensorSite:
        try:
            await self.start()
        except OSError:
            with contextlib.suppress(OSError):
                await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            self.installation.tick()

    @property
    def port(self) -> int:
        """The TCP port of the only or first line."""
        return next(iter(self.lines.values())).port


def _lines(layout: Layout, default: Line, installation: Installation) -> dict[str, ServedLine]:
    specs = {line.name: line for line in layout.lines}
    by_line: dict[str, dict[int, SimulatedDevice]] = defaultdict(dict)
    for device in installation.devices.values():
        spec = device.spec
        units = by_line[spec.line if spec.line in specs else ""]
        if spec.unit_id in units:
            raise ConfigError(f"device {spec.name}: unit_id {spec.unit_id} is taken on its line")
        units[spec.unit_id] = device
    return {
        name: ServedLine(specs.get(name, default), units, installation)
        for name, units in by_line.items()
    }
