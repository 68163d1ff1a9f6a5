"""HQ on real servers: a migrated database, a worker in this process, stations that talk MQTT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from aiomqtt import Client, ProtocolVersion
from fastapi import FastAPI

from cloud.app import open_app
from cloud.core.connections import open_connections
from cloud.core.db import Sessions
from cloud.core.migrations import upgrade
from cloud.core.security import Role
from cloud.identity.service import create_staff
from cloud.settings import Settings, load
from cloud.stations.models import Station
from cloud.stations.service import create_station, ensure_operator
from cloud.worker import Worker, open_worker
from ops.embedded import EmbeddedServers
from shared.contracts.commands import Command
from shared.contracts.envelope import (
    VERSION,
    Status,
    Uplink,
    decode_ack,
    decode_command,
    encode,
    pack_events,
)
from shared.contracts.events import AnyEvent, CommandSettled
from shared.contracts.telemetry import Sample, pack_samples
from shared.contracts.topics import Lane, all_down, status, up
from shared.contracts.words import Outcome, SampleKind

PASSWORD = "correct horse battery"
NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.fixture
def hq_config(servers: EmbeddedServers, database_url: str, redis_url: str, tmp_path: Path) -> Path:
    """A configuration file of an HQ with an empty, migrated database."""
    upgrade(database_url)
    ends = servers.endpoints
    (tmp_path / "mqtt.secret").write_text(ends.mqtt_password)
    path = tmp_path / "cloud.toml"
    path.write_text(
        f"""
[database]
url = "{database_url}"
pool_size = 4
[redis]
url = "{redis_url}"
[broker]
host = "{ends.mqtt_host}"
port = {ends.mqtt_port}
username = "{ends.mqtt_user}"
password_file = "{tmp_path / "mqtt.secret"}"
[web]
port = 0
[worker]
presence_s = 2
sweep_s = 0.3
broker_down_s = 1.0
"""
    )
    return path


@pytest.fixture
def settings(hq_config: Path) -> Settings:
    return load(hq_config)


@pytest.fixture
async def sessions(settings: Settings) -> AsyncIterator[Sessions]:
    async with open_connections(
        settings.database.url, settings.redis.url, pool_size=4, time_scale=1.0
    ) as connections:
        yield connections.sessions


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database.raw_url)
    yield connection
    await connection.close()


@pytest.fixture
async def station(sessions: Sessions) -> Station:
    return await make_station(sessions, f"S-{uuid4().hex[:8]}")


async def make_station(sessions: Sessions, station_no: str) -> Station:
    async with sessions() as session, session.begin():
        operator = await ensure_operator(session, name="Test", now=NOW)
        station, _ = await create_station(
            session,
            operator_id=operator.id,
            station_no=station_no,
            name_zh="站",
            name_en="Station",
            time_zone="Asia/Shanghai",
            now=NOW,
        )
    return station


@asynccontextmanager
async def running_worker(settings: Settings) -> AsyncIterator[Worker]:
    async with open_worker(settings) as worker:
        task = asyncio.create_task(worker.run())
        connected = asyncio.create_task(worker.link.connected.wait())
        done, _ = await asyncio.wait({task, connected}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            connected.cancel()
            task.result()
        yield worker
        if task.done():
            task.result()
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def worker(settings: Settings) -> AsyncIterator[Worker]:
    async with running_worker(settings) as worker:
        yield worker


@dataclass
class Sent:
    lane: Lane
    seq: int


class TestStation:
    """The station's end of the link, as little of it as HQ needs."""

    __test__ = False

    def __init__(self, client: Client, station_no: str) -> None:
        self.client = client
        self.station_no = station_no
        self.epoch: UUID = uuid4()
        self.acked: set[tuple[Lane, int]] = set()
        self.commands: asyncio.Queue[tuple[UUID, Command]] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._seq = 0

    async def listen(self) -> None:
        async for message in self.client.messages:
            payload = message.payload
            assert isinstance(payload, bytes)
            if str(message.topic).endswith("/ack"):
                ack = decode_ack(payload)
                if ack.epoch == self.epoch:
                    for lane, seqs in ack.committed:
                        self.acked.update((lane, seq) for seq in seqs)
            else:
                envelope = decode_command(payload)
                await self.commands.put((envelope.command_id, envelope.command))
            async with self._changed:
                self._changed.notify_all()

    async def send(self, lane: Lane, *events: AnyEvent) -> Sent:
        return await self.send_body(lane, pack_events(events), len(events))

    async def send_samples(self, samples: list[Sample]) -> Sent:
        return await self.send_body(Lane.TELEMETRY, pack_samples(samples), len(samples))

    async def send_body(
        self, lane: Lane, body: bytes, count: int, *, seq: int | None = None, says: str = ""
    ) -> Sent:
        if seq is None:
            self._seq += 1
            seq = self._seq
        uplink = Uplink(
            version=VERSION,
            station_no=says or self.station_no,
            epoch=self.epoch,
            lane=lane,
            seq=seq,
            sealed_at_ms=int(NOW.timestamp() * 1000),
            count=count,
            body=body,
        )
        await self.client.publish(up(self.station_no, lane), encode(uplink), qos=1)
        return Sent(lane, seq)

    async def say_status(self, *, online: bool) -> None:
        payload = encode(Status(online=online, at_ms=0))
        await self.client.publish(status(self.station_no), payload, qos=1)

    async def settle(self, command_id: UUID, outcome: Outcome = Outcome.DONE) -> Sent:
        settled = CommandSettled(occurred_at=NOW, command_id=command_id, outcome=outcome)
        return await self.send(Lane.STATE, settled)

    async def committed(self, *sent: Sent) -> None:
        """Wait until HQ has acknowledged these batches."""
        wanted = {(each.lane, each.seq) for each in sent}
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: wanted <= self.acked)


@asynccontextmanager
async def open_station(servers: EmbeddedServers, station_no: str) -> AsyncIterator[TestStation]:
    ends = servers.endpoints
    async with Client(
        ends.mqtt_host,
        ends.mqtt_port,
        username=ends.mqtt_user,
        password=ends.mqtt_password,
        identifier=f"station-{station_no}-{uuid4().hex[:6]}",
        protocol=ProtocolVersion.V5,
    ) as client:
        await client.subscribe(all_down(station_no), qos=1)
        link = TestStation(client, station_no)
        listening = asyncio.create_task(link.listen())
        yield link
        listening.cancel()
        await asyncio.wait({listening})


@pytest.fixture
async def link(servers: EmbeddedServers, station: Station) -> AsyncIterator[TestStation]:
    async with open_station(servers, station.station_no) as link:
        yield link


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[FastAPI]:
    async with open_app(settings) as api:
        yield api


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hq") as client:
        yield client


LogIn = Callable[[Role], Awaitable[dict[str, str]]]


@pytest.fixture
def log_in(client: httpx.AsyncClient, sessions: Sessions) -> Iterator[LogIn]:
    """Return headers of somebody with a role."""

    async def as_role(role: Role) -> dict[str, str]:
        async with sessions() as session, session.begin():
            operator = await ensure_operator(session, name="Test", now=NOW)
            name = f"{role}-{uuid4().hex[:6]}"
            await create_staff(
                session,
                operator_id=operator.id,
                username=name,
                password=PASSWORD,
                role=role,
                now=NOW,
            )
        answer = await client.post(
            "/api/v1/auth/token", data={"username": name, "password": PASSWORD}
        )
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    return as_role


def meter(charge_point_no: str, at_ms: int, energy_dwh: int, connector_no: int = 1) -> Sample:
    """A plausible meter sample."""
    values = (4000, 1250, energy_dwh, energy_dwh * 12, 55, 41, 33, 12, 40, 3, 0)
    return Sample(SampleKind.METER, charge_point_no, connector_no, None, at_ms, values)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait until something outside this process is so."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.05)
