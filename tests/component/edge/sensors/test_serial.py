"""RTU on a serial line: a pair of pseudo terminals with a cable between them."""

from __future__ import annotations

import asyncio
import os
import sys
import tty
from collections.abc import AsyncIterator

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.lines import LineConfig, Transport
from shared.contracts.protection import Protection
from tests.component.edge.sensors.field_support import (
    Server,
    answering,
    field,
    mute,
    read_back,
    relay,
    sampled,
    siren,
    smoke,
)


class Cable:
    """Carries bytes between two ttys; `echoes` is an adapter that hears what it sends."""

    def __init__(self) -> None:
        self.echoes = False
        self.noise = b""
        self._near, near = os.openpty()
        self._far, far = os.openpty()
        self.names = os.ttyname(near), os.ttyname(far)
        self._held = [near, far]
        for end in (self._near, self._far, near, far):
            tty.setraw(end)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._near, self._carry_out)
        loop.add_reader(self._far, self._carry_in)

    def _carry_out(self) -> None:
        data = os.read(self._near, 4096)
        if self.echoes:
            os.write(self._near, data)
        os.write(self._far, data)

    def _carry_in(self) -> None:
        os.write(self._near, self.noise + os.read(self._far, 4096))

    def cut(self) -> None:
        loop = asyncio.get_running_loop()
        for end in (self._near, self._far):
            loop.remove_reader(end)
        for end in (self._near, self._far, *self._held):
            os.close(end)
        self._held = []


class SerialServer(Server):
    """The same devices on a tty."""

    def __init__(self, name: str) -> None:
        super().__init__(range(1, 10), framer=FramerType.RTU)
        self._name = name

    async def start(self) -> None:
        self._server = ModbusSerialServer(  # type: ignore[assignment] # its base is all we use
            [self._device(unit) for unit in self._units],
            framer=FramerType.RTU,
            port=self._name,
            baudrate=115200,
            trace_packet=self._trace,
            trace_connect=self._connected,
        )
        await self._server.serve_forever(background=True)


@pytest.fixture
async def cable() -> AsyncIterator[Cable]:
    made = Cable()
    yield made
    if made._held:
        made.cut()


@pytest.fixture
async def server(cable: Cable) -> AsyncIterator[SerialServer]:
    made = SerialServer(cable.names[1])
    await made.start()
    yield made
    await made.stop()


def config(cable: Cable) -> LineConfig:
    return LineConfig(name="a", transport=Transport.SERIAL, device=cable.names[0], baud=115200)


DOCUMENT = Protection(devices=(smoke(1), relay(9)), outputs=(siren(9),))


async def written(bus: object, on: bool) -> bool:
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(answered: bool, at: Moment) -> None:
        del at
        outcome.set_result(answered)

    bus.write("siren", on, done)  # type: ignore[attr-defined] # a FieldBus
    return await outcome


async def test_a_serial_line_is_polled_and_written(cable: Cable, server: SerialServer) -> None:
    async with field(config(cable), DOCUMENT) as (bus, heard):
        await heard.until(sampled("smoke1", "smoke", 0.0))
        await server.set_discrete(1, 2, True)
        await heard.until(sampled("smoke1", "smoke", 1.0))
        assert await written(bus, True)
        await heard.until(read_back("siren", True))


async def test_noise_before_an_answer_is_no_value(cable: Cable, server: SerialServer) -> None:
    del server
    async with field(config(cable), DOCUMENT) as (_, heard):
        await heard.until(sampled("smoke1", "smoke", 0.0))
        cable.noise = b"\x01\x02\x01\xff\x00\x00"
        await heard.until(answering("smoke1", False))
        since = heard.position
        cable.noise = b""
        await heard.until(sampled("smoke1", "smoke", 0.0), after=since)

    assert {sample.value for sample in heard.samples("smoke1", "smoke")} == {0.0, None}


async def test_an_echo_is_neither_a_value_nor_a_confirmation(
    cable: Cable, server: SerialServer
) -> None:
    cable.echoes = True

    async with field(config(cable), DOCUMENT) as (bus, heard):
        await heard.until(sampled("smoke1", "smoke", 0.0))
        assert await written(bus, True)
        await heard.until(read_back("siren", True))
        server.faults[9] = mute
        assert not await written(bus, False)


async def test_a_pulled_adapter_is_told(cable: Cable, server: SerialServer) -> None:
    async with field(config(cable), DOCUMENT) as (bus, heard):
        await heard.until(sampled("smoke1", "smoke", 0.0))
        await server.stop()
        cable.cut()
        await heard.until(answering("smoke1", False))
        assert not await written(bus, True)


async def test_a_line_that_the_agent_has_is_refused_with_a_hint(
    cable: Cable, server: SerialServer
) -> None:
    del server
    async with field(config(cable), DOCUMENT) as (_, heard):
        await heard.until(sampled("smoke1", "smoke", 0.0))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ops.cli", "edge", "sensors", "watch",
            "--device", cable.names[0], "--unit", "1", "--profile", "xy-md02",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(30):
            _, err = await process.communicate()
        since = heard.position
        await heard.until(sampled("smoke1", "smoke", 0.0), after=since)

    assert process.returncode == 6
    assert b"belongs to another program, most likely the agent" in err
