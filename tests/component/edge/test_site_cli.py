"""`vw edge pin`, `vw edge alarms`, `vw edge reset` against a running agent."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest

from edge.station.pins import FILE
from shared.contracts import commands as c
from shared.contracts.protection import Pin
from tests.component.edge.agent_support import Running, running, write_config


async def vw(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "edge", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        input=typed,
    )


def block(station: Running) -> None:
    station.agent.station.latches.distrust()


async def test_a_pin_is_made_printed_once_and_opens(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        block(station)
        reset = ("reset", "--reason", "looked at it", "--config", str(config))
        told = await vw(*reset, typed="123456\n")
        assert (told.returncode, "vw edge pin set" in told.stderr) == (1, True)
        made = await vw("pin", "set", "--name", "Wang", "--config", str(config))
        assert made.returncode == 0, made.stderr
        pin = made.stdout.strip()
        assert len(pin) == 6
        path = station.data_dir / FILE
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert pin not in path.read_text()
        wrong = await vw(*reset, typed="1234567\n")
        assert (wrong.returncode, "wrong" in wrong.stderr) == (1, True)
        done = await vw(*reset, typed=f"{pin}\n")
        assert done.stdout == "released: latch_unreadable\n"


async def test_a_reset_takes_its_pin_from_a_file(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    pin_file = tmp_path / "pin"
    pin_file.write_text("274913\n")
    async with running(config) as station:
        block(station)
        made = await vw("pin", "set", "--pin-file", str(pin_file), "--config", str(config))
        assert (made.returncode, made.stdout) == (0, "")
        done = await vw("reset", "--reason", "x", "--pin-file", str(pin_file), "-c", str(config))
        assert done.returncode == 0, done.stderr


async def test_pins_are_listed_with_who_set_them_and_removed(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    before = await vw("pin", "set", "--name", "Li", "--role", "chief", "-c", str(config))
    assert before.returncode == 0, before.stderr
    async with running(config) as station:
        hashed = station.agent.station.pins.people()[0].hash
        pins = (Pin(name="Zhao", role="staff", hash=hashed),)
        await station.command(c.PublishPins(version=1, pins=pins))
        told = await vw("pin", "list", "--json", "-c", str(config))
        assert json.loads(told.stdout) == [
            {"name": "Li", "role": "chief", "set_by": "site"},
            {"name": "Zhao", "role": "staff", "set_by": "hq"},
        ]
        assert (await vw("pin", "remove", "--name", "Zhao", "-c", str(config))).returncode == 3
        assert (await vw("pin", "remove", "--name", "Li", "-c", str(config))).returncode == 0
    assert (await vw("pin", "list", "-c", str(config))).stdout == ""


@pytest.mark.parametrize(
    ("typed", "arguments", "message"),
    [
        ("12", ("--ask",), "4 to 12 digits"),
        ("1234", ("--ask", "--role", "king"), "use one of staff, chief"),
        ("1234", ("--ask", "--name", ""), "printable"),
    ],
)
async def test_a_pin_that_cannot_be_is_not_set(
    tmp_path: Path, typed: str, arguments: tuple[str, ...], message: str
) -> None:
    config = write_config(tmp_path)
    told = await vw("pin", "set", *arguments, "-c", str(config), typed=f"{typed}\n")
    assert (told.returncode, message in told.stderr) == (2, True), told.stderr
    assert not (tmp_path / "data" / FILE).exists()


async def test_alarms_are_listed_in_both_languages(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        core = station.agent.station
        core.perform(core.alarms.raise_alarm("smoke", "station", core.now().wall_ms))
        listed = (await vw("alarms", "-c", str(config))).stdout
        assert "全站" in listed
        assert "Whole station" in listed
        told = await vw("alarms", "--json", "-c", str(config))
        assert json.loads(told.stdout)[0]["code"] == "smoke"  # the worst comes first


async def test_a_long_reason_goes_across_the_terminal(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        core = station.agent.station
        reason = ", ".join(f"relay{number}" for number in range(40))  # 350 characters
        now_ms = core.now().wall_ms
        core.perform(
            core.alarms.raise_alarm(
                "protection_degraded", "channel:document", now_ms, channel=reason
            )
        )
        before, _, lines = (await vw("alarms", "-c", str(config))).stdout.partition(
            "Protection degraded: "
        )
        assert "安全保护降级: " in before
        # Up to the next alarm: on a slow machine there is one of the missing tariff by now.
        assert len([*takewhile(str.strip, lines.splitlines())]) <= 6
