"""A simulator whose station does not answer says so, and when it does again."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from ops.embedded.processes import free_port
from ops.sim.machine import ChargePointSpec
from ops.sim.outage import Outage
from ops.sim.site import Site
from ops.sim.timing import FAST

ROOT = Path(__file__).resolve().parents[2]


async def test_a_simulator_without_a_station_says_so_once() -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.sim.cli", "charger", "--port", str(port),
        "--count", "3", "--timing", "fast",
        cwd=ROOT, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(20):
        lines = [(await process.stderr.readline()).decode() for _ in range(2)]
        with socket.create_server(("127.0.0.1", port)):
            lines.append((await process.stderr.readline()).decode())
            process.terminate()
            await process.communicate()
    assert lines == [
        "3 charge points connecting, seed 1\n",
        f"1 charge point cannot connect to 127.0.0.1:{port}: Connection refused; trying on\n",
        f"connected to 127.0.0.1:{port}\n",
    ]


async def test_it_is_said_again_while_it_lasts() -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    port = free_port()
    outage = Outage(f"127.0.0.1:{port}", said.put_nowait, again_s=0.3)
    specs = [ChargePointSpec(charge_point_no=f"3201060001923{n}") for n in range(2)]
    site = Site(specs, book_path=None, host="127.0.0.1", port=port, timing=FAST, outage=outage)
    site.start()
    async with asyncio.timeout(10):
        assert (await said.get()).startswith("1 charge point cannot")
        assert (await said.get()).startswith("2 charge points cannot")
        with socket.create_server(("127.0.0.1", port)):
            while (text := await said.get()) != f"connected to 127.0.0.1:{port}":
                assert "cannot connect" in text
            await site.stop()
    assert said.empty()
