"""Carries what simulated contactors do to the simulated charge points that they feed."""

from __future__ import annotations

import asyncio
import logging

from ops.sim.control import ControlClient, ControlError
from ops.sim.sensors.installation import ConnectorPlace, Installation

logger = logging.getLogger(__name__)

_AGAIN_S = 0.2


class PowerFeed:
    """Tells a charger simulator, over its control port, which connectors have no supply.

    While it cannot be reached the present state is kept, and told once it can.
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
        while True:
            try:
                async with ControlClient(self._port) as control:
                    await self._serve(control)
            except OSError as error:
                logger.info("charger simulator port=%d away: %s", self._port, error)
                await asyncio.sleep(_AGAIN_S)

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
