"""Real pymodbus servers whose devices can be made to misbehave, byte by byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.devices.sensors.field import FieldBus
from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.profile import Profile, parse_profile
from edge.devices.sensors.reports import (
    AnySensorReport,
    DeviceAnswering,
    OutputRead,
    PointSampled,
)
from shared.clock import SystemClock
from shared.contracts.protection import Device, Output, OutputKind, Protection, Quality

Fault = Callable[[bytes], bytes]
PATIENCE_S = 10.0

HEAD = """
model = "{model}"
maker = "tests"
title_zh = "测试"
title_en = "test"
[source]
title = "none"
url = "https://example.com"
page = "1"
"""
SMOKE = HEAD.format(model="smoke") + (
    """
[[point]]
name = "smoke"
quantity = "smoke"
table = "discrete"
address = 2
type = "bit"
safety = true
title_zh = "烟"
title_en = "smoke"
[[point]]
name = "fault"
quantity = "detector_fault"
table = "discrete"
address = 1
type = "bit"
safety = true
title_zh = "故障"
title_en = "fault"
"""
)
AIR = HEAD.format(model="air") + (
    """
[[point]]
name = "temperature"
quantity = "temperature_c"
table = "input"
address = 1
type = "int16"
scale = 0.1
period_s = 0.2
title_zh = "温度"
title_en = "temperature"
[[point]]
name = "humidity"
quantity = "humidity_percent"
table = "input"
address = 2
type = "uint16"
scale = 0.1
period_s = 0.2
title_zh = "湿度"
title_en = "humidity"
[[point]]
name = "far"
quantity = "voltage_v"
table = "input"
address = 10
type = "uint16"
period_s = 0.2
title_zh = "电压"
title_en = "voltage"
"""
)
RELAY = HEAD.format(model="relay") + (
    """
[[point]]
name = "coil1"
quantity = "output_on"
table = "coil"
address = 0
type = "bit"
writable = true
title_zh = "一"
title_en = "one"
[[point]]
name = "coil2"
quantity = "output_on"
table = "coil"
address = 1
type = "bit"
writable = true
title_zh = "二"
title_en = "two"
"""
)
TWINS = HEAD.format(model="twins") + (
    """
[[point]]
name = "one"
quantity = "voltage_v"
table = "input"
address = 1
type = "uint16"
period_s = 0.2
title_zh = "一"
title_en = "one"
[[point]]
name = "two"
quantity = "voltage_v"
table = "input"
address = 10
type = "uint16"
period_s = 0.2
title_zh = "二"
title_en = "two"
"""
)
PROFILES: dict[str, Profile] = {
    profile.model: profile
    for profile in (parse_profile(text, "test") for text in (SMOKE, AIR, RELAY, TWINS))
}


class Server:
    """A Modbus server with units; `faults` change what a unit says, `slow_s` when."""

    def __init__(self, units: Iterable[int], *, framer: FramerType = FramerType.SOCKET) -> None:
        self.framer = framer
        self.faults: dict[int, Fault] = {}
        self.slow_s: dict[int, float] = {}
        self.refuse: set[int] = set()
        self.asked: list[tuple[float, int, bytes]] = []
        self.connections = 0
        self.port = 0
        self._units = list(units)
        self._server: ModbusTcpServer | None = None

    async def start(self) -> None:
        devices = [self._device(unit) for unit in self._units]
        self._server = ModbusTcpServer(
            devices,
            framer=self.framer,
            address=("127.0.0.1", self.port),
            trace_packet=self._trace,
            trace_connect=self._connected,
        )
        await self._server.serve_forever(background=True)
        assert self._server.transport is not None
        self.port = self._server.transport.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None

    async def set_discrete(self, unit: int, address: int, on: bool) -> None:
        assert self._server is not None
        await self._server.context.async_setValues(unit, 2, address, [on])

    async def set_input(self, unit: int, address: int, value: int) -> None:
        assert self._server is not None
        await self._server.context.async_setValues(unit, 4, address, [value])

    async def coil(self, unit: int, address: int) -> bool:
        assert self._server is not None
        values = await self._server.context.async_getValues(unit, 1, address, 1)
        assert isinstance(values, list)
        return bool(values[0])

    def times(self, unit: int) -> list[float]:
        """When requests for a unit arrived, monotonic seconds."""
        return [at for at, asked, _ in self.asked if asked == unit]

    def _device(self, unit: int) -> SimDevice:
        async def action(
            function: int,
            start: int,
            address: int,
            count: int,
            registers: list[int],
            written: list[int] | list[bool] | None,
        ) -> ExcCodes | None:
            return ExcCodes.ILLEGAL_ADDRESS if unit in self.refuse else None

        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        registers = [SimData(0, values=[0] * 40, datatype=DataType.REGISTERS)]
        return SimDevice(id=unit, simdata=(bits, bits, registers, registers), action=action)

    def _trace(self, sending: bool, data: bytes) -> bytes:
        at = 6 if self.framer is FramerType.SOCKET else 0
        if len(data) <= at:
            return data
        unit = data[at]
        if not sending:
            self.asked.append((time.monotonic(), unit, data))
            return data
        fault = self.faults.get(unit)
        if (delay_s := self.slow_s.get(unit)) is not None:
            asyncio.get_running_loop().call_later(delay_s, self._send, data)
            return b""
        return fault(data) if fault is not None else data

    def _send(self, data: bytes) -> None:
        if self._server is not None:
            for connection in self._server.active_connections.values():
                connection.send(data)

    def _connected(self, connected: bool) -> None:
        self.connections += connected


def mute(data: bytes) -> bytes:
    """Say nothing."""
    del data
    return b""


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that nobody announces."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


class Recorder:
    """Keeps reports and wakes whoever waits for one."""

    def __init__(self) -> None:
        self.reports: list[AnySensorReport] = []
        self.raise_next: Exception | None = None
        self._changed = asyncio.Event()

    def __call__(self, report: AnySensorReport) -> None:
        if self.raise_next is not None:
            error, self.raise_next = self.raise_next, None
            raise error
        self.reports.append(report)
        self._changed.set()

    async def until(
        self, wanted: Callable[[AnySensorReport], bool], *, after: int = 0
    ) -> AnySensorReport:
        """Return the first report that is wanted, at or behind position `after`."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for report in self.reports[after:]:
                    if wanted(report):
                        return report
                after = len(self.reports)
                self._changed.clear()
                await self._changed.wait()

    def samples(self, device: str, point: str = "") -> list[PointSampled]:
        return [
            report
            for report in self.reports
            if isinstance(report, PointSampled)
            and report.device == device
            and point in ("", report.point)
        ]

    @property
    def position(self) -> int:
        return len(self.reports)


def sampled(
    device: str, point: str, value: float | None = None, quality: Quality = Quality.GOOD
) -> Callable[[AnySensorReport], bool]:
    """Want this value, or with None any of this quality."""

    def wanted(report: AnySensorReport) -> bool:
        return (
            isinstance(report, PointSampled)
            and (report.device, report.point, report.quality) == (device, point, quality)
            and (value is None or report.value == value)
        )

    return wanted


def answering(device: str, yes: bool) -> Callable[[AnySensorReport], bool]:
    def wanted(report: AnySensorReport) -> bool:
        return (
            isinstance(report, DeviceAnswering)
            and report.device == device
            and report.answering is yes
        )

    return wanted


def read_back(output: str, on: bool | None) -> Callable[[AnySensorReport], bool]:
    def wanted(report: AnySensorReport) -> bool:
        return isinstance(report, OutputRead) and (report.output, report.on) == (output, on)

    return wanted


def smoke(unit: int, name: str = "") -> Device:
    return Device(name=name or f"smoke{unit}", line="a", unit_id=unit, profile="smoke")


def air(unit: int) -> Device:
    return Device(name=f"air{unit}", line="a", unit_id=unit, profile="air")


def relay(unit: int) -> Device:
    return Device(name=f"relay{unit}", line="a", unit_id=unit, profile="relay")


def siren(unit: int) -> Output:
    return Output(
        name="siren",
        kind=OutputKind.SIREN,
        device=f"relay{unit}",
        point="coil1",
        read_back="coil1",
    )


def line(port: int, *, rtu: bool = False, period_ms: int = 100) -> LineConfig:
    return LineConfig(
        name="a",
        transport=Transport.RTU_OVER_TCP if rtu else Transport.TCP,
        host="127.0.0.1",
        port=port,
        baud=115200,
        period_ms=period_ms,
    )


@asynccontextmanager
async def field(
    config: LineConfig, protection: Protection
) -> AsyncIterator[tuple[FieldBus, Recorder]]:
    """A running bus on one line."""
    recorder = Recorder()
    bus = FieldBus([config], SystemClock(), recorder, profiles=PROFILES)
    bus.configure(protection)
    task = asyncio.create_task(bus.run())
    try:
        yield bus, recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
