"""Between simulated sensors and charge points: contactors feed these, meters measure them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ops.sim.control import ControlClient, ControlError
from ops.sim.sensors.installation import ConnectorPlace, Installation

logger = logging.getLogger(__name__)

_AGAIN_S = 0.2
_MEASURED_EVERY_S = 1.0


class PowerFeed:
    """Tells a charger simulator, over its control port, which connectors have no supply.

    Asks it what they all draw, for the meters. While it cannot be reached the present state is
    kept, and told once it can.
    """

    def __init__(self, installation: Installation, port: int) -> None:
        """Take over `installation.on_contactor`."""
        self._port = port
        self._installation = installation
        self._wanted: dict[ConnectorPlace, bool] = {}
        self._changed = asyncio.Event()
        installation.on_contactor = self._note

    def _note(self, place: ConnectorPlace, is_open: bool) -> None:
        self._wanted[place] = is_open
        self._changed.set()

    async def run(self) -> None:
        """Carry on until it is cancelled."""
        # Two connections: an order to a contactor never waits for a measurement.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_up(self._serve))
            tasks.create_task(self._keep_up(self._measure))

    async def _keep_up(self, work: Callable[[ControlClient], Awaitable[None]]) -> None:
        while True:
            try:
                async with ControlClient(self._port) as control:
                    await work(control)
            except (OSError, ControlError) as error:
                logger.info("charger simulator port=%d away: %s", self._port, error)
                await asyncio.sleep(_AGAIN_S)

    async def _measure(self, control: ControlClient) -> None:
        while True:
            self._installation.world.charging_w = drawn_w(await control.call("status"))
            await asyncio.sleep(_MEASURED_EVERY_S)

    async def _serve(self, control: ControlClient) -> None:
        # It may have been restarted: tell it all there is.
        self._wanted = {**self._installation.cut_connectors(), **self._wanted}
        while True:
            while self._wanted:
                place, is_open = next(iter(self._wanted.items()))
                await self._tell(control, place, is_open)
                if self._wanted.get(place) == is_open:
                    del self._wanted[place]
            self._changed.clear()
            await self._changed.wait()

    async def _tell(self, control: ControlClient, place: ConnectorPlace, is_open: bool) -> None:
        charge_point, connector = place
        try:
            await control.call(
                "contactor", charge_point=charge_point, connector=connector, is_open=is_open
            )
        except ControlError as error:
            logger.warning("contactor of %s-%d: %s", charge_point, connector, error)


def drawn_w(status: dict[str, Any]) -> float:
    """Return what all connectors give out together, W, from the status of a charger simulator."""
    total_w = 0.0
    for charge_point in status.values():
        for connector in charge_point["connectors"].values():
            total_w += connector["voltage_dv"] * connector["current_da"] / 100
    return total_w
