"""A screen that is killed, hangs, is resized or hammered at: the agent notices nothing (S7)."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ops.bench.safety_kiosk import Screen
from tests.component.edge.agent_support import write_config
from tests.component.edge.faults.support import (
    AgentProcess,
    agent_process,
    beat_s,
    charger,
    overheat_s,
)
from tests.component.gateway_support import Charger

_LAG_LIMIT_S = 0.2
_BEATS = 40
_SIZES = ((45, 160), (24, 80), (10, 40), (60, 200), (5, 10), (30, 106))
_KEYS = b"aAlLdDsSeEhH?123\x1b[A\x1b[B\x1b[C\x1b[D\r \t\x1b\x7f\x0c"


def kill(screen: Screen) -> None:
    os.kill(screen.pid, signal.SIGKILL)


def hang(screen: Screen) -> None:
    os.kill(screen.pid, signal.SIGSTOP)


def resize(screen: Screen) -> None:
    for rows, columns in _SIZES * 3:
        screen.resize(rows, columns)
        os.kill(screen.pid, signal.SIGWINCH)


def mash(screen: Screen) -> None:
    draw = random.Random("keys")
    screen.type(bytes(draw.choice(_KEYS) for _ in range(500)))


@asynccontextmanager
async def screen_of(agent: AgentProcess) -> AsyncIterator[Screen]:
    """A screen that shows the station."""
    socket = str(agent.data_dir / "agent.sock")
    with Screen(sys.executable, "-m", "ops.cli", "edge", "kiosk", "--socket", socket) as screen:
        async with asyncio.timeout(20):
            while not watchers(agent) or screen.written < 2_000:
                assert screen.running()
                await asyncio.sleep(0.05)
        try:
            yield screen
        finally:
            if screen.running():
                os.kill(screen.pid, signal.SIGCONT)


def watchers(agent: AgentProcess) -> int:
    """How many read the stream of views: connections to the socket but the one that asks."""
    shown = Path("/proc/net/unix").read_text()
    return shown.count(str(agent.data_dir / "agent.sock")) - 1


@pytest.mark.parametrize("harm", [kill, hang, resize, mash])
async def test_what_happens_to_the_screen_does_not_touch_the_agent(
    tmp_path: Path, harm: Callable[[Screen], None]
) -> None:
    config = write_config(tmp_path)
    async with agent_process(config, tmp_path / "data") as agent, charger(agent.port) as link:
        async with screen_of(agent) as screen:
            harm(screen)
            assert max(await lags(link, agent.pid)) < _LAG_LIMIT_S
            assert await overheat_s(link, pid=agent.pid) < _LAG_LIMIT_S
            if harm in (resize, mash):
                assert screen.running()
        assert max(await lags(link, agent.pid)) < _LAG_LIMIT_S
        assert not any((await agent.state())["handler_failures"].values())


async def lags(link: Charger, pid: int) -> list[float]:
    found = []
    for _ in range(_BEATS):
        found.append(await beat_s(link, pid=pid))
        await asyncio.sleep(0.02)
    return found
