"""The demo until Ctrl-C: where to look, what goes on, and a fire at the press of a key."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from ops.demo import evening, smoke
from ops.demo.children import DemoError
from ops.demo.keys import keys
from ops.demo.stage import ADMIN, Say, Stage, StationProcesses
from ops.sim.control import ControlError

_LOOK_EVERY_S = 1.0


class Show:
    """Shows a stage that is up, and lets it burn when it is told."""

    def __init__(self, stage: Stage, say: Say) -> None:
        """Prepare only. `say` writes a line to stderr."""
        self._stage = stage
        self._say = say
        self._burning = stage.stations[-1]
        self._on_terminal = sys.stderr.isatty()
        self._told: set[str] = set()
        self._doing: set[asyncio.Task[None]] = set()
        self._keys: dict[str, Callable[[], Awaitable[None]]] = {
            "f": self._fire,
            "p": self._put_out,
            "r": self._reset,
        }

    async def run(self, ended: asyncio.Event) -> None:
        """Show it until `ended` is set."""
        with keys(self._pressed) as has_keys:
            sys.stdout.write("\n".join(self._introduction(has_keys=has_keys)) + "\n")
            sys.stdout.flush()
            while not ended.is_set():
                with contextlib.suppress(OSError, ControlError, DemoError):  # something restarts
                    await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await ended.wait()
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)
        if self._on_terminal:
            sys.stderr.write("\n")

    def _introduction(self, *, has_keys: bool) -> list[str]:
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
        if has_keys:
            lines.append("Keys            f fire   p put it out   r reset on site")
        return [*lines, "Ctrl-C ends everything."]

    # What goes on

    async def _look(self) -> None:
        if self._on_terminal:
            sys.stderr.write(f"\r\x1b[K{await self._progress()}")
            sys.stderr.flush()
        async for trip in self._stage.hq.read_all("/alarms/trips"):
            if trip["id"] not in self._told and trip["zero_current_ms"] is not None:
                self._told.add(trip["id"])
                self._line(_in_words(trip))

    async def _progress(self) -> str:
        parts = []
        for station in self._stage.stations:
            connectors = await station.connectors()
            charging = sum(bool(connector["transaction_no"]) for connector in connectors)
            watts = sum(c["voltage_dv"] * c["current_da"] // 100 for c in connectors)
            name = station.plan.station_no
            parts.append(f"{name}: {charging}/{len(connectors)} charging {watts / 1000:.0f} kW")
        return "   ".join(parts)

    def _line(self, text: str) -> None:
        if self._on_terminal:
            sys.stderr.write("\r\x1b[K")
        self._say(text)

    # Keys

    def _pressed(self, key: str) -> None:
        do = self._keys.get(key.lower())
        if do is not None:
            task = asyncio.create_task(self._carry_out(do))
            self._doing.add(task)
            task.add_done_callback(self._doing.discard)

    async def _carry_out(self, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        except (OSError, TimeoutError, ControlError, DemoError) as error:
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
