"""What station benches stand on: a broker, an acknowledging HQ, configurations, one folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ops.bench import frames
from ops.bench.children import Agent, Child
from ops.embedded import EmbeddedServers, Endpoints

TARIFF = {
    "slots": "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV",
    "prices_e5": {
        "sharp": [123456, 45000],
        "peak": [102345, 45000],
        "flat": [65432, 40000],
        "valley": [32109, 35000],
    },
    "per_minute_e5": 0,
}
_SILENCE_LIMIT_S = 3600
"""Connections rest between two runs; that is not what is measured."""


class Rig:
    """Use as a context manager; everything that was started through it ends with it."""

    def __init__(self) -> None:
        # Open to all: as root the embedded PostgreSQL is another user.
        self.folder = Path(tempfile.mkdtemp(prefix="voltwarden-bench-"))
        self.folder.chmod(0o755)
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._stations = 0
        self.servers = EmbeddedServers(self.folder / "servers")

    def __enter__(self) -> Self:
        """Start the servers."""
        try:
            self.servers.start()
            self._stack.callback(self.servers.stop)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything, the last one first."""
        self._stack.close()

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are."""
        return self.servers.endpoints

    def on_exit(self, end: Callable[[], object]) -> None:
        """Have something ended with the rig."""
        self._stack.callback(end)

    def child(self, module: str, *args: str) -> Child:
        """Start a helper process."""
        log = self.folder / f"{module.rpartition('.')[2]}.log"
        child = Child(module, *args, log=log)
        self._stack.callback(child.end)
        return child

    def fake_hq(self) -> Child:
        """Start an HQ that acknowledges what comes."""
        hq = self.child("ops.bench.fake_hq")
        hq.ask(do="connect", **self.broker())
        return hq

    def broker(self) -> dict[str, Any]:
        """Where the broker is and how to log in there, as helper processes are told."""
        where = self.endpoints
        return {
            "host": where.mqtt_host,
            "port": where.mqtt_port,
            "user": where.mqtt_user,
            "password": where.mqtt_password,
        }

    def agent(
        self,
        config: Path,
        *,
        module: tuple[str, ...] = ("ops.cli", "edge", "run"),
        environment: Mapping[str, str] | None = None,
    ) -> Agent:
        """Start a station agent."""
        agent = Agent(config, module=module, environment=environment)
        self._stack.callback(agent.end)
        return agent

    def certificate(self) -> Path | None:
        """Make a key and a certificate for 127.0.0.1, in one file; None without OpenSSL."""
        path = self.folder / "broker.pem"
        if path.exists():
            return path
        if (openssl := shutil.which("openssl")) is None:
            return None
        key = self.folder / "broker.key"
        command = [openssl, "req", "-x509", "-nodes", "-newkey", "ec"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=127.0.0.1"]
        command += [
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(path),
        ]
        subprocess.run(command, check=True, capture_output=True)
        with path.open("ab") as file:
            file.write(key.read_bytes())
        return path

    def station_config(
        self,
        station_no: str,
        charge_points: int,
        *,
        connectors: int = 1,
        broker_port: int | None = None,
        certificate: Path | None = None,
        window_s: float = 1.0,
        more: str = "",
    ) -> Path:
        """Write an edge.toml with as many charge points, linked to the broker."""
        where = self.endpoints
        folder = self.folder / station_no
        folder.mkdir()
        (folder / "secret").write_text(where.mqtt_password, encoding="utf-8")
        (folder / "tariff.json").write_text(json.dumps(TARIFF), encoding="utf-8")
        sections: list[tuple[str, dict[str, Any]]] = [
            ("[station]", {"number": station_no, "data_dir": str(folder / "data")}),
            (
                "[gateway]",
                {"host": "127.0.0.1", "port": 0, "connections_max": charge_points + 100},
            ),
            (
                "[hq]",
                {
                    "host": where.mqtt_host,
                    "port": broker_port or where.mqtt_port,
                    "user": where.mqtt_user,
                    "secret_file": str(folder / "secret"),
                    "tls": certificate is not None,
                    **({"ca_file": str(certificate)} if certificate else {}),
                },
            ),
            ("[tariff]", {"file": str(folder / "tariff.json")}),
            ("[telemetry]", {"window_s": window_s}),
            ("[log]", {"level": "warning"}),
        ]
        for index in range(charge_points):
            values = {
                "number": frames.number(index),
                "connectors": connectors,
                "silence_limit_s": _SILENCE_LIMIT_S,
            }
            sections.append(("[[charge_point]]", values))
        # TOML's plain values are written as JSON writes them.
        text = "\n".join(
            "\n".join([head, *(f"{name} = {json.dumps(value)}" for name, value in values.items())])
            for head, values in sections
        )
        path = folder / "edge.toml"
        path.write_text(f"{text}\n{more}\n", encoding="utf-8")
        return path
