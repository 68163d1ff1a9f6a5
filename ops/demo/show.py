"""The demo until Ctrl-C: where to look, what goes on, and what a person does to it with a key.

At the bottom of the terminal stand what charges, what is down, where the books stand, the keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ops.demo import evening, smoke
from ops.demo.bookkeeper import Bookkeeper
from ops.demo.children import DemoError
from ops.demo.footer import Footer
from ops.demo.keys import keys
from ops.demo.outages import Outages
from ops.demo.stage import ADMIN, Say, Stage, StationProcesses
from ops.sim.control import ControlError

_LOOK_EVERY_S = 1.0
_BOOKS_EVERY_S = 3.0


class Show:
    """Shows a stage that is up; breaks it and lets it burn when it is told."""

    def __init__(self, stage: Stage, say: Say) -> None:
        """Prepare only. `say` writes a line to stderr."""
        self._stage = stage
        self._say = say
        first, self._burning = stage.stations[0], stage.stations[-1]
        self._footer = Footer(sys.stderr) if sys.stderr.isatty() else None
        self._progress: list[str] = []
        self._standing: list[str] = []
        self._help: list[str] = []
        self._told: set[str] = set()
        self._doing: set[asyncio.Task[None]] = set()
        self._outages = Outages(stage.servers, stage.stations, self._line)
        self._bookkeeper = Bookkeeper(stage.hq, stage.stations, time.monotonic)
        self._keys: dict[str, Callable[[], Awaitable[None]]] = {
            "l": lambda: self._outages.cut_or_mend(first),
            "L": lambda: self._outages.cut_or_mend(self._burning),
            "b": self._outages.kill_broker,
            "a": lambda: self._outages.kill_agent(first),
            "A": lambda: self._outages.kill_agent(self._burning),
            "f": self._fire,
            "p": self._put_out,
            "r": self._reset,
        }

    async def run(self, ended: asyncio.Event) -> None:
        """Show it until `ended` is set."""
        self._outages.watch()
        try:
            with keys(self._pressed) as has_keys:
                self._help = self._keys_in_words() if has_keys else []
                sys.stdout.write("\n".join(self._introduction()) + "\n")
                sys.stdout.flush()
                await asyncio.gather(
                    _every(_LOOK_EVERY_S, self._look, ended),
                    _every(_BOOKS_EVERY_S, self._look_at_books, ended),
                )
        finally:
            for task in self._doing:
                task.cancel()
            await asyncio.gather(*self._doing, return_exceptions=True)
            await self._outages.close()
            if self._footer is not None:
                self._footer.clear()
                self._footer = None
        for text in self._standing:
            self._say(text)

    def _introduction(self) -> list[str]:
        stage, url = self._stage, self._stage.hq.url
        endpoints, place = stage.servers.endpoints, self._burning
        tell = f".venv/bin/vw sim tell {place.field_control_port}"
        lines = [
            f"HQ              {url}/   (log in: {ADMIN} / {stage.password})",
            f"HQ's API        {url}/docs",
            f"Health, figures {url}/readyz  {url}/metrics",
            f"PostgreSQL      {stage.servers.database_url('voltwarden')}",
            f"Redis, MQTT     {endpoints.redis_url}  {endpoints.mqtt_host}:{endpoints.mqtt_port}",
            *(line for station in stage.stations for line in _about(station)),
            f"Logs            {stage.folder / 'logs'}",
            f"Fire at {place.plan.station_no}  {tell} fire zone={smoke.ZONE}",
            f"Fire out        {tell} put_out air=true",
        ]
        if self._footer is None:
            lines += self._help
        return [*lines, "Ctrl-C ends everything."]

    def _keys_in_words(self) -> list[str]:
        first, second = (s.plan.station_no for s in (self._stage.stations[0], self._burning))
        return [
            (
                f"按键: l L 断开或恢复 {first} {second} 的线路  b 杀掉消息服务器  "
                f"a A 杀掉 {first} {second} 的站端程序  f 起火  p 灭火  r 现场复位"
            ),
            (
                f"Keys: l L cut or mend the link of {first} {second}  b kill the broker  "
                f"a A kill the agent of {first} {second}  f fire  p put it out  r reset on site"
            ),
        ]

    # What goes on

    async def _look(self) -> None:
        if self._footer is not None:
            self._progress = ["   ".join([await _charging(s) for s in self._stage.stations])]
            self._draw()
        async for trip in self._stage.hq.read_all("/alarms/trips"):
            if trip["id"] not in self._told and trip["zero_current_ms"] is not None:
                self._told.add(trip["id"])
                self._line(_in_words(trip))

    async def _look_at_books(self) -> None:
        self._standing = (await self._bookkeeper.look()).in_words()
        self._draw()

    def _draw(self) -> None:
        if self._footer is not None:
            down = [f"{what} {lasted_s} s" for what, lasted_s in self._outages.down.items()]
            lines = [f"中断 down: {', '.join(down)}"] if down else []
            self._footer.show([*self._progress, *lines, *self._standing, *self._help])

    def _line(self, text: str) -> None:
        if self._footer is not None:
            self._footer.clear()
        self._say(text)
        self._draw()

    # Keys

    def _pressed(self, key: str) -> None:
        do = self._keys.get(key) or self._keys.get(key.lower())
        if do is not None:
            task = asyncio.create_task(self._carry_out(do))
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)

    async def _carry_out(self, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        except (OSError, ControlError, DemoError) as error:
            self._line(f"that did not work: {error}")

    async def _fire(self) -> None:
        await self._burning.at_field("fire", zone=smoke.ZONE)
        self._line(
            f"fire in zone {smoke.ZONE} of {self._burning.plan.station_no}: look at its screen "
            f"(vw edge kiosk, above) and at {self._stage.hq.url}/alarms; p puts it out"
        )

    async def _put_out(self) -> None:
        await self._burning.at_field("put_out", air=True)
        self._line("the fire is out and the smoke is gone; the zone stays blocked: r resets it")

    async def _reset(self) -> None:
        refusal = await smoke.release(self._burning)
        self._line(f"not reset: {refusal}" if refusal else "reset on site")


async def _every(pause_s: float, look: Callable[[], Awaitable[None]], ended: asyncio.Event) -> None:
    while not ended.is_set():
        with contextlib.suppress(OSError, ControlError, DemoError):  # something restarts
            await look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await ended.wait()


async def _charging(station: StationProcesses) -> str:
    connectors = await station.connectors()
    charging = sum(bool(connector["transaction_no"]) for connector in connectors)
    watts = sum(c["voltage_dv"] * c["current_da"] // 100 for c in connectors)
    name = station.plan.station_no
    return f"{name}: {charging}/{len(connectors)} charging 充电 {watts / 1000:.0f} kW"


def _about(station: StationProcesses) -> list[str]:
    name = f"Station {station.plan.station_no}"
    return [
        f"{name}  charge points at 127.0.0.1:{station.gateway_port}",
        f"{'':14}  sensors, sirens, contactors (Modbus/TCP) at 127.0.0.1:{station.field_port}",
        f"{'':14}  VW_ENV=demo .venv/bin/vw edge state --config {station.config}",
        f"{'':14}  .venv/bin/vw edge kiosk --socket {station.socket}   PIN {station.pin}",
    ]


def _in_words(trip: dict[str, Any]) -> str:
    figures = evening.figures(trip)
    siren_ms = figures.get("detect_to_siren_ms")
    siren = "" if siren_ms is None else f", siren after {siren_ms:.1f} ms"
    zone = f" in zone {trip['zone']}" if trip["zone"] else ""
    zero_ms = figures["stop_to_zero_current_ms"]
    zero = f"no current {zero_ms} ms later" if zero_ms else "where nothing flowed any more"
    return (
        f"tripped for {figures['cause']}{zone}: {figures['connectors']} connectors, stop sent "
        f"after {figures['detect_to_stop_ms']:.1f} ms{siren}, {zero}"
    )
