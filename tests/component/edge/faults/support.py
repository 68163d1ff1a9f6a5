"""A real agent process, what is done to its storage, and charge points on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.frames import Frame
from edge.local_api import ask
from ops.bench.safety_rig import FullDisk
from tests.component.gateway_support import NUMBER, TX, Charger, realtime, record
from tests.fakes.stopwatch import Stopwatch

ROOT = Path(__file__).resolve().parents[4]
_MARK = b"listening for charge points on "
_LIMIT_S = 20.0


class AgentProcess:
    """A running `vw edge run`."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, data_dir: Path) -> None:
        self.process = process
        self.pid = process.pid
        self.port = port
        self.data_dir = data_dir

    async def ask(self, **request: Any) -> dict[str, Any]:
        return await ask(self.data_dir / "agent.sock", request)

    async def state(self) -> dict[str, Any]:
        return await self.ask(do="state")

    async def alarms(self) -> set[str]:
        return {alarm["code"] for alarm in (await self.state())["alarms"]}

    async def until_alarm(self, code: str) -> None:
        """Wait until an alarm is open."""
        async with asyncio.timeout(_LIMIT_S):
            while code not in await self.alarms():  # noqa: ASYNC110 - another process raises it
                await asyncio.sleep(0.05)


@asynccontextmanager
async def agent_process(
    config: Path, data_dir: Path, environment: dict[str, str] | None = None
) -> AsyncIterator[AgentProcess]:
    """Run an agent; it is ended by its own pid, and must end well."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "edge", "run", "--config", str(config)),
        cwd=ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    assert process.stderr is not None
    said = b""
    async with asyncio.timeout(_LIMIT_S):
        while _MARK not in said:
            line = await process.stderr.readline()
            assert line, said.decode()
            said += line
    port = int(said.partition(_MARK)[2].split()[0].rpartition(b":")[2])
    drain = asyncio.create_task(process.stderr.read())
    try:
        yield AgentProcess(process, port, data_dir)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(_LIMIT_S):
            await process.wait()
        await drain


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[FullDisk]:
    """A small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("a disk that fills up needs root; the journal's failpoints stand in for it")
    try:
        made = FullDisk(folder)
    except subprocess.CalledProcessError:
        pytest.skip("nobody may mount a disk here; the journal's failpoints stand in for it")
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def storage_fault(pid: int, inject: str, log: Path) -> AsyncIterator[None]:
    """Have the kernel treat the agent's syncs as `inject` says, from now until the end."""
    if shutil.which("strace") is None:
        pytest.skip("strace makes disks slow or bad; it is not here")
    calls = "fdatasync,fsync"
    command = ["strace", "-f", "-tt", "-y", "-o", str(log), "-e", f"trace={calls},openat,close"]
    command += ["-e", f"inject={calls}:{inject}", "-p", str(pid)]
    tracer = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert tracer.stderr is not None
    async with asyncio.timeout(_LIMIT_S):
        line = await tracer.stderr.readline()
    if b"attached" not in line:
        await tracer.wait()
        pytest.skip(f"strace may not attach here: {line.decode()}")
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        await tracer.wait()


@asynccontextmanager
async def charger(port: int, number: str = NUMBER) -> AsyncIterator[Charger]:
    """A charge point that has logged in and beats."""
    async with Charger(port) as link:
        await link.log_in(number)
        link.send(messages.Heartbeat(number, 1, 0))
        await link.expect(messages.HeartbeatAnswer)
        yield link


async def beat_s(link: Charger, number: str = NUMBER, *, pid: int | None = None) -> float:
    """Return how long a heartbeat waits for its answer: the lag of the agent's loop.

    With the agent's `pid` without what its machine let it wait for a processor.
    """
    watch = Stopwatch(*(() if pid is None else (pid,)))
    link.send(messages.Heartbeat(number, 1, 0))
    await link.expect(messages.HeartbeatAnswer)
    return watch.elapsed_s()


async def heard_by_now(link: Charger, number: str = NUMBER) -> list[int]:
    """Return the types of all frames that came up to now, by the answer to a heartbeat."""
    link.send(messages.Heartbeat(number, 1, 0))
    kinds: list[int] = []
    async with asyncio.timeout(_LIMIT_S):
        while messages.HeartbeatAnswer.KIND not in kinds:
            data = await link._reader.read(4096)
            assert data, "closed by the station"
            frames = [*link._inbox, *link._frames.feed(data)]
            link._inbox.clear()
            kinds += [item.kind for item in frames if isinstance(item, Frame)]
    return kinds


async def until_confirmed(link: Charger, tx: str = TX) -> None:
    """Send a record again and again, as charge points do, until it is confirmed."""
    async with asyncio.timeout(_LIMIT_S):
        while True:
            link.send(record(tx=tx))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    answer = await link.expect(messages.RecordConfirm)
                    assert (answer.transaction_no, answer.result) == (tx, 0)
                    return


def hot(number: str = NUMBER, tx: str = TX, connector_no: int = 1) -> messages.BmsStatus:
    """A 0x25 of a battery of 70 °C."""
    return messages.BmsStatus(tx, number, connector_no, 40, 120, 7, 80, 21, 0, 0x10)


async def overheat_s(
    link: Charger, number: str = NUMBER, tx: str = TX, *, pid: int | None = None
) -> float:
    """Overheat the car of connector 1; return the seconds until the stop frame is here.

    With the agent's `pid` without what its machine let it wait for a processor.
    """
    link.send(realtime(number, tx, state=3))
    await beat_s(link, number)
    watch = Stopwatch(*(() if pid is None else (pid,)))
    link.send(hot(number, tx))
    stop = await link.expect(messages.RemoteStop)
    assert (stop.charge_point_no, stop.connector_no) == (number, 1)
    return watch.elapsed_s()
