"""TLS to the production broker: whom a station believes, and what it says when it does not."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from edge.settings import HqSection
from tests.component.broker.conftest import Mosquitto, make_certificates
from tests.component.link_support import STATION, Headquarters, Station, running, state_fact

CONFIG = """
[station]
number = "ST-01"
[hq]
host = "{host}"
secret_file = "/etc/voltwarden/station.secret"
{rest}
"""


def trusting(ca_file: Path) -> ssl.SSLContext | None:
    """Return what the agent makes of its configuration."""
    hq = HqSection(host="localhost", secret_file=Path("unused"), tls=True, ca_file=ca_file)
    return hq.tls_context()


async def test_facts_pass_when_the_ca_is_the_configured_one(
    tmp_path: Path, broker: Mosquitto, certificates: Path
) -> None:
    await broker.start()
    hq = Headquarters(broker, broker.worker_login())
    station = Station(tmp_path, broker, broker.login(tls=trusting(certificates / "ca.crt")))
    async with running(asyncio.create_task(hq.run()), asyncio.create_task(station.link.run())):
        await station.journal.commit([state_fact(1)])
        await hq.until(lambda: len(hq.batches) == 1)
    await station.close()


async def refusal(tmp_path: Path, broker: Mosquitto, **changes: object) -> str:
    """Return why a link does not come up."""
    await broker.start()
    station = Station(tmp_path, broker, broker.login(**changes))
    async with running(asyncio.create_task(station.link.run())):
        await station.until(lambda: bool(station.link.state.last_error))
        assert not station.link.connected
        assert station.link.state.connections == 0
    await station.close()
    return station.link.state.last_error


# paho-mqtt leaves the socket of a failed handshake to the garbage collector, which says so.
unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@unclosed
async def test_broker_of_another_ca_is_refused(tmp_path: Path, broker: Mosquitto) -> None:
    other = make_certificates(tmp_path / "other")
    reason = await refusal(tmp_path, broker, tls=trusting(other / "ca.crt"))
    assert "certificate verify failed" in reason
    # And the secret was never said to it.
    assert STATION not in broker.log


@unclosed
async def test_broker_of_another_name_is_refused(
    tmp_path: Path, broker: Mosquitto, certificates: Path
) -> None:
    other = make_certificates(tmp_path / "other", "hq.example", ca_of=certificates)
    for name in ("server.crt", "server.key"):
        shutil.copy(other / name, broker.folder / name)
    reason = await refusal(tmp_path, broker)
    assert "not valid for 'localhost'" in reason


async def test_plain_text_to_a_tls_listener_is_refused(tmp_path: Path, broker: Mosquitto) -> None:
    assert await refusal(tmp_path, broker, tls=None, timeout_s=1.0)


@pytest.mark.parametrize(
    ("host", "rest", "complaint"),
    [
        ("hq.example", "tls = false", "hq.tls: false is for 127.0.0.1 only"),
        ("hq.example", 'ca_file = "{here}/none"', "hq.ca_file: {here}/none cannot be"),
        ("hq.example", 'ca_file = "{here}/edge.toml"', "edge.toml has no certificate"),
    ],
)
def test_check_config_names_file_and_field(
    tmp_path: Path, host: str, rest: str, complaint: str
) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(CONFIG.format(host=host, rest=rest.format(here=tmp_path)))
    checked = check_config(path)
    assert checked.returncode == 2
    assert checked.stderr.startswith(f"{path}: hq.")
    assert complaint.format(here=tmp_path) in checked.stderr


def test_plain_text_over_loopback_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    (tmp_path / "secret").write_text("anything")
    config = CONFIG.replace("/etc/voltwarden/station.secret", str(tmp_path / "secret"))
    path.write_text(config.format(host="127.0.0.1", rest="tls = false"))
    checked = check_config(path)
    assert checked.returncode == 0, checked.stderr


def check_config(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", "edge", "check-config", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
