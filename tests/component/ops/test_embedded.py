"""The embedded servers, for real: they answer, restart, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis.asyncio as redis
from aiomqtt import Client, MqttError, ProtocolVersion

from ops.embedded import EmbeddedError, EmbeddedServers, Endpoints


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="voltwarden-embedded-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def mqtt(endpoints: Endpoints, password: str | None = None) -> Client:
    return Client(
        endpoints.mqtt_host,
        endpoints.mqtt_port,
        protocol=ProtocolVersion.V5,
        username=endpoints.mqtt_user,
        password=password or endpoints.mqtt_password,
        timeout=2,
    )


async def ask_postgres(url: str) -> str:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return str(await connection.fetchval("SELECT current_database()"))
    finally:
        await connection.close()


async def echo(endpoints: Endpoints, size: int = 4) -> bytes:
    async with mqtt(endpoints) as client:
        await client.subscribe("echo", qos=1)
        await client.publish("echo", b"x" * size, qos=1)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return message.payload
    raise AssertionError("no message")


def children_of(folder: Path) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in part for part in process.info["cmdline"] or [])
    ]


async def test_all_three_answer(servers: EmbeddedServers, redis_url: str) -> None:
    assert await ask_postgres(servers.create_database("answers")) == "answers"
    assert len(await echo(servers.endpoints, size=900_000)) == 900_000
    async with redis.from_url(redis_url) as client:
        assert await client.ping()
        settings = await client.config_get("notify-keyspace-events")
    assert set(str(settings["notify-keyspace-events"])) == {"x", "E"}


async def test_wrong_password_is_refused(servers: EmbeddedServers) -> None:
    with pytest.raises(MqttError):
        async with mqtt(servers.endpoints, password="guess"):
            pass


async def test_killed_broker_comes_back_with_the_same_log_in(servers: EmbeddedServers) -> None:
    before = servers.broker_pid
    servers.kill_broker()
    assert servers.broker_pid is None
    with pytest.raises(MqttError):
        await echo(servers.endpoints)

    servers.start_broker()

    assert servers.broker_pid != before
    assert await echo(servers.endpoints) == b"xxxx"


def test_two_owners_of_one_folder_are_refused(servers: EmbeddedServers) -> None:
    with pytest.raises(EmbeddedError, match="is served by process"):
        EmbeddedServers(servers.data_dir).start()


def vw_embedded(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "embedded", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_up_survives_its_shell_and_down_ends_all(folder: Path) -> None:
    up = vw_embedded("up", "--data", str(folder), "--json")
    assert up.returncode == 0, up.stderr
    endpoints = Endpoints(**json.loads(up.stdout))
    try:
        assert await ask_postgres(endpoints.postgres_url) == "postgres"
        assert await echo(endpoints) == b"xxxx"
        again = vw_embedded("up", "--data", str(folder), "--json")
        assert json.loads(again.stdout) == json.loads(up.stdout)
    finally:
        down = vw_embedded("down", "--data", str(folder))

    assert down.returncode == 0, down.stderr
    assert children_of(folder) == []
    assert vw_embedded("status", "--data", str(folder)).returncode == 6


async def test_data_and_order_survive_a_killed_owner(folder: Path) -> None:
    up = vw_embedded("up", "--data", str(folder), "--json")
    assert up.returncode == 0, up.stderr
    owner = json.loads((folder / "embedded.json").read_text())["owner_pid"]
    process = psutil.Process(owner)
    connection = await asyncpg.connect(
        Endpoints(**json.loads(up.stdout)).postgres_url.replace("+asyncpg", "")
    )
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    await connection.close()

    os.kill(owner, signal.SIGKILL)
    process.wait(10)
    assert children_of(folder) != [], "PostgreSQL outlives its owner"
    with EmbeddedServers(folder) as servers:
        url = servers.endpoints.postgres_url.replace("+asyncpg", "")
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()

    assert children_of(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as another user")
def test_root_is_told_not_to_use_a_private_folder(folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)

    with pytest.raises(EmbeddedError, match="private folder"):
        EmbeddedServers(private / "data").start()

    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_a_folder_that_cannot_be_is_a_wrong_option(folder: Path, wait: list[str]) -> None:
    (folder / "file").touch()
    private = folder / "private"
    private.mkdir(mode=0o700)
    wrong = {"/proc/x": "No such file", folder / "file": "File exists", "/proc": ""}
    if os.geteuid() == 0:
        wrong[private / "data"] = "private folder"
    for place, why in wrong.items():
        up = vw_embedded("up", *wait, "--data", str(place))

        assert (up.returncode, up.stdout) == (2, "")
        assert up.stderr.startswith(f"vw embedded: --data: {place}")
        assert why in up.stderr
        assert up.stderr.count("\n") == 1
