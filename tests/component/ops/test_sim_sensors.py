"""Simulated sensors as a station meets them: pymodbus' own client on real lines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerType

from edge.devices.chargers.ykc.messages import Realtime
from edge.devices.sensors.profile import Point, Table, decode, load_profiles
from ops.sim.control import ControlClient, ControlError, ControlServer
from ops.sim.machine import ChargePointSpec
from ops.sim.sensors.actions import AnySensorAction
from ops.sim.sensors.layout import Layout, Line, one_of_each
from ops.sim.sensors.site import SensorSite
from ops.sim.site import Site
from ops.sim.timing import FAST
from shared.contracts.protection import Device, Output, OutputKind, Quality, Zone
from tests.fakes.ykc_platform import FakePlatform

NO = "32010600019236"
MODELS = """
model = "{model}"
maker = "test"
title_zh = "测试"
title_en = "test"
source = {{ title = "test", url = "none", page = "1" }}
"""
DETECTOR = """
[[point]]
name = "smoke"
quantity = "smoke"
table = "discrete"
address = 0
type = "bit"
safety = true
title_zh = "烟雾"
title_en = "smoke"
"""
RELAY = """
[[point]]
name = "siren"
quantity = "output_on"
table = "coil"
address = 0
type = "bit"
writable = true
title_zh = "警笛"
title_en = "siren"

[[point]]
name = "contactor"
quantity = "output_on"
table = "coil"
address = 1
type = "bit"
writable = true
title_zh = "接触器"
title_en = "contactor"
"""
LAYOUT = Layout(
    devices=(
        Device(name="smoke-1", line="", unit_id=1, profile="detector", zone="A"),
        Device(name="relays", line="", unit_id=2, profile="relay"),
    ),
    zones=(Zone(name="A"),),
    outputs=(
        Output(name="siren", kind=OutputKind.SIREN, device="relays", point="siren"),
        Output(
            name="cut-1",
            kind=OutputKind.CONTACTOR,
            device="relays",
            point="contactor",
            connectors=((NO, 1),),
        ),
    ),
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    for model, points in (("detector", DETECTOR), ("relay", RELAY)):
        (folder / f"{model}.toml").write_text(MODELS.format(model=model) + points)
    return folder


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - it is told of no change of a number
            await asyncio.sleep(0.02)


@asynccontextmanager
async def control_of(site: SensorSite) -> AsyncIterator[ControlClient]:
    server = ControlServer(site, AnySensorAction)
    async with ControlClient(await server.start()) as client:
        yield client
    await server.stop()


@asynccontextmanager
async def tcp(port: int, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[Any]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port, framer=framer, timeout=0.2, retries=0)
    assert await client.connect()
    yield client
    client.close()


class Rig:
    """Detector and relay with a station's client and a control connection."""

    def __init__(self, site: SensorSite, client: ModbusBaseClient, control: ControlClient) -> None:
        self.site, self.client, self.control = site, client, control

    async def smoke(self) -> bool:
        answer = await self.client.read_discrete_inputs(0, count=1, device_id=1)
        assert not answer.isError(), answer
        return bool(answer.bits[0])

    async def siren(self) -> bool:
        answer = await self.client.read_coils(0, count=1, device_id=2)
        assert not answer.isError(), answer
        return bool(answer.bits[0])


@pytest_asyncio.fixture
async def rig(models: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(
            SensorSite(LAYOUT, load_profiles(models), seed=1, pace=5)
        )
        client = await stack.enter_async_context(tcp(site.port))
        yield Rig(site, client, await stack.enter_async_context(control_of(site)))


async def read(client: ModbusBaseClient, unit_id: int, point: Point) -> list[int] | list[bool]:
    how = {
        Table.COIL: client.read_coils,
        Table.DISCRETE: client.read_discrete_inputs,
        Table.HOLDING: client.read_holding_registers,
        Table.INPUT: client.read_input_registers,
    }[point.table]
    answer = await how(point.address, count=point.width, device_id=unit_id)
    assert not answer.isError(), (point.name, answer)
    return answer.bits if point.table in (Table.COIL, Table.DISCRETE) else answer.registers


@pytest.mark.parametrize("kind", ["tcp", "rtu_over_tcp"])
async def test_every_model_that_ships_answers_with_values_that_can_be(kind: Any) -> None:
    profiles = load_profiles()
    layout = one_of_each(profiles)
    framer = FramerType.RTU if kind == "rtu_over_tcp" else FramerType.SOCKET
    async with (
        SensorSite(layout, profiles, default=Line(kind=kind), seed=2) as site,
        tcp(site.port, framer) as client,
    ):
        for device in layout.devices:
            for point in profiles[device.profile].points:
                raw = await read(client, device.unit_id, point)
                value, quality = decode(point, raw)
                assert quality is Quality.GOOD, (device.profile, point.name, raw, value)


def is_link(path: str) -> bool:
    return Path(path).is_symlink()


async def test_a_pseudo_terminal_at_the_speed_of_its_baud_rate(
    models: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "tty")
    line = Line(kind="pty", device=path, baud=9600)
    async with SensorSite(LAYOUT, load_profiles(models), default=line) as site:
        assert next(iter(site.lines.values())).address == path
        client = AsyncModbusSerialClient(path, baudrate=9600, timeout=0.5, retries=0)
        assert await client.connect()
        started_s = time.monotonic()
        answer = await client.read_discrete_inputs(0, count=1, device_id=1)
        took_s = time.monotonic() - started_s
        client.close()
    assert answer.bits[0] is False
    assert took_s >= (8 + 6) * 11 / 9600
    assert not is_link(path)


async def test_a_serial_port_answers_with_whole_frames(models: Path) -> None:
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    line = Line(kind="serial", device=os.ttyname(theirs), baud=9600)
    async with SensorSite(LAYOUT, load_profiles(models), default=line):
        os.write(ours, bytes.fromhex("02050000ff008c09"))
        answer = b""
        async with asyncio.timeout(20):
            while len(answer) < 8:
                with contextlib.suppress(BlockingIOError):
                    answer += os.read(ours, 100)
                await asyncio.sleep(0.01)
    os.close(ours)
    os.close(theirs)
    assert answer.hex() == "02050000ff008c09"


async def test_a_fire_reaches_the_detector_on_the_wire_and_goes_out(rig: Rig) -> None:
    assert await rig.smoke() is False
    await rig.control.call("fire", zone="A")
    flip = await rig.control.call("wait", name="contact", device="smoke-1", value=1)
    assert await rig.smoke() is True
    assert 0 <= time.monotonic() - flip["at_s"] < 1
    await rig.control.call("put_out")
    await rig.control.call("wait", name="contact", device="smoke-1", value=0)
    assert await rig.smoke() is False


async def test_smoke_flips_at_once_and_says_when(rig: Rig) -> None:
    before_s = time.monotonic()
    flip = await rig.control.call("smoke", device="smoke-1", on=True)
    assert before_s <= flip["at_s"] <= time.monotonic()
    assert await rig.smoke() is True
    await rig.control.call("smoke", device="smoke-1", on=False)
    assert await rig.smoke() is False


async def test_coils_are_written_and_read_back(rig: Rig) -> None:
    assert not (await rig.client.write_coil(0, True, device_id=2)).isError()
    assert await rig.siren() is True
    written = await rig.control.call("wait", name="written", device="relays", point="siren")
    assert written["value"] == 1
    assert not (await rig.client.write_coils(0, [False, True], device_id=2)).isError()
    outputs = (await rig.control.call("status"))["outputs"]
    assert (outputs["siren"]["is_on"], outputs["cut-1"]["is_on"]) == (False, True)
    assert (await rig.client.write_coil(7, True, device_id=2)).exception_code == 2
    assert (await rig.client.read_coils(0, count=9, device_id=2)).exception_code == 2
    assert (await rig.client.write_register(0, 1, device_id=2)).exception_code == 1


@pytest.mark.parametrize("kind", ["mute", "garbage", "bad_crc", "echo", "wrong_unit"])
@pytest.mark.parametrize("framer", [FramerType.SOCKET, FramerType.RTU])
async def test_what_is_no_answer_is_never_taken_for_one(
    models: Path, kind: str, framer: FramerType
) -> None:
    line = Line(kind="tcp" if framer is FramerType.SOCKET else "rtu_over_tcp")
    async with (
        SensorSite(LAYOUT, load_profiles(models), default=line) as site,
        tcp(site.port, framer) as client,
        control_of(site) as control,
    ):
        rig = Rig(site, client, control)
        await control.call("smoke", device="smoke-1")
        await control.call("fault", device="smoke-1", kind=kind)
        try:
            answer = await client.read_discrete_inputs(0, count=1, device_id=1)
        except ModbusIOException:
            answer = None
        if kind == "echo":  # the start of the request looks like an answer without smoke
            assert answer is None or answer.bits[:1] != [True]
        else:
            assert answer is None
        await control.call("heal", device="smoke-1", kind=kind)
        async with tcp(site.port, framer) as again:
            rig.client = again
            assert await rig.smoke() is True
            assert await rig.siren() is False


async def test_exceptions_and_slow_answers(rig: Rig) -> None:
    await rig.control.call("fault", device="smoke-1", kind="exception", value=6)
    answer = await rig.client.read_discrete_inputs(0, count=1, device_id=1)
    assert answer.exception_code == 6
    await rig.control.call("heal", device="smoke-1")
    await rig.control.call("fault", device="smoke-1", kind="slow", value=0.08)
    started_s = time.monotonic()
    assert await rig.smoke() is False
    assert time.monotonic() - started_s >= 0.08


async def test_a_siren_that_answers_but_stays_silent_and_one_that_does_not_answer(
    rig: Rig,
) -> None:
    await rig.control.call("fault", device="relays", kind="dead", point="siren")
    assert not (await rig.client.write_coil(0, True, device_id=2)).isError()
    assert await rig.siren() is False
    await rig.control.call("heal", device="relays")
    assert await rig.siren() is True
    await rig.control.call("fault", device="relays", kind="mute_writes")
    with pytest.raises(ModbusIOException):
        await rig.client.write_coil(0, False, device_id=2)
    assert await rig.siren() is True


async def test_an_unknown_unit_keeps_silent(rig: Rig) -> None:
    with pytest.raises(ModbusIOException):
        await rig.client.read_coils(0, count=1, device_id=99)
    assert await rig.smoke() is False


async def test_a_line_is_cut_and_mended(rig: Rig) -> None:
    await rig.control.call("line", up=False)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", rig.site.port)
    await rig.control.call("line", up=True)
    async with tcp(rig.site.port) as client:
        rig.client = client
        assert await rig.smoke() is False


async def test_the_control_port_refuses_with_a_reason(rig: Rig) -> None:
    for do, arguments, words in (
        ("fire", {"zone": "Z"}, "no zone 'Z'; there are A"),
        ("smoke", {"device": "relays"}, "no smoke detector"),
        ("smoke", {"device": "nobody"}, "no device 'nobody'"),
        ("fault", {"device": "relays", "kind": "nonsense"}, "nonsense"),
        ("set", {"device": "relays", "point": "horn", "value": 1}, "no point 'horn'"),
        ("door", {"device": "relays"}, "watches no door"),
        ("fly", {}, "Invalid value"),
    ):
        with pytest.raises(ControlError, match=words):
            await rig.control.call(do, **arguments)


async def test_a_contactor_cuts_a_charging_car_and_feeds_it_again(
    models: Path, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(FakePlatform())
        chargers = await stack.enter_async_context(
            Site(
                [ChargePointSpec(charge_point_no=NO)],
                book_path=tmp_path / "book.jsonl",
                host="127.0.0.1",
                port=platform.port,
                timing=FAST,
            )
        )
        await chargers.ready()
        server = ControlServer(chargers)
        control_port = await server.start()
        stack.push_async_callback(server.stop)
        charger = await stack.enter_async_context(ControlClient(control_port))
        site = await stack.enter_async_context(
            SensorSite(LAYOUT, load_profiles(models), charger_control_port=control_port)
        )
        client = await stack.enter_async_context(tcp(site.port))

        place = {"charge_point": NO, "connector": 1}
        await charger.call("plug_in", **place, car={"seed": 1, "soc": 0.3})
        await charger.call("fault", charge_point=NO, name="false_stop")
        await charger.call("vin", **place)
        charging = await charger.call("wait", **place, name="charging")
        await until(lambda: site.installation.world.charging_w > 1000)
        await client.write_coil(1, True, device_id=2)
        await charger.call("wait", **place, name="zero_current", since=charging["index"])
        await platform.received(Realtime, lambda m: m.connector_no == 1 and m.status == 1)
        await until(lambda: site.installation.world.charging_w == 0)
        await client.write_coil(1, False, device_id=2)
        await charger.call("wait", **place, name="fed")


async def test_the_command_serves_until_it_is_told(models: Path, tmp_path: Path) -> None:
    layout = tmp_path / "layout.toml"
    layout.write_text(
        """
[[zones]]
name = "A"
[[devices]]
name = "smoke-1"
line = "field"
unit_id = 1
profile = "detector"
zone = "A"
"""
    )
    options = ["--layout", str(layout), "--profile-dir", str(models), "--control-port", "-1"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "sim", "sensors", *options, "--json"),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stderr is not None
    said: dict[str, str] = {}
    while "unit" not in said:
        words = (await process.stderr.readline()).decode().split(maxsplit=1)
        said[words[0]] = words[1].strip()
    port = int(said["line"].rpartition(":")[2])
    async with tcp(port) as client, ControlClient(int(said["control"].split()[-1])) as control:
        await control.call("smoke", device="smoke-1")
        assert (await client.read_discrete_inputs(0, count=1, device_id=1)).bits[0] is True
    assert await told(said["control"].split()[-1], "smoke", "device=smoke-1", "on=false") == 0
    assert await told(said["control"].split()[-1], "smoke", "device=nobody") == 1
    process.send_signal(signal.SIGTERM)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert json.loads(out) == {"requests": 1, "contact": 2, "did": 2}


async def told(*arguments: str) -> int | None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops.cli", "sim", "tell", *arguments), stdout=PIPE, stderr=PIPE
    )
    await process.communicate()
    return process.returncode
