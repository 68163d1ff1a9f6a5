"""A station with detectors and a siren on a real Modbus line whose devices misbehave on demand."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastcrc import crc16

from edge.devices.chargers.ykc import messages
from ops.bench.modbus_field import Field, Unit
from ops.bench.safety_rig import PIN, write_pin, write_profiles, write_protection
from tests.component.edge.agent_support import CARD, Running, running, write_config
from tests.component.gateway_support import NUMBER, Charger, realtime

DETECTOR, THERMOMETER, RELAY, SPARE, BULK = 1, 2, 3, 4, 10
PERIOD_S = 0.1
PATIENCE_S = 15.0
Document = dict[str, list[dict[str, Any]]]

SMOKE: dict[str, Any] = {
    "rule_id": "smoke",
    "kind": "threshold",
    "code": "smoke",
    "above": 0.5,
    "clear_s": 0.0,
    "select": {"quantity": "smoke"},
}
SILENT: dict[str, Any] = {
    "rule_id": "silent",
    "kind": "silence",
    "code": "detector_fault",
    "for_s": 0.3,
    "clear_s": 0.0,
    "select": {"quantity": "smoke"},
}


def document(*rules: dict[str, Any], outputs: list[dict[str, Any]] | None = None) -> Document:
    """A zone with both connectors of the charge point, its detector, a thermometer, two relays."""
    zone = {"line": "bus", "zone": "A"}
    siren = {"kind": "siren", "device": "relay-1", "point": "siren", "read_back": "siren_on"}
    return {
        "zones": [{"name": "A", "connectors": [[NUMBER, 1], [NUMBER, 2]]}],
        "devices": [
            {"name": "smoke-1", "unit_id": DETECTOR, "profile": "bench-detector", **zone},
            {"name": "heat-1", "unit_id": THERMOMETER, "profile": "bench-thermometer", **zone},
            {"name": "relay-1", "unit_id": RELAY, "profile": "bench-relay", **zone},
            {"name": "relay-2", "unit_id": SPARE, "profile": "bench-relay", **zone},
            {"name": "air-1", "unit_id": BULK, "profile": "bench-bulk", **zone},
        ],
        "outputs": outputs or [{"name": "siren-1", **siren, "zones": ["A"]}],
        "rules": [*(rules or (SMOKE, SILENT))],
    }


class FaultyField(Field):
    """A field with one device that answers as `fault` says: see `FAULTS`."""

    def __init__(self, units: dict[int, Unit]) -> None:
        super().__init__(units)
        self.faults: dict[int, str] = {}


FAULTS = ("timeout", "crc", "wrong_unit", "exception", "echo", "stuck_bus")
_STUCK_S = 0.25


class RtuPort(asyncio.Protocol):
    """A serial server: RTU frames over TCP."""

    def __init__(self, field: FaultyField) -> None:
        self._field = field
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while len(self._pending) >= 8:  # reads and writes of one coil have all the same size
            frame, self._pending = self._pending[:8], self._pending[8:]
            assert crc16.modbus(frame[:-2]) == int.from_bytes(frame[-2:], "little")
            answer = self._field.answer(frame[0], frame[1:-2])
            self._reply(frame, answer, self._field.faults.get(frame[0], ""))

    def _reply(self, frame: bytes, answer: bytes | None, fault: str) -> None:
        if answer is None or fault == "timeout":
            return
        if fault == "echo":
            self._transport.write(frame)
        elif fault == "exception":
            self._transport.write(_framed(frame[0], bytes((frame[1] | 0x80, 4))))
        elif fault == "wrong_unit":
            self._transport.write(_framed(frame[0] + 40, answer))
        elif fault == "crc":
            good = _framed(frame[0], answer)
            self._transport.write(good[:-1] + bytes((good[-1] ^ 0x55,)))
        elif fault == "stuck_bus":
            self._babble(asyncio.get_running_loop().time() + _STUCK_S)
        else:
            self._transport.write(_framed(frame[0], answer))
            self._field.sent(frame[0], frame[1:-2])

    def _babble(self, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() < until_s and not self._transport.is_closing():
            self._transport.write(b"\x00\xff\x55")
            loop.call_later(0.002, self._babble, until_s)


def _framed(unit_id: int, pdu: bytes) -> bytes:
    body = struct.pack("B", unit_id) + pdu
    return body + crc16.modbus(body).to_bytes(2, "little")


class Plant:
    """An agent in this process, its devices, and its charge point."""

    def __init__(self, field: FaultyField, config: Path) -> None:
        self.field = field
        self.units = field.units
        self.config = config
        self.coils: list[tuple[int, int, bool]] = []
        field.on_coil = lambda unit_id, address, on, _at: self.coils.append((unit_id, address, on))
        self.agent: Running
        self.link: Charger

    def smoke(self, *, on: bool) -> None:
        self.units[DETECTOR].discrete[0] = int(on)

    def siren(self, unit_id: int = RELAY) -> bool:
        return bool(self.units[unit_id].coils.get(0))

    async def alarms(self) -> dict[str, dict[str, Any]]:
        """Open alarms by code; a cleared one is gone."""
        return {alarm["code"]: alarm for alarm in (await self.agent.ask(do="state"))["alarms"]}

    async def until(self, holds: Callable[[], Any], limit_s: float = PATIENCE_S) -> None:
        async with asyncio.timeout(limit_s):
            while True:
                found = holds()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)

    async def until_alarm(self, code: str, *, gone: bool = False) -> None:
        async def there() -> bool:
            return (code in await self.alarms()) is not gone

        await self.until(there)

    async def until_polled(self, unit_id: int = DETECTOR, times: int = 3) -> None:
        """Wait until a device was read some more times."""
        before = len(self.units[unit_id].read_s)
        await self.until(lambda: len(self.units[unit_id].read_s) >= before + times)

    async def reset(self, connector_no: int = 1, pin: str = PIN) -> dict[str, Any]:
        return await self.agent.ask(
            do="reset", number=NUMBER, connector=connector_no, reason="looked", pin=pin
        )

    async def reset_all(self) -> None:
        """Lift every latch there is, once the station lets us."""

        async def free() -> bool:
            latches = (await self.agent.ask(do="state"))["latches"]
            for latch in latches:
                await self.agent.ask(
                    do="reset", number=latch["charge_point_no"], connector=latch["connector_no"],
                    reason="looked", pin=PIN,
                )  # fmt: skip
            return not latches

        await self.until(free)

    async def swipe(self, connector_no: int = 1) -> bool:
        """Ask to charge with a card that may; return whether it was allowed."""
        self.link.send(messages.StartRequest(NUMBER, connector_no, 1, 0, CARD, "", "0" * 17))
        answer = await self.link.expect(messages.StartRequestAnswer)
        return bool(answer.authorized)

    def leave(self, connector_no: int = 1) -> None:
        """Have no car at a connector."""
        self.link.send(
            realtime(NUMBER, state=2, connector_no=connector_no, plugged_in=0, current_da=0)
        )


@asynccontextmanager
async def line(field: FaultyField) -> AsyncIterator[int]:
    """Serve a field's line; yields its port."""
    server = await asyncio.get_running_loop().create_server(lambda: RtuPort(field), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def make_field() -> FaultyField:
    """A quiet day: no smoke, 25 °C, everything answers."""
    units = {DETECTOR: Unit(), THERMOMETER: Unit(inputs={0: 250}), RELAY: Unit(), SPARE: Unit()}
    return FaultyField({**units, BULK: Unit(inputs={0: 500})})


@asynccontextmanager
async def plant(tmp_path: Path, protection: Document | None = None) -> AsyncIterator[Plant]:
    """Run a station; its charge point has logged in and its card may charge."""
    field = make_field()
    async with line(field) as port:
        made = Plant(field, plant_config(tmp_path, port, protection))
        async with serving(made):
            yield made


def plant_config(tmp_path: Path, line_port: int, protection: Document | None = None) -> Path:
    """Write the configuration of a station with one line."""
    profiles = write_profiles(tmp_path)
    file = write_protection(tmp_path, protection or document())
    more = f"""
[protection]
file = "{file}"
[sensors]
profile_dir = "{profiles}"
[[line]]
name = "bus"
transport = "rtu_over_tcp"
host = "127.0.0.1"
port = {line_port}
baud = 115200
period_ms = {round(PERIOD_S * 1000)}
"""
    config = write_config(tmp_path, more=more)
    write_pin(tmp_path / "data")
    return config


@asynccontextmanager
async def serving(made: Plant) -> AsyncIterator[None]:
    """Run the agent, with its charge point."""
    async with running(made.config) as agent:
        made.agent = agent
        await agent.allow()
        async with Charger(agent.port) as link:
            made.link = link
            await link.log_in()
            link.send(messages.Heartbeat(NUMBER, 1, 0))
            await link.expect(messages.HeartbeatAnswer)
            made.leave(1)
            made.leave(2)
            await made.until_polled(THERMOMETER)
            yield
