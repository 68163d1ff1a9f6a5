"""`[[line]]` and `[sensors]`: what is taken, and what is said of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.devices.sensors.lines import Transport
from edge.settings import load
from shared.errors import ConfigError


def write(tmp_path: Path, more: str) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(f'[station]\nnumber = "1"\ndata_dir = "{tmp_path}"\n{more}')
    return path


def test_lines_are_read(tmp_path: Path) -> None:
    more = """
[[line]]
name = "cabinet"
transport = "serial"
device = "/dev/ttyS1"
baud = 115200
parity = "E"
[[line]]
name = "yard"
transport = "tcp"
host = "10.0.0.7"
"""
    cabinet, yard = load(write(tmp_path, more)).lines()

    assert (cabinet.transport, cabinet.where) == (Transport.SERIAL, "/dev/ttyS1")
    assert (cabinet.baud, cabinet.parity, cabinet.period_s) == (115200, "E", 0.1)
    assert (yard.has_numbers, yard.where) == (True, "10.0.0.7:502")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[[line]]\nname = "a"\ntransport = "serial"\n', "line.0: "),
        ('[[line]]\nname = "a"\ntransport = "tcp"\n', "needs `host`"),
        ('[[line]]\nname = "a"\ntransport = "udp"\nhost = "h"\n', "line.0.transport: "),
        ('[[line]]\nname = "a b"\ntransport = "tcp"\nhost = "h"\n', "line.0.name: "),
        ('[[line]]\nname = "a"\ntransport = "tcp"\nhost = "h"\nbaud = 9601\n', "line.0.baud: "),
        ('[[line]]\nname = "a"\ntransport = "tcp"\nhost = "h"\nperiod_ms = 5\n', "period_ms: "),
        ('[[line]]\nname = "a"\ntransport = "tcp"\nhost = "h"\n' * 2, "more than one line"),
        ('[sensors]\nprofile_dir = "/nowhere"\n', "sensors.profile_dir: "),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, more))

    assert said in str(caught.value)


def test_a_password_in_the_brokers_name_is_not_shown(tmp_path: Path) -> None:
    more = '[hq]\nhost = "mqtts://S1:hush@hq.example"\nsecret_file = "/s"\n'
    with pytest.raises(ConfigError, match=r"hq\.host: .*does not fit") as refused:
        load(write(tmp_path, more))
    assert "hush" not in str(refused.value)
