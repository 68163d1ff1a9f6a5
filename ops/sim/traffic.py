"""Cars that come and go by themselves, for load and for watching."""

from __future__ import annotations

import asyncio
from random import Random

from ops.sim.car import Car
from ops.sim.charge_point import ChargePoint
from ops.sim.connector import Limits
from ops.sim.site import Site

_ENDINGS = ("ended", "start_refused")


async def keep_busy(
    site: Site, cards: list[str], *, energy_max_dwh: int = 100_000, pause_s: float = 1.0
) -> None:
    """Charge one car after the other at every connector, by card; runs until cancelled.

    Connector number n of the site uses card n (and starts over), so that with as many cards as
    connectors no card charges twice at a time. Energies are drawn up to `energy_max_dwh`.
    """
    if not cards:
        raise ValueError("no cards")
    async with asyncio.TaskGroup() as group:
        index = 0
        for point in site.charge_points.values():
            for number in point.machine.connectors:
                random = Random(f"traffic/{site.seed}/{index}")  # noqa: S311 - a simulation
                card = cards[index % len(cards)]
                group.create_task(_one(point, number, card, random, energy_max_dwh, pause_s))
                index += 1


async def _one(
    point: ChargePoint, number: int, card: str, random: Random, energy_max_dwh: int, pause_s: float
) -> None:
    await point.wait_for("ready", timeout_s=3600)
    while True:
        await asyncio.sleep(random.uniform(0.2, 1.0) * pause_s)
        if point.machine.connectors[number].car is not None:
            point.unplug(number)
        mark = point.mark()
        point.plug_in(number, Car.seeded(random.randrange(1 << 30)))
        energy_dwh = random.randrange(energy_max_dwh // 10, energy_max_dwh)
        point.swipe_card(number, card, limits=Limits(energy_dwh=energy_dwh))
        await point.wait_for(_ENDINGS, connector_no=number, since=mark, timeout_s=24 * 3600)
        point.unplug(number)
