"""`vw edge sensors` as its user has it: a process of its own, against real servers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.edge.sensors.field_support import HEAD, Server, mute


class Output:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


async def vw(*arguments: str) -> Output:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.cli", "edge", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Output(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server((3, 7, 9))
    await made.start()
    await made.set_input(3, 1, 305)
    await made.set_input(3, 2, 546)
    yield made
    await made.stop()


def config(tmp_path: Path, port: int, *, document: str = "", more: str = "") -> Path:
    path = tmp_path / "edge.toml"
    text = f"""
[station]
number = "1"
data_dir = "{tmp_path}"
[[line]]
name = "cabinet"
transport = "tcp"
host = "127.0.0.1"
port = {port}
{more}
"""
    if document:
        (tmp_path / "protection.toml").write_text(document)
        text += f'[protection]\nfile = "{tmp_path}/protection.toml"\n'
    path.write_text(text)
    return path


async def test_scan_finds_who_answers_and_what_it_could_be(server: Server) -> None:
    server.faults[7] = mute

    found = await vw(
        "sensors", "scan", "--host", "127.0.0.1", "--port", str(server.port), "--units", "1-10",
        "--timeout-ms", "50", "--json",
    )  # fmt: skip

    units = {entry["unit_id"]: entry["fits"] for entry in json.loads(found.out)}
    assert found.code == 0, found.err
    assert {3, 9} <= set(units)
    assert 7 not in units
    assert {"model": "xy-md02", "good": 2, "points": 2} in units[3]
    assert "\x1b" not in found.err


async def test_scan_of_a_line_where_nobody_is(server: Server, tmp_path: Path) -> None:
    server.faults[3] = mute
    path = config(tmp_path, server.port)

    found = await vw("sensors", "scan", "--config", str(path), "--units", "3", "--timeout-ms", "50")

    assert found.code == 3
    assert "nobody answers on 127.0.0.1" in found.err


async def test_a_line_that_cannot_be_opened(server: Server) -> None:
    port = server.port
    await server.stop()

    for command in (["scan"], ["watch", "--unit", "3", "--profile", "xy-md02"]):
        done = await vw("sensors", *command, "--host", "127.0.0.1", "--port", str(port))
        assert done.code == 5
        assert f"127.0.0.1:{port} cannot be opened" in done.err


async def test_watch_shows_values_live(server: Server) -> None:
    arguments = (
        "sensors", "watch", "--host", "127.0.0.1", "--port", str(server.port),
        "--unit", "3", "--profile", "xy-md02", "--seconds", "1",
    )  # fmt: skip

    seen = await vw(*arguments)
    lines = (await vw(*arguments, "--json")).out.splitlines()

    assert seen.code == 0, seen.err
    assert "30.5 °C" in seen.out
    assert "温度 / Temperature" in seen.out
    samples = [json.loads(line) for line in lines]
    assert {s["value"] for s in samples if s["kind"] == "PointSampled"} == {30.5, 54.6}


async def test_watch_takes_the_station_s_own_document(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "ours.toml").write_text(
        HEAD.format(model="ours")
        + '[[point]]\nname = "t"\nquantity = "temperature_c"\ntable = "input"\naddress = 1\n'
        'type = "int16"\nscale = 0.1\ntitle_zh = "温"\ntitle_en = "t"\n'
    )
    document = """
[[devices]]
name = "air"
line = "cabinet"
unit_id = 3
profile = "ours"
"""
    more = f'[sensors]\nprofile_dir = "{folder}"\n'
    path = config(tmp_path, server.port, document=document, more=more)

    seen = await vw("sensors", "watch", "--config", str(path), "--seconds", "1")
    checked = await vw("check-config", str(path))

    assert seen.code == 0, seen.err
    assert "30.5 °C" in seen.out
    assert checked.code == 0, checked.err
    assert "line cabinet: 1 devices; 0 safety points in 0 requests take 0 of 100 ms" in checked.out


async def test_check_config_names_what_does_not_go_with_the_lines(
    server: Server, tmp_path: Path
) -> None:
    document = '[[devices]]\nname = "air"\nline = "yard"\nunit_id = 3\nprofile = "xy-md02"\n'
    path = config(tmp_path, server.port, document=document)

    checked = await vw("check-config", str(path))

    assert checked.code == 2
    assert "devices[0].line: no line 'yard' here, known: cabinet" in checked.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan"], "which line?"),
        (["scan", "--host", "h", "--units", "0-300"], "--units"),
        (["watch", "--host", "h"], "--unit and --profile"),
        (["watch", "--host", "h", "--unit", "3", "--profile", "none"], "xy-md02"),
        (["watch", "--host", "h", "--unit", "300", "--profile", "xy-md02"], "1 to 247"),
    ],
)
async def test_wrong_usage_says_what_would_be_right(arguments: list[str], said: str) -> None:
    done = await vw("sensors", *arguments)

    assert done.code == 2
    assert said in done.err
