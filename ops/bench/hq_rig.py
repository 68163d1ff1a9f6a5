"""A real HQ for benches: a migrated database, stations, one worker process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil

from ops.bench.children import ROOT, BenchError, cpu_s
from ops.bench.rig import Rig
from ops.embedded.processes import end
from ops.embedded.servers import read_state

_START_LIMIT_S = 30.0
_OPERATOR = "Bench"


class Hq:
    """Ends with its rig."""

    def __init__(self, rig: Rig, stations: list[str]) -> None:
        """Make the database and the stations, start the worker and wait until it listens.

        Raises:
            BenchError: It does not come up.
        """
        from cloud.core.migrations import upgrade

        self._rig = rig
        where = rig.endpoints
        self.database_url = rig.servers.create_database("bench")
        upgrade(self.database_url)
        asyncio.run(_make_stations(self.database_url, stations))
        secret = rig.folder / "mqtt.secret"
        secret.write_text(where.mqtt_password, encoding="utf-8")
        config = rig.folder / "cloud.toml"
        config.write_text(
            f'[database]\nurl = "{self.database_url}"\n'
            f'[redis]\nurl = "{where.redis_url}"\n'
            f'[broker]\nhost = "{where.mqtt_host}"\nport = {where.mqtt_port}\n'
            f'username = "{where.mqtt_user}"\npassword_file = "{secret}"\n',
            encoding="utf-8",
        )
        self._worker = self._start_worker(config)
        self.pid = self._worker.pid
        rig.on_exit(lambda: end(self._worker))

    def _start_worker(self, config: Path) -> subprocess.Popen[bytes]:
        log = self._rig.folder / "worker.log"
        with log.open("ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "ops.cli", "hq", "work", "--config", str(config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline_s = time.monotonic() + _START_LIMIT_S
        while "broker connected" not in (text := log.read_text(encoding="utf-8")):
            if worker.poll() is not None or time.monotonic() > deadline_s:
                end(worker)
                raise BenchError(f"HQ's worker did not start: {text[-500:]}")
            time.sleep(0.05)
        return worker

    def cpu_s(self) -> dict[str, float]:
        """Return the processor time of worker, broker, Redis and PostgreSQL so far."""
        state = read_state(self._rig.servers.data_dir)
        broker = self._rig.servers.broker_pid
        if state is None or broker is None:
            raise BenchError("the embedded servers are gone")
        return {
            "worker": cpu_s(self.pid),
            "broker": cpu_s(broker),
            "redis": cpu_s(state["valkey_pid"]),
            "postgres": _postgres_s(self._rig.servers.data_dir / "postgres"),
        }

    def rows(self) -> int:
        """Return how many telemetry records are stored."""
        return asyncio.run(_count(self.database_url))


def _postgres_s(folder: Path) -> float:
    pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    postmaster = psutil.Process(pid)
    times = postmaster.cpu_times()
    # Servers that have ended since are in the times of children that were waited for.
    total = cpu_s(pid) + float(times.children_user + times.children_system)
    for child in postmaster.children(recursive=True):
        try:
            total += cpu_s(child.pid)
        except OSError:  # it ended in between
            continue
    return total


async def _make_stations(url: str, numbers: list[str]) -> None:
    from datetime import UTC, datetime

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

    from cloud.stations import service

    engine = create_async_engine(url)
    now = datetime.now(UTC)
    async with async_sessionmaker(engine, class_=AsyncSession)() as session, session.begin():
        company = await service.ensure_operator(session, name=_OPERATOR, now=now)
        for number in numbers:
            await service.create_station(
                session,
                operator_id=company.id,
                station_no=number,
                name_zh=number,
                name_en=number,
                time_zone="Asia/Shanghai",
                now=now,
            )
    await engine.dispose()


async def _count(url: str) -> int:
    import asyncpg

    connection = await asyncpg.connect(url.replace("+asyncpg", "", 1))
    try:
        return int(await connection.fetchval("SELECT count(*) FROM telemetry_sample"))
    finally:
        await connection.close()
