"""The production broker as `ops/broker` sets it up: real mosquitto, TLS, rights, on loopback."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.uplink.mqtt import Broker
from ops.broker import files, users
from tests.component.link_support import STATION, WAIT_S

OTHER = "ST-02"
SCRIPT = Path(files.__file__).with_name("make-certificates.sh")


def find_mosquitto() -> str | None:
    """Return the program; Debian keeps it where only root's PATH leads."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Mosquitto:
    """One broker with its own folder; users are HQ's worker and two stations."""

    def __init__(self, program: str, folder: Path, certificates: Path) -> None:
        self.folder = folder / "broker"
        self.data = self.folder / "data"
        self.data.mkdir(parents=True)
        for name in ("ca.crt", "server.crt", "server.key"):
            shutil.copy(certificates / name, self.folder / name)
        self.station_port, self.worker_port = free_ports(2)
        places = files.Places(
            folder=self.folder,
            data=self.data,
            plugin=files.find_plugin(),
            user=getpass.getuser(),
            station_host="127.0.0.1",
            station_port=self.station_port,
            worker_port=self.worker_port,
        )
        (self.folder / "mosquitto.conf").write_text(files.configuration(places))
        self.secrets = {user: secrets.token_urlsafe(32) for user in (files.ADMIN, files.WORKER)}
        (self.data / "users.json").write_text(
            files.first_users(
                admin_secret=self.secrets[files.ADMIN], worker_secret=self.secrets[files.WORKER]
            )
        )
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    async def let_in(self, station_no: str, secret: str) -> None:
        """Have the running broker know a station."""
        self.secrets[station_no] = secret
        await self.change(files.let_in(station_no, secret))

    async def change(self, commands: list[files.Command]) -> None:
        """Have the running broker change its users."""
        secret = self.secrets[files.ADMIN]
        await users.change(commands, host="127.0.0.1", port=self.worker_port, secret=secret)

    async def start(self) -> None:
        """Start, and wait until both listeners answer."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it forks at once
                [self._program, "-c", str(self.folder / "mosquitto.conf")], stderr=log
            )
        async with asyncio.timeout(WAIT_S):
            for port in (self.station_port, self.worker_port):
                while not await answers(port):
                    assert self._process.poll() is None, self.log
                    await asyncio.sleep(0.02)
        for station_no in (STATION, OTHER):
            if station_no not in self.secrets:
                await self.let_in(station_no, secrets.token_urlsafe(32))

    async def save(self) -> None:
        """Have it write its database, as it does each minute."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)
        async with asyncio.timeout(WAIT_S):
            while not self.database.exists():  # noqa: ASYNC110 - another process has no event
                await asyncio.sleep(0.01)

    @property
    def database(self) -> Path:
        """What it keeps of sessions and retained messages."""
        return self.data / "mosquitto.db"

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def login(self, user: str = STATION, **changes: object) -> Broker:
        """Return what a station's link needs."""
        fields: dict[str, object] = {
            "host": "localhost",
            "port": self.station_port,
            "username": user,
            "password": self.secrets.get(user, "never given out"),
            "tls": ssl.create_default_context(cafile=self.folder / "ca.crt"),
            "timeout_s": 5.0,
        }
        return Broker(**(fields | changes))  # type: ignore[arg-type]

    def worker_login(self) -> Broker:
        """Return what HQ's worker needs."""
        return self.login(files.WORKER, host="127.0.0.1", port=self.worker_port, tls=None)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes for a broker on this machine."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def make_certificates(folder: Path, *names: str, ca_of: Path | None = None) -> Path:
    """Run the script; for another name with a CA that exists."""
    if shutil.which("openssl") is None:
        pytest.skip("OPENSSL IS MISSING, its tests are NOT RUN: apt-get install openssl")
    folder.mkdir(exist_ok=True)
    if ca_of is not None:
        for name in ("ca.crt", "ca.key"):
            shutil.copy(ca_of / name, folder / name)
    subprocess.run([SCRIPT, folder, *(names or ("localhost", "127.0.0.1"))], check=True, timeout=30)
    return folder


@pytest.fixture
def program() -> str:
    """The mosquitto program; without it the tests are skipped, which the summary counts."""
    found = find_mosquitto()
    if found is None:
        pytest.skip("MOSQUITTO IS MISSING, its tests are NOT RUN: apt-get install mosquitto")
    return found


@pytest.fixture
def broker(program: str, tmp_path: Path, certificates: Path) -> Iterator[Mosquitto]:
    """A broker that does not run yet; it is ended with the test."""
    mosquitto = Mosquitto(program, tmp_path, certificates)
    yield mosquitto
    mosquitto.kill()
