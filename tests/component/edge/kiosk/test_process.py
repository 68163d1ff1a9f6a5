"""The screen and the agent as processes: neither takes the other down, and silence shows."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs

from edge.local_api import ask
from edge.station.pins import FILE, hash_pin, save_file
from edge.view import StationView
from shared.contracts.commands import EmergencyStop
from shared.contracts.protection import Pin
from shared.contracts.words import ConnectorStatus
from tests.component.edge.agent_support import NUMBER, running, write_config
from tests.component.edge.kiosk.terminal_support import terminal
from tests.fakes.agent_socket import FakeAgent, serving
from tests.fakes.stations import burning, calm, connector, smoke

ROOT = Path(__file__).resolve().parents[4]
RSS_MAX = 60_000_000
CPU_MAX = 0.05
MEASURED_S = 6.0
SAYS_SO_S = 3.0
CODE = "emergency_stop"
START_S = 10.0  # generous: other work runs on this machine


@asynccontextmanager
async def agent(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the agent as a process until it is listening."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", "edge", "run", "--config", str(config),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    draining = None
    try:
        async with asyncio.timeout(30):
            while b"listening" not in await process.stderr.readline():
                pass
        draining = asyncio.create_task(process.stderr.read())
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()
        if draining is not None:
            await draining


async def test_the_screen_says_so_within_three_seconds_and_recovers(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    path = tmp_path / "data" / "agent.sock"
    async with terminal(
        "ops.cli", "edge", "kiosk", "--socket", str(path), "--language", "zh"
    ) as screen:
        await screen.shows("正在连接站控", START_S)
        async with agent(config) as process:
            await screen.shows("01号桩", START_S)
            screen.forget()
            process.send_signal(signal.SIGSTOP)
            await screen.shows("站控无应答", SAYS_SO_S)
            screen.forget()
            process.send_signal(signal.SIGCONT)
            await screen.shows("独立运行", START_S)
            screen.forget()
            process.kill()
            await screen.shows("站控无应答", SAYS_SO_S)
        screen.forget()
        async with agent(config):
            await screen.shows("独立运行", START_S)
        assert screen.process.returncode is None


async def test_a_socket_that_a_dead_agent_left_is_no_agent(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with terminal("edge.kiosk", "--socket", str(path), "--language", "zh") as screen:
        await screen.shows("没有站控应答", START_S)
        assert screen.process.returncode is None


async def test_a_killed_screen_leaves_the_agent_as_it_was(tmp_path: Path) -> None:
    async with running(write_config(tmp_path)) as station:
        path = station.data_dir / "agent.sock"
        async with terminal("edge.kiosk", "--socket", str(path), "--language", "zh") as screen:
            await screen.shows("01号桩", START_S)
            screen.process.send_signal(signal.SIGKILL)
            await screen.process.wait()
        answer = await ask(path, {"do": "state"})
        assert {entry["charge_point_no"] for entry in answer["connectors"]} == {NUMBER}
        # What takes its place is there in time: the unit waits one second, this is the rest.
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with terminal("edge.kiosk", "--socket", str(path), "--language", "zh") as screen:
            await screen.shows("01号桩", START_S)
            assert loop.time() - started_s < 5.0


async def test_an_alarm_of_a_real_agent_is_acknowledged_and_silenced_at_the_screen(
    tmp_path: Path,
) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        save_file(station.data_dir / FILE, [Pin(name="Li", role="staff", hash=hash_pin("2468"))])
        path = station.data_dir / "agent.sock"
        async with terminal("edge.kiosk", "--socket", str(path), "--language", "zh") as screen:
            await screen.shows("01号桩", START_S)
            await station.command(EmergencyStop())
            await screen.shows("按 A 或触摸此处确认", START_S)
            screen.press("s")
            await screen.shows("PIN", START_S)
            screen.press("1357\r")
            await screen.shows("PIN 错误, 还可试 4 次", START_S)
            screen.press("2468\r")
            await screen.shows("已静音", START_S)
            await screen.presses("a", "已确认", START_S)
        (alarm,) = [a for a in station.agent.station.alarms.open_alarms() if a.code == CODE]
        assert alarm.acknowledged_by == "screen"
        assert alarm.silenced


@pytest.mark.parametrize(
    "locale",
    [
        {"TERM": "linux", "LANG": "C.UTF-8"},
        {"TERM": "xterm", "LC_ALL": "C"},
        {"TERM": "xterm", "LANG": "POSIX"},
        {"TERM": "xterm", "LANG": "zh_CN.GB18030"},
    ],
    ids=lambda locale: " ".join(locale.values()),
)
async def test_a_poor_terminal_is_sent_nothing_that_it_cannot_draw(
    tmp_path: Path, locale: dict[str, str]
) -> None:
    path = tmp_path / "agent.sock"
    async with serving(path, burning(smoke())) as fake:
        arguments = ("ops.cli", "edge", "kiosk", "--socket", str(path))
        async with terminal(*arguments, size=(80, 24), locale=locale) as screen:
            await screen.shows("Press A or touch here to acknowledge", START_S)
            await screen.presses("a", "acknowledged, still active", START_S)
            assert screen.written.isascii()
            assert b"\x1b[38;" not in screen.written  # sixteen colours by their own numbers
        assert fake.requests[0]["do"] == "acknowledge"


async def test_without_a_terminal_it_says_what_to_do_instead(tmp_path: Path) -> None:
    arguments = ("edge.kiosk", "--socket", str(tmp_path / "agent.sock"))
    async with terminal(*arguments, locale={"TERM": "dumb"}) as screen:
        await screen.shows("vw edge kiosk-web", START_S)
        assert await screen.process.wait() == 2


async def test_twenty_four_connectors_cost_little(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    view = calm(12)
    points = tuple(
        structs.replace(
            point,
            connectors=tuple(
                connector(index, number, ConnectorStatus.CHARGING, 50) for number in (1, 2)
            ),
        )
        for index, point in enumerate(view.charge_points, 1)
    )
    view = structs.replace(view, charge_points=points)
    async with serving(path, view) as fake:
        arguments = ("edge.kiosk", "--socket", str(path), "--language", "zh")
        async with terminal(*arguments, size=(160, 45)) as screen:
            await screen.shows("12号桩", START_S)
            await _report(fake, view, 2.0)
            before_s = screen.cpu_s()
            await _report(fake, view, MEASURED_S)
            share = (screen.cpu_s() - before_s) / MEASURED_S
            assert share < CPU_MAX
            assert screen.rss_bytes() < RSS_MAX


async def _report(agent: FakeAgent, view: StationView, seconds: float) -> None:
    """Have every connector report every two seconds, spread over quarters of a second."""
    loop = asyncio.get_running_loop()
    end_s, step = loop.time() + seconds, 0
    while loop.time() < end_s:
        step += 1
        points = list(agent.view.charge_points)
        for index, point in enumerate(points):
            connectors = tuple(
                structs.replace(entry, power_w=60_000 + step * 137)
                if (2 * index + entry.connector_no) % 8 == step % 8
                else entry
                for entry in point.connectors
            )
            points[index] = structs.replace(point, connectors=connectors)
        at_ms = view.at_ms + step * 250
        agent.show(structs.replace(view, charge_points=tuple(points), at_ms=at_ms))
        await asyncio.sleep(0.25)


def test_it_loads_nothing_of_the_agent() -> None:
    heavy = ("pymodbus", "sqlite3", "pydantic", "edge.app", "edge.station", "paho", "aiohttp")
    program = (
        "import sys, edge.kiosk.app, edge.kiosk.__main__;"
        f"print(*sorted(set(sys.modules) & set({heavy!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
