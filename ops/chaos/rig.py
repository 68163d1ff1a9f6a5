"""The rig: a whole company under load, with handles to kill its parts and to wait for peace."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from ops.chaos import oracle
from ops.chaos.levels import Level
from ops.demo import evening
from ops.demo.children import Child, DemoError
from ops.demo.stage import Say, Stage, StationProcesses, open_stage
from ops.demo.world import World, make_world

# Real time: a death of seconds must not be minutes for the meters. HQ would, rightly, hold a bill
# for review whose energy it cannot attribute around a half hour.
_SCALE = 1.0
_TOKENS_PER_STATION = 14
_WARM_LIMIT_S = 40.0
_DRAIN_LIMIT_S = 90.0
_STOP_LIMIT_S = 2.0
_OVER = frozenset({"billed", "failed", "in_review"})
_OPEN_UNDER_LOAD = 4
_PATIENCE_S = 3.0


class Rig:
    """What the cases work on."""

    def __init__(self, stage: Stage, seed: int, say: Say) -> None:
        """Prepare only."""
        self.stage = stage
        self.seed = seed
        self.say = say

    def random(self, purpose: str) -> Random:
        """Return the source of all moments of one purpose; the same seed gives the same."""
        return Random(f"chaos/{self.seed}/{purpose}")  # noqa: S311 - a simulation

    async def load(self) -> None:
        """Let customers come, and wait until some are charging."""
        for station in self.stage.stations:
            station.customers.open()

        async def busy() -> bool:
            books = await oracle.read_simulators(self.stage)
            return books.open >= _OPEN_UNDER_LOAD * len(self.stage.stations)

        await until("cars charge", busy, _WARM_LIMIT_S)

    async def calm(self) -> None:
        """Send everyone away and wait until HQ has taken in all that happened."""
        await asyncio.gather(*(station.customers.close() for station in self.stage.stations))
        await until("everything is confirmed and at HQ", self._is_drained, _DRAIN_LIMIT_S)

    async def _is_drained(self) -> bool:
        books = await oracle.read_simulators(self.stage)
        if books.open or books.unconfirmed:
            return False
        for station in self.stage.stations:
            try:
                state = await station.agent_state()
            except (OSError, TimeoutError):
                return False
            if not evening.has_told_hq(state):
                return False
        over = {o.transaction_no for o in await oracle.read_hq(self.stage) if o.state in _OVER}
        return all(charge.transaction_no in over for charge in books.simulators)

    async def restart_agent(self, station: StationProcesses) -> float:
        """Start a dead agent again; return the seconds until it listens."""
        started_s = time.monotonic()
        await station.start_agent()
        return time.monotonic() - started_s


async def freeze(child: Child) -> None:
    """Freeze a process and wait until all its threads stand still."""
    child.freeze()
    deadline_s = time.monotonic() + _STOP_LIMIT_S
    while not _stands_still(child.process.pid):
        if time.monotonic() > deadline_s:
            raise DemoError(f"{child.name} does not stand still")
        await asyncio.sleep(0.001)


def _stands_still(pid: int) -> bool:
    states = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended just now
            stat = (thread / "stat").read_text(encoding="utf-8", errors="replace")
            states.append(stat.rpartition(")")[2].split()[0])
    return set(states) <= {"T", "t", "Z", "X"}


async def until(what: str, done: Callable[[], Awaitable[bool]], limit_s: float) -> None:
    """Wait for something. Raises DemoError that says what was awaited."""
    deadline_s = time.monotonic() + limit_s
    while not await done():
        if time.monotonic() > deadline_s:
            raise DemoError(f"in vain: {what}, within {limit_s:.0f} s")
        await asyncio.sleep(0.2)


@asynccontextmanager
async def open_rig(level: Level, folder: Path, seed: int, say: Say) -> AsyncIterator[Rig]:
    """Bring a company up in a folder, and end it again.

    Raises:
        DemoError: A process does not come up.
    """
    whole = make_world(seed)
    tokens = _TOKENS_PER_STATION * level.stations
    world = World(
        stations=whole.stations[: level.stations],
        cards=whole.cards[:tokens],
        vins=whole.vins[:tokens],
        scale=_SCALE,
        web_port=0,
    )
    async with open_stage(world, folder, seed, say) as stage:
        for station in stage.stations:
            station.customers.patience_s = _PATIENCE_S
        yield Rig(stage, seed, say)
