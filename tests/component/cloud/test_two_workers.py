"""Two workers share the stations' batches; one is killed in mid-batch; nothing is lost or twice."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from cloud.stations.models import Station
from shared.contracts.envelope import pack_events
from shared.contracts.events import ChargePointAdopted
from shared.contracts.telemetry import pack_samples
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import NOW, Sent, TestStation, meter, until

BATCHES = 120
PER_BATCH = 200
NUMBER = "55031412782305"


class Process:
    """`vw hq work` as an operator runs it."""

    def __init__(self, config: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "hq", "work", "--config", str(config)],
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def connected(self) -> bool:
        assert self.child.poll() is None, self._log.read_text()
        return "broker connected" in self._log.read_text()


@pytest.fixture
def workers(hq_config: Path, tmp_path: Path) -> Iterator[list[Process]]:
    started = [Process(hq_config, tmp_path / f"worker-{number}.log") for number in (1, 2)]
    yield started
    for process in started:
        process.child.kill()
        process.child.wait()


async def test_one_of_two_workers_is_killed_and_every_row_is_there_once(
    workers: list[Process],
    station: Station,
    link: TestStation,
    database: asyncpg.Connection,
) -> None:
    for process in workers:
        await until(process.connected, 60)
    bodies = make_bodies()
    victim = workers[0].child

    async def committed() -> int:
        return int(await database.fetchval("SELECT count(*) FROM ingest_inbox"))

    async def some_are_there() -> bool:
        return await committed() > 5

    async def is_stopped() -> bool:
        return psutil.Process(victim.pid).status() == psutil.STATUS_STOPPED

    async def the_other_goes_on() -> bool:
        return await committed() >= at_stop + 5

    sending = asyncio.create_task(send_until_acknowledged(link, bodies))
    await until(some_are_there)
    # Stopped first, so that it certainly holds batches that it has not committed.
    victim.send_signal(signal.SIGSTOP)
    await until(is_stopped)
    at_stop = await committed()
    # They are dealt in turn: what the other commits meanwhile, the stopped one has too.
    await until(the_other_goes_on)
    victim.kill()
    resent = await sending

    assert resent > 0, "the killed worker held nothing: the test proved nothing"
    rows = await database.fetchval("SELECT count(*) FROM telemetry_sample")
    energies = await database.fetchval("SELECT count(DISTINCT energy_dwh) FROM telemetry_sample")
    assert rows == energies == BATCHES * PER_BATCH
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == len(bodies)
    points = await database.fetchval("SELECT count(*) FROM stations_charge_point")
    assert points == len(bodies) - BATCHES


def make_bodies() -> list[tuple[Lane, int, int, bytes]]:
    """Telemetry with facts between, as (lane, seq, count, body)."""
    start_ms = time.time_ns() // 1_000_000
    bodies = []
    for seq in range(BATCHES):
        samples = [
            meter(NUMBER, start_ms + row * 1000, row)
            for row in range(seq * PER_BATCH, (seq + 1) * PER_BATCH)
        ]
        bodies.append((Lane.TELEMETRY, seq, PER_BATCH, pack_samples(samples)))
        if seq % 4 == 0:
            adopted = ChargePointAdopted(
                occurred_at=NOW,
                charge_point_no=f"{seq:014}",
                connector_count=1,
                dialect="ykc16",
                rated_w=60_000,
            )
            bodies.append((Lane.STATE, seq, 1, pack_events([adopted])))
    return bodies


async def send_until_acknowledged(
    link: TestStation, bodies: list[tuple[Lane, int, int, bytes]]
) -> int:
    """Send everything, then again what is not acknowledged; return how many were sent again."""
    resent = 0
    for attempt in range(20):
        waiting = [each for each in bodies if (each[0], each[1]) not in link.acked]
        if not waiting:
            return resent
        resent += len(waiting) if attempt else 0
        for lane, seq, count, body in waiting:
            await link.send_body(lane, body, count, seq=seq)
        wanted = [Sent(lane, seq) for lane, seq, _, _ in waiting]
        try:
            async with asyncio.timeout(3):
                await link.committed(*wanted)
        except TimeoutError:
            continue
    raise AssertionError(f"{len(waiting)} batches were never acknowledged")


async def test_serve_and_work_say_how_to_get_a_database(tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(
        '[database]\nurl = "postgresql+asyncpg://x@127.0.0.1:1/none"\n'
        '[redis]\nurl = "redis://127.0.0.1:1/0"\n'
        "[web]\nport = 0\n"
    )
    for verb in ("serve", "work", "migrate"):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ops.cli",
            "hq",
            verb,
            "--config",
            str(config),
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaint = await process.communicate()
        assert process.returncode == 5, complaint.decode()
        assert re.search("vw embedded up", complaint.decode())
