"""A whole agent over real sockets and a real disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest

from edge.app import Agent
from edge.devices.chargers.ykc.dialect import DIALECTS
from edge.local_api import ask
from edge.settings import ChargePointSection, load
from ops.sim.car import Car
from shared.clock import ScaledClock, SystemClock
from shared.contracts import commands as c
from shared.errors import ConfigError
from tests.component.edge.agent_support import (
    CARD,
    NUMBER,
    charge_point,
    running,
    write_config,
)

OTHER = "32010600019237"


def vw(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ops.cli", "edge", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


async def test_a_day_is_replayed_to_the_same_export(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        cards = (CARD, CARD[::-1])  # without HQ one card is trusted for one charge at a time
        await station.allow(*cards)
        async with charge_point(station.port, tmp_path) as point:
            await point.wait_for("ready")
            for connector_no in (1, 2):
                point.plug_in(connector_no, Car.seeded(connector_no, soc=0.3))
                point.swipe_card(connector_no, cards[connector_no - 1])
                await point.wait_for("charging", connector_no=connector_no)
            await asyncio.sleep(1.5)  # energy flows with time
            mark = point.mark()
            for connector_no in (1, 2):
                point.unplug(connector_no)
            for connector_no in (1, 2):
                await point.wait_for("confirmed", since=mark, connector_no=connector_no)
        exported = await station.export()
    assert len(exported) == 2
    for line in exported:
        fields = json.loads(line)
        assert fields["ended_by"] == "record"
        assert fields["energy_dwh"] == fields["record_energy_dwh"] > 0
        assert fields["energy_fee_nano"] > 0
    frames = str(tmp_path / "data" / "frames")
    replayed = await asyncio.to_thread(vw, "replay", frames, "--config", str(config))
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines() == exported
    assert " frames of 1 charge point, " in replayed.stderr
    assert replayed.stderr.endswith("; 2 transactions closed\n")


@pytest.mark.parametrize("scale", [1, 60])
async def test_an_awkward_day_is_replayed_to_the_same_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int
) -> None:
    monkeypatch.setenv("VW_ENV", "test")
    start_ms = SystemClock().now_ms()
    clock = ScaledClock(start_ms, start_ms, scale)
    scaled = f"[clock]\nreal_start_ms = {start_ms}\nstart_ms = {start_ms}\nscale = {scale}\n"
    config = write_config(tmp_path, more=scaled)
    async with running(config) as station:
        await station.allow()
        async with charge_point(station.port, tmp_path, clock=clock) as point:
            await point.wait_for("ready")

            async def charge(connector_no: int, seed: int) -> str:
                mark = point.mark()
                point.plug_in(connector_no, Car.seeded(seed, soc=0.3))
                point.swipe_card(connector_no, CARD)
                charging = await point.wait_for("charging", since=mark, connector_no=connector_no)
                await asyncio.sleep(0.7)
                return charging.transaction_no

            async def finish(connector_no: int, number: str) -> None:
                point.unplug(connector_no)
                await point.wait_for("confirmed", transaction_no=number)

            first = await charge(1, 1)
            point.drop_link()
            mark = point.mark()
            await point.wait_for("ready", since=mark)
            await finish(1, first)
            point.resend_record(first)
            mark = point.mark()
            point.resend_record(first, add_energy_dwh=777)
            await point.wait_for("confirmed", since=mark)
            for fault, value in (("repeat", 1), ("add_energy_dwh", 500), ("clock_1970", True)):
                point.set_fault(fault, value)
                await finish(2, await charge(2, 3))
            order = c.StartTransaction(
                order_id=uuid4(), charge_point_no=NUMBER, connector_no=1, limit_dwh=1
            )
            point.plug_in(1, Car.seeded(9, soc=0.3))
            mark = point.mark()
            await station.command(order)
            remote = await point.wait_for("confirmed", since=mark)  # the limit ended it
        exported = await station.export()
    kinds = [json.loads(line)["disputes"] for line in exported]
    assert len(exported) == 5
    assert sum(kinds) == 1
    assert remote.transaction_no in {json.loads(line)["transaction_no"] for line in exported}
    frames = str(tmp_path / "data" / "frames")
    replayed = await asyncio.to_thread(vw, "replay", frames, "--config", str(config))
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout.splitlines() == exported


async def test_a_restart_in_the_middle_of_a_charge_changes_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with AsyncExitStack() as stack:
        async with running(config) as station:
            await station.allow()
            point = await stack.enter_async_context(charge_point(station.port, tmp_path))
            await point.wait_for("ready")
            point.plug_in(1, Car.seeded(1, soc=0.3))
            point.swipe_card(1, CARD)
            charging = await point.wait_for("charging", connector_no=1)
        config.write_text(config.read_text().replace("port = 0", f"port = {station.port}"))
        mark = point.mark()
        async with running(config) as station:
            await point.wait_for("ready", since=mark)
            point.unplug(1)
            await point.wait_for("confirmed", transaction_no=charging.transaction_no)
            (line,) = await station.export()
    assert json.loads(line)["transaction_no"] == charging.transaction_no
    assert json.loads(line)["ended_by"] == "record"
    frames = str(tmp_path / "data" / "frames")
    replayed = await asyncio.to_thread(vw, "replay", frames, "--config", str(config))
    assert replayed.stdout.splitlines() == [line]


async def test_an_unknown_charge_point_waits_and_is_adopted(tmp_path: Path) -> None:
    config = write_config(tmp_path, adopted=())
    async with running(config) as station:
        async with charge_point(station.port, tmp_path, OTHER) as point:
            await point.wait_for("login_refused")
            (waiting,) = (await station.ask(do="waiting"))["waiting"]
            assert waiting["charge_point_no"] == OTHER
            refused = await station.ask(do="adopt", number=OTHER, dialect="klingon")
            assert (refused["ok"], "ykc16" in refused["error"]) == (False, True)
            wrong = await asyncio.to_thread(vw, "adopt", "12", "--config", str(config))
            assert (wrong.returncode, wrong.stdout) == (2, "")
            assert "14 digits" in wrong.stderr
            adopted = await asyncio.to_thread(vw, "adopt", OTHER, "--config", str(config))
            assert adopted.returncode == 0, adopted.stderr
            assert adopted.stdout.startswith(f"adopted {OTHER}")
            await point.wait_for("ready")
        assert (await station.ask(do="waiting"))["waiting"] == []
        for shown in ("state", "waiting", "export"):
            told = await asyncio.to_thread(vw, shown, "--config", str(config))
            assert told.returncode == 0, told.stderr
    async with running(config) as station:  # and it is known after a restart
        assert OTHER in station.agent.station.registry.all()


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "adopt", "number": "1"},
        {"do": "adopt", "number": NUMBER, "connectors": "many"},
        {"do": "adopt", "number": NUMBER, "connectors": 1000},
        {"do": "adopt", "number": NUMBER, "connectors": [1]},
        {"do": "adopt", "number": NUMBER, "rated_kw": 1e400},
        {"do": "adopt", "number": NUMBER, "rated_kw": -1},
        {"do": "reset", "reason": " "},
        {"do": "reset", "reason": "x"},
        {"do": "reset", "reason": "x", "connector": {}},
        {"do": "dance"},
        {},
    ],
)
async def test_bad_local_requests_are_answered(tmp_path: Path, request_: dict[str, object]) -> None:
    async with running(write_config(tmp_path)) as station:
        answer = await ask(station.data_dir / "agent.sock", request_)
        assert (answer["ok"], bool(answer["error"])) == (False, True)
        assert (await station.ask(do="state"))["ok"]


async def test_wrong_configurations_say_what_is_wrong(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    async with running(config) as station:
        with pytest.raises(ConfigError, match=r"station\.data_dir: another agent"):
            Agent(load(config))
        taken = write_config(tmp_path / "other")
        taken.write_text(taken.read_text().replace("port = 0", f"port = {station.port}"))
        with pytest.raises(ConfigError, match="gateway: cannot listen"):
            async with running(taken):
                pass
    nobody = vw("state", "--config", str(config))
    assert (nobody.returncode, "vw edge run" in nobody.stderr) == (5, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("connectors = 2", 'dialect = "foo"', r"charge_point\.0\.dialect: .*'ykc15'"),
        (
            "[[charge_point]]",
            f'[[charge_point]]\nnumber = "{NUMBER}"\n[[charge_point]]',
            rf"charge_point: .*{NUMBER}: more than one section",
        ),
    ],
)
def test_wrong_charge_points_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    config = write_config(tmp_path)
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load(config)


async def test_a_wrong_tariff_names_its_field(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    (tmp_path / "tariff.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"tariff\.file: .*not a tariff"):
        Agent(load(config))


def test_the_dialects_that_may_be_configured_are_those_that_are_spoken() -> None:
    dialect = ChargePointSection.model_fields["dialect"].annotation
    assert set(get_args(dialect)) == set(DIALECTS)


def test_replay_of_nothing(tmp_path: Path) -> None:
    assert vw("replay", str(tmp_path / "none")).returncode == 3
    empty = vw("replay", str(tmp_path))
    assert (empty.returncode, empty.stdout) == (3, "")
    assert "DATA_DIR/frames" in empty.stderr  # perhaps the folder above was given
    assert vw("replay", str(tmp_path), "--zone", "Moon/Base").returncode == 2


async def test_check_config_reads_what_the_agent_will_need_and_names_all_that_is_wrong(
    tmp_path: Path,
) -> None:
    here = tmp_path / "none"
    more = f'[hq]\nhost = "127.0.0.1"\ntls = false\nsecret_file = "{here}"\n'
    config = write_config(tmp_path, more=more + f'[protection]\nfile = "{here}"\n')
    (tmp_path / "tariff.json").unlink()
    checked = await asyncio.to_thread(vw, "check-config", str(config))
    assert checked.returncode == 2
    said = checked.stderr.splitlines()
    assert [line.split(": ")[1] for line in said] == [
        "hq.secret_file", "tariff.file", "protection.file"
    ]  # fmt: skip
    assert all(line.startswith(f"{config}: ") for line in said)
