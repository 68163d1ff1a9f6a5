"""A whole agent in this process, with simulated charge points on real TCP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge.app import Agent
from edge.local_api import ask
from edge.settings import load
from ops.sim.book import Book
from ops.sim.charge_point import ChargePoint, ChargePointSpec
from ops.sim.timing import FAST
from shared.clock import Clock, SystemClock, from_ms
from shared.contracts import commands as c
from shared.contracts.envelope import CommandEnvelope
from shared.contracts.events import Token
from shared.contracts.words import TokenKind

CARD = "00000000d14b0a54"
NUMBER = "32010600019236"
TARIFF = {
    "slots": "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV",
    "prices_e5": {
        "sharp": [123456, 45000], "peak": [102345, 45000],
        "flat": [65432, 40000], "valley": [32109, 35000],
    },
}  # fmt: skip


def write_config(folder: Path, *, adopted: tuple[str, ...] = (NUMBER,), more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tariff = folder / "tariff.json"
    tariff.write_text(json.dumps(TARIFF))
    charge_points = "\n".join(
        f'[[charge_point]]\nnumber = "{number}"\nconnectors = 2\n' for number in adopted
    )
    path = folder / "edge.toml"
    path.write_text(
        f"""
[station]
number = "S1"
data_dir = "{folder / "data"}"
[gateway]
host = "127.0.0.1"
port = 0
[tariff]
file = "{tariff}"
[timing]
profile = "fast"
{charge_points}
{more}
"""
    )
    return path


class Running:
    """An agent that serves."""

    def __init__(self, agent: Agent, port: int, config: Path) -> None:
        self.agent = agent
        self.port = port
        self.config = config
        self.data_dir = agent.settings.station.data_dir

    async def ask(self, **request: Any) -> dict[str, Any]:
        return await ask(self.data_dir / "agent.sock", request)

    async def allow(self, *cards: str) -> None:
        """Have HQ publish a list with these cards, `CARD` when none is named."""
        entries = tuple(
            c.AccessEntry(token=Token(TokenKind.CARD, card), limit_fen=500_000)
            for card in cards or (CARD,)
        )
        await self.command(c.PublishAccessList(version=1, entries=entries))

    async def command(self, command: c.AnyCommand) -> None:
        """Play HQ."""
        now = from_ms(self.agent.station.now().wall_ms)
        envelope = CommandEnvelope(
            station_no="S1", command_id=uuid4(), issued_at=now, command=command
        )
        self.agent.station.on_command(envelope)
        await self.agent.journal.commit([])  # it is carried out once its id is stored

    async def export(self) -> list[str]:
        answer = await self.ask(do="export")
        return list(answer["lines"])


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[Running]:
    agent = Agent(load(config))
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(agent.run(stop, lambda host, port: listening.set_result(port)))
    await asyncio.wait((listening, task), return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield Running(agent, listening.result(), config)
    finally:
        stop.set()
        await task


@asynccontextmanager
async def charge_point(
    port: int, folder: Path, number: str = NUMBER, seed: int = 7, clock: Clock | None = None
) -> AsyncIterator[ChargePoint]:
    book = Book(folder / f"{number}.jsonl")
    try:
        async with ChargePoint(
            ChargePointSpec(charge_point_no=number),
            book=book,
            host="127.0.0.1",
            port=port,
            clock=clock or SystemClock(),
            timing=FAST,
            seed=seed,
        ) as point:
            yield point
    finally:
        book.close()
