"""`vw doctor` against real files and sockets."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from typer.testing import CliRunner

from ops.doctor import app
from ops.embedded import EmbeddedServers


def examine(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    report = json.loads(done.stdout)
    assert report["healthy"] == (done.exit_code == 0)
    return done.exit_code, {finding["check"]: finding for finding in report["findings"]}


def edge_config(folder: Path, broker_port: int) -> Path:
    secret = folder / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    path = folder / "edge.toml"
    path.write_text(
        f"""
        [station]
        number = "S1"
        data_dir = "{folder}"
        [gateway]
        host = "127.0.0.1"
        port = 0
        [hq]
        host = "127.0.0.1"
        port = {broker_port}
        secret_file = "{secret}"
        """
    )
    return path


def test_this_machine_is_healthy() -> None:
    code, findings = examine()

    assert code == 0
    assert {"python", "packages", "open files", "clock", "disk"} <= findings.keys()


def test_reachable_servers_are_found(servers: EmbeddedServers, tmp_path: Path) -> None:
    endpoints = servers.endpoints
    hq = tmp_path / "hq.toml"
    hq.write_text(
        f"""
        [database]
        url = "{endpoints.postgres_url}"
        [redis]
        url = "{endpoints.redis_url}"
        [broker]
        port = {endpoints.mqtt_port}
        """
    )

    code, findings = examine(
        "--edge", str(edge_config(tmp_path, endpoints.mqtt_port)), "--hq", str(hq)
    )

    assert code == 0, findings
    for check in ("HQ's broker", "PostgreSQL", "Redis", "broker", "gateway port", "secret"):
        assert findings[check]["state"] == "ok"


def test_what_is_bad_has_a_hint_and_ends_with_8(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        config = edge_config(tmp_path, closed.getsockname()[1])
        (tmp_path / "secret").chmod(0o644)
        code, findings = examine("--edge", str(config))

    assert code == 8
    assert findings["HQ's broker"]["state"] == "bad"
    assert findings["HQ's broker"]["hint"]
    assert findings["secret"]["state"] == "warning"


def test_wrong_configuration_names_the_field(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text('[station]\nnumber = "S 1"\n')

    code, findings = examine("--edge", str(config))

    assert code == 8
    assert "station.number" in findings["edge configuration"]["found"]
