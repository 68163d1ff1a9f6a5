"""From nothing to a running broker with a station, as `ops/broker/README.md` says."""

from __future__ import annotations

import asyncio
import getpass
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from aiomqtt import MqttError

from edge.uplink.mqtt import Broker
from ops.broker import files
from shared.contracts import topics
from tests.component.broker.conftest import answers, free_ports
from tests.component.broker.test_rights import peer
from tests.component.link_support import STATION, WAIT_S

SECRET = "a secret that HQ showed once"


def ops_broker(*arguments: object, secret: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.broker", *map(str, arguments)],
        input=f"{secret}\n",
        capture_output=True,
        text=True,
        timeout=30,
    )


async def test_new_broker_lets_a_station_in_and_out(
    tmp_path: Path, program: str, certificates: Path
) -> None:
    folder = tmp_path / "broker"
    station_port, worker_port = free_ports(2)
    at = ("--folder", folder, "--worker-port", worker_port)
    more = ("--data", tmp_path / "data", "--user", getpass.getuser())
    where = ("--station-host", "127.0.0.1", "--station-port", station_port)
    made = await asyncio.to_thread(ops_broker, "config", *at, *more, *where)
    assert made.returncode == 0, made.stderr
    secret_file = folder / f"{files.WORKER}.secret"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    worker_secret = secret_file.read_text().strip()
    assert worker_secret not in (tmp_path / "data" / "users.json").read_text()
    for name in ("server.crt", "server.key"):
        shutil.copy(certificates / name, folder / name)

    tls = ssl.create_default_context(cafile=certificates / "ca.crt")
    station = Broker("localhost", station_port, STATION, SECRET, tls, timeout_s=2.0)
    worker = Broker("127.0.0.1", worker_port, files.WORKER, worker_secret)
    with (tmp_path / "log").open("wb") as log:
        broker = subprocess.Popen([program, "-c", folder / "mosquitto.conf"], stderr=log)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(WAIT_S):
            while not await answers(worker_port):
                assert broker.poll() is None, (tmp_path / "log").read_text()
                await asyncio.sleep(0.02)
        for _ in range(2):  # again is a new secret for a station that is known
            let_in = await asyncio.to_thread(ops_broker, "let-in", STATION, *at, secret=SECRET)
            assert let_in.returncode == 0, let_in.stderr
        async with peer(worker, topics.WORKER_UPLINKS), peer(station, topics.all_down(STATION)):
            pass
        shut_out = await asyncio.to_thread(ops_broker, "shut-out", STATION, *at)
        assert shut_out.returncode == 0, shut_out.stderr
        with pytest.raises(MqttError, match="Not authorized"):
            async with peer(station):
                pass
        again = await asyncio.to_thread(ops_broker, "shut-out", STATION, *at)
        assert (again.returncode, again.stderr) == (5, "deleteClient: Client not found\n")
    finally:
        broker.kill()
        broker.wait()


def test_a_name_of_headquarters_is_no_station(tmp_path: Path) -> None:
    refused = ops_broker("let-in", files.WORKER, "--folder", tmp_path, secret=SECRET)
    assert refused.returncode == 2
    assert "up to 32 letters, digits" in refused.stderr
