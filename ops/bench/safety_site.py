"""The site of the safety bench: detectors, a siren and charge points in one process with one clock.

A child of the bench. It flips a detector, waits for the stop frame of every connector of the zone
and for the siren's coil, and puts everything back through the station's local socket.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, cast

import uvloop

from edge.local_api import ask
from ops.bench import frames
from ops.bench.children import BenchError, say
from ops.bench.modbus_field import Field, SerialPort, TcpPort, Unit

_STOP, _ASK_VALUES = 0x36, 0x12
_LIMIT_S = 10.0
_AGAIN_S = 0.02
_SETTLE_S = 0.02
"""Until the station has heard that cars charge."""

DETECTOR, THERMOMETER, RELAY, EXTRA, BULK = 1, 2, 3, (3, 4), 10
"""Unit ids: a detector with an alarm contact, a thermometer, a relay module; others from 10.

Beside many other devices two more detectors stand in the relay module's place.
"""
SIREN_COIL = 0
HOT_RAW, COOL_RAW = 900, 250
"""Tenths of a degree."""


class ChargePoint(asyncio.Protocol):
    """A charge point with two connectors whose cars charge until they are stopped."""

    def __init__(self, index: int, connectors: int, on_stop: Callable[[str, int, float], None]):
        self.number = frames.number(index)
        self.cars = [frames.Charging(self.number, no) for no in range(1, connectors + 1)]
        self._on_stop = on_stop
        self._pending = b""
        self._charging = [False] * connectors
        self.logged_in = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Log in."""
        self._transport = cast(asyncio.Transport, transport)
        self._write(frames.login(self.number, len(self.cars)))

    def data_received(self, data: bytes) -> None:
        """Take stops and requests for values; all else needs no answer here."""
        now_s = time.monotonic()
        self._pending += data
        while len(self._pending) >= 2 and len(self._pending) >= (size := self._pending[1] + 4):
            frame, self._pending = self._pending[:size], self._pending[size:]
            if frame[5] == _STOP:
                connector_no = frame[13]
                self._on_stop(self.number, connector_no, now_s)
                self._charging[connector_no - 1] = False
                self._tell(connector_no)
            elif frame[5] == _ASK_VALUES:
                self._tell(frame[13])
            elif frame[5] == 0x02:
                self._write(frames.heartbeat(self.number))
                self.logged_in.set()

    def beat(self) -> None:
        """Send a heartbeat."""
        self._write(frames.heartbeat(self.number))

    def charge(self) -> None:
        """Have a car charge at every connector."""
        for connector_no in range(1, len(self.cars) + 1):
            self._charging[connector_no - 1] = True
            self._tell(connector_no)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _tell(self, connector_no: int) -> None:
        if self._charging[connector_no - 1]:
            self._write(self.cars[connector_no - 1].realtime())
        else:
            self._write(frames.idle(self.number, connector_no))

    def _write(self, frame: bytes) -> None:
        assert self._transport is not None
        self._transport.write(frame)


class Site:
    """Everything at the site. Times are milliseconds from the flip."""

    def __init__(self) -> None:
        self.units: dict[int, Unit] = {
            DETECTOR: Unit(),
            THERMOMETER: Unit(inputs={0: COOL_RAW}),
            RELAY: Unit(),
        }
        self.field = Field(self.units)
        self.field.on_coil = self._on_coil
        self.field.on_answer = self._on_answer
        self._points: list[ChargePoint] = []
        self._stopped: dict[tuple[str, int], float] = {}
        self._siren_s: float | None = None
        self._answers: list[float] = []
        self._awaited_unit = 0
        self._changed = asyncio.Event()
        self._random = Random("safety bench")  # noqa: S311 - the same phases each run
        self._serial: SerialPort | None = None
        self._server: asyncio.Server | None = None
        self._socket = Path()
        self._pin = ""

    async def listen(self, bulk: int = 0, dead: int = 0, baud: int = 0) -> dict[str, Any]:
        """Open the line, with `bulk` more devices of which the last `dead` never answer."""
        for unit_id in EXTRA if bulk else ():
            self.units[unit_id] = Unit()
        for index in range(bulk):
            self.units[BULK + index] = Unit(dead=index >= bulk - dead)
        if baud:
            self._serial = SerialPort(self.field, baud)
            return {"path": self._serial.path}
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: TcpPort(self.field), "127.0.0.1", 0)
        return {"port": self._server.sockets[0].getsockname()[1]}

    def close(self) -> None:
        """Take the line and the charge points away."""
        if self._server is not None:
            self._server.close()
        if self._serial is not None:
            self._serial.close()
        for point in self._points:
            point.close()

    async def connect(
        self, port: int, points: int, connectors: int, first: int, socket: str, pin: str
    ) -> dict[str, Any]:
        """Log charge points in, their numbers from index `first` on."""
        self._socket, self._pin = Path(socket), pin
        loop = asyncio.get_running_loop()
        for index in range(first, first + points):
            point = ChargePoint(index, connectors, self._on_stop)
            await loop.create_connection(lambda point=point: point, "127.0.0.1", port)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            self._points.append(point)
        async with asyncio.timeout(_LIMIT_S):
            await asyncio.gather(*(point.logged_in.wait() for point in self._points))
        return {"connectors": points * connectors}

    async def trips(self, kind: str, count: int, period_s: float) -> dict[str, Any]:
        """Trip `count` times at random phases of the poll. `kind` is `contact` or `voted`."""
        trips = []
        for _ in range(count):
            for point in self._points:
                point.beat()
                point.charge()
            await asyncio.sleep(_SETTLE_S + self._random.random() * period_s)
            trips.append(await self._trip(kind))
            await self._put_back(kind)
        return {"trips": trips}

    async def _trip(self, kind: str) -> dict[str, float]:
        self._stopped.clear()
        self._siren_s = None
        self._answers.clear()
        self._awaited_unit = DETECTOR if kind == "contact" else THERMOMETER
        flipped_s = time.monotonic()
        self._set(kind, alarm=True)
        wanted = sum(len(point.cars) for point in self._points)

        def done() -> bool:
            return len(self._stopped) == wanted and self._siren_s is not None

        await self._until(done, "stop frames of the zone and the siren's coil")
        assert self._siren_s is not None
        last_stop_s = max(self._stopped.values())
        first_s = min(*self._stopped.values(), self._siren_s)
        # The answer that decided: the last one sent before the station acted.
        decided_s = max((at_s for at_s in self._answers if at_s < first_s), default=flipped_s)
        return {
            "stop_ms": (last_stop_s - flipped_s) * 1000,
            "siren_ms": (self._siren_s - flipped_s) * 1000,
            "answer_to_stop_ms": (last_stop_s - decided_s) * 1000,
            "answer_to_siren_ms": (self._siren_s - decided_s) * 1000,
            "answers": float(sum(1 for at_s in self._answers if at_s < first_s)),
        }

    async def _put_back(self, kind: str) -> None:
        self._set(kind, alarm=False)
        started_s = time.monotonic()
        while True:
            try:
                answer = await self.reset()
            except OSError as error:  # a caller may be dropped; whether the agent lives shows soon
                answer = {"error": str(error)}
            if answer.get("ok"):
                break
            if time.monotonic() - started_s > _LIMIT_S:
                raise BenchError(f"the station cannot be reset: {answer}")
            await asyncio.sleep(_AGAIN_S)
        relay = self.units[RELAY]
        await self._until(lambda: not relay.coils.get(SIREN_COIL), "the siren to fall silent")

    async def reset(self) -> dict[str, Any]:
        """Lift every latch of the zone; the last refusal, else the last answer, is returned."""
        answer: dict[str, Any] = {"ok": True}
        for point in self._points:
            for car in point.cars:
                answer = await ask(
                    self._socket,
                    {
                        "do": "reset",
                        "number": point.number,
                        "connector": car.connector_no,
                        "reason": "bench",
                        "pin": self._pin,
                    },
                )
                if not answer.get("ok") and "nothing is blocked" not in str(answer.get("error")):
                    return answer
        return {"ok": True}

    async def watch(self, seconds: float, units: list[int]) -> dict[str, Any]:
        """Return the times between reads of each unit, in ms, over `seconds`."""
        for unit_id in units:
            self.units[unit_id].read_s.clear()
        await asyncio.sleep(seconds)
        periods = []
        for unit_id in units:
            read_s = self.units[unit_id].read_s
            periods += [(later - earlier) * 1000 for earlier, later in pairwise(read_s)]
        others = sum(1 for unit_id, unit in self.units.items() if unit.read_s) - len(units)
        return {"periods_ms": periods, "other_units_read": others}

    def _set(self, kind: str, *, alarm: bool) -> None:
        if kind == "contact":
            self.units[DETECTOR].discrete[0] = int(alarm)
        else:
            self.units[THERMOMETER].inputs[0] = HOT_RAW if alarm else COOL_RAW

    def _on_stop(self, number: str, connector_no: int, at_s: float) -> None:
        self._stopped.setdefault((number, connector_no), at_s)
        self._changed.set()

    def _on_coil(self, unit_id: int, address: int, on: bool, at_s: float) -> None:
        if unit_id == RELAY and address == SIREN_COIL:
            if on and self._siren_s is None:
                self._siren_s = at_s
            self._changed.set()

    def _on_answer(self, unit_id: int, at_s: float) -> None:
        if unit_id == self._awaited_unit:
            self._answers.append(at_s)

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            seen = f"{len(self._stopped)} stops, siren {self._siren_s is not None}"
            raise BenchError(f"in vain for {_LIMIT_S:g} s: {what} ({seen})") from None


async def _serve() -> None:
    site = Site()
    handlers: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {
        "listen": site.listen,
        "connect": site.connect,
        "trips": site.trips,
        "watch": site.watch,
    }
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        try:
            say(await handlers[request.pop("do")](**request))
        except (OSError, TimeoutError, BenchError) as error:
            say({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    uvloop.run(_serve())
