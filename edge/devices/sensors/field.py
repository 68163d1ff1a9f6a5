"""FieldBus: all Modbus lines of the station, and the outputs on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.check import check_devices, serviceable
from edge.devices.sensors.line import Done, Line, LineState
from edge.devices.sensors.lines import LineConfig
from edge.devices.sensors.plan import Coil, plan_coils, plan_line
from edge.devices.sensors.profile import Profile, load_profiles
from edge.devices.sensors.reports import AnySensorReport
from shared.clock import Clock
from shared.contracts.protection import Protection

logger = logging.getLogger(__name__)

_AFTER_BUG_S = 1.0


class FieldBus:
    """Polls what the protection document names and writes its outputs.

    `publish` is called on the event loop with every report, as soon as the answer was received.
    Lines work side by side: what one waits for delays no other.
    """

    def __init__(
        self,
        lines: Iterable[LineConfig],
        clock: Clock,
        publish: Callable[[AnySensorReport], None],
        *,
        profiles: Mapping[str, Profile] | None = None,
    ) -> None:
        """Make the bus; nothing is asked before `configure`, nothing at all before `run`.

        Raises:
            ConfigError: A model that ships cannot be read.
        """
        self._clock = clock
        self._profiles = load_profiles() if profiles is None else profiles
        self._lines = {config.name: Line(config, clock, publish) for config in lines}
        self._coils: dict[str, Coil] = {}
        self._told_missing: set[str] = set()

    def configure(self, protection: Protection, *, strict: bool = True) -> None:
        """Poll and write by this document from the next transaction on.

        Args:
            protection: The document, checked for all that needs no line.
            strict: Refuse one that names what is not there. Otherwise that is left out and
                logged, and all the rest is served.

        Raises:
            ProtectionError: It was refused; nothing has changed.
        """
        configs = [line.config for line in self._lines.values()]
        if strict:
            check_devices(protection, configs, self._profiles)
        else:
            protection, faults = serviceable(protection, configs, self._profiles)
            for fault in faults:
                logger.error("protection document not served: %s", fault)
        for line in self._lines.values():
            line.set_plan(plan_line(line.config, protection, self._profiles))
        self._coils = plan_coils(protection, self._profiles)
        self._told_missing.clear()

    async def run(self) -> None:
        """Serve all lines until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, line in self._lines.items():
                tasks.create_task(self._keep_running(line), name=f"line {name}")

    async def _keep_running(self, line: Line) -> None:
        while True:
            try:
                await line.run()
            except Exception:
                # A bug in what one line heard must not silence the others, nor this one for long.
                logger.exception("line failed line=%s", line.config.name)
            await asyncio.sleep(_AFTER_BUG_S)

    def write(self, output_name: str, on: bool, done: Done) -> None:
        """Switch an output ahead of all polling; returns at once.

        `done(answered, when)` is called on the loop, once: False when the device did not answer
        or refused, when the line is down, or when no such output has a device. That last is
        logged once per document: who asks for it asks again and again.
        """
        coil = self._coils.get(output_name)
        line = self._lines.get(coil.line) if coil is not None else None
        if coil is None or line is None:
            if output_name not in self._told_missing:
                self._told_missing.add(output_name)
                logger.error("no such output output=%s", output_name)
            at = Moment(self._clock.now_ms(), self._clock.monotonic_s())
            asyncio.get_running_loop().call_soon(done, False, at)
            return
        line.write(coil, on, done)

    def states(self) -> tuple[LineState, ...]:
        """Return what is known of every line and device, for diagnostics."""
        return tuple(line.state() for line in self._lines.values())
