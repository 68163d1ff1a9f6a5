"""Who comes to a station: cars plug in, start by card, by VIN or by HQ, stay a while, leave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from random import Random

from ops.demo.children import DemoError
from ops.demo.world import StationPlan
from ops.sim.control import ControlClient, ControlError

logger = logging.getLogger(__name__)

RemoteStart = Callable[[str, int], Awaitable[None]]  # charge point, connector

_STAY_S = (2.0, 5.0)
_PAUSE_S = (0.2, 1.2)
_START_LIMIT_S = 12.0
_END_LIMIT_S = 20.0
_LEAVE_LIMIT_S = 25.0


class Customers:
    """The customers of one station; one task a connector, each with its own control connection."""

    def __init__(
        self,
        plan: StationPlan,
        control_port: int,
        *,
        cards: Iterator[str],
        vins: Iterator[str],
        seed: int,
        start_remotely: RemoteStart,
    ) -> None:
        """Prepare only. The last connector, `kept_free`, is left to others.

        Args:
            plan: The station.
            control_port: Where its simulator listens.
            cards: Dealt in turn, so that one card charges at one place at a time.
            vins: The same for cars.
            seed: Decides who does what.
            start_remotely: Asks HQ for a start.
        """
        self._connectors = plan.connectors[:-1]
        self.kept_free = plan.connectors[-1]
        self._port = control_port
        self._cards, self._vins = cards, vins
        self._seed = seed
        self.patience_s = _START_LIMIT_S
        """How long somebody waits for a charge to begin before leaving."""
        self._start_remotely = start_remotely
        self._open = asyncio.Event()
        self._leave = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    def open(self) -> None:
        """Let customers come, from now on."""
        self._leave.clear()
        self._open.set()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._serve(*connector), name=f"customers {connector}")
                for connector in self._connectors
            ]

    async def close(self, *, at_once: bool = False) -> None:
        """Let nobody in any more, send everyone away, and wait until all have left."""
        self._open.clear()
        self._leave.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0 if at_once else _LEAVE_LIMIT_S):
                await self._empty.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _serve(self, charge_point_no: str, connector_no: int) -> None:
        seed = f"{self._seed}/{charge_point_no}/{connector_no}"
        random = Random(seed)  # noqa: S311 - a simulation
        place = (charge_point_no, connector_no)
        async with ControlClient(self._port) as control:
            while True:
                await self._open.wait()
                await asyncio.sleep(random.uniform(*_PAUSE_S))
                if not self._open.is_set():
                    continue
                with self._counted():
                    await self._one(_Place(control, *place), random)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    async def _one(self, place: _Place, random: Random) -> None:
        """Let one customer plug in, charge and leave; pulling the plug ends a charge as well."""
        vin, card = next(self._vins), next(self._cards)
        mark = await place.mark()
        await place.do("plug_in", car={"seed": random.randrange(1 << 30), "vin": vin})
        try:
            await self._charge(place, random, mark, card)
        except (ControlError, DemoError) as error:
            logger.info("customer at %s: %s", place, str(error).splitlines()[0])
        await place.do("unplug")

    async def _charge(self, place: _Place, random: Random, mark: int, card: str) -> None:
        means = random.choices(("card", "vin", "remote"), (4, 3, 3))[0]
        if means == "card":
            await place.do("swipe", card=card)
        elif means == "vin":
            await place.do("vin")
        else:
            await self._start_remotely(place.charge_point_no, place.connector_no)
        if not await place.starts(mark, self.patience_s):
            return
        with contextlib.suppress(TimeoutError):
            # Not wait_for: in Python 3.11 it can swallow the cancellation by `close`.
            async with asyncio.timeout(random.uniform(*_STAY_S)):
                await self._leave.wait()
        way = random.choice(("stop_button", "swipe", "unplug"))
        if way == "unplug":
            return
        if way == "swipe" and means == "card":
            await place.do("swipe", card=card)
        else:
            await place.do("stop_button")
        await place.wait("ended", mark, _END_LIMIT_S)


class _Place:
    """One connector over the control port."""

    def __init__(self, control: ControlClient, charge_point_no: str, connector_no: int) -> None:
        self._control = control
        self.charge_point_no = charge_point_no
        self.connector_no = connector_no

    def __str__(self) -> str:
        """Return how people name it."""
        return f"{self.charge_point_no}-{self.connector_no}"

    async def do(self, action: str, **arguments: object) -> None:
        """Do something there."""
        await self._control.call(
            action, charge_point=self.charge_point_no, connector=self.connector_no, **arguments
        )

    async def mark(self) -> int:
        """Return the index of the latest event of the charge point."""
        status = await self._control.call("status")
        return int(status[self.charge_point_no]["last_event"])

    async def starts(self, since: int, timeout_s: float) -> bool:
        """Wait for the charge, or for the refusal of its start; tell whether it charges."""
        event = await self._control.call(
            "wait",
            charge_point=self.charge_point_no,
            connector=self.connector_no,
            name=["charging", "start_refused"],
            since=since,
            timeout_s=timeout_s,
        )
        return bool(event["name"] == "charging")

    async def wait(self, name: str, since: int, timeout_s: float) -> None:
        """Wait for an event there. Raises ControlError if it does not come."""
        await self.do("wait", name=name, since=since, timeout_s=timeout_s)
