"""The demo's stage: servers, HQ, stations and simulators as real processes, and their set-up.

What a company would do by hand is done here the same way: migrate, make an admin, log in over
HTTP, make stations, charge points, a tariff and tokens, write each station its `edge.toml`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec

from edge.local_api import ask
from ops.demo.children import Child, DemoError
from ops.demo.customers import Customers
from ops.demo.field import LINE, protection_of
from ops.demo.hq_api import HqApi
from ops.demo.proxy import Line
from ops.demo.world import CONNECTORS, RATED_KW, TARIFF, StationPlan, World, first_ms
from ops.embedded import EmbeddedServers
from ops.embedded.processes import free_port, write_private
from ops.sim.control import ControlClient

logger = logging.getLogger(__name__)

WORKERS = 2
ADMIN = "admin"
_START_LIMIT_S = 30.0
_STEP_LIMIT_S = 30.0
_LOOK_EVERY_S = 0.2
_LIMIT_FEN = 50_000

Say = Callable[[str], None]


class StationProcesses:
    """One station: its agent, its line to HQ, its simulator and its customers."""

    def __init__(self, plan: StationPlan, folder: Path, line: Line, scale: float) -> None:
        """Prepare only. `scale` is how fast the wall clock runs."""
        self.plan = plan
        self.folder = folder / plan.station_no
        self.line = line
        self.gateway_port = free_port()
        self.control_port = free_port()
        self.field_port = free_port()
        self.field_control_port = free_port()
        self.pin = ""
        """Of somebody on site who may do everything there; HQ makes it."""
        self.socket = self.folder / "agent.sock"
        self.document = protection_of(plan, scale)
        self.layout = folder / f"{plan.station_no}-sensors.json"
        self.config = self.folder / "edge.toml"
        self.book = folder / f"{plan.station_no}-simulator.jsonl"
        logs = folder / "logs"
        self.agent = Child(
            f"{plan.station_no}-agent",
            ["-m", "ops.cli", "edge", "run", "--config", str(self.config)],
            logs,
        )
        self.simulator = Child(f"{plan.station_no}-simulator", [], logs)
        self.sensors = Child(
            f"{plan.station_no}-sensors",
            ["-m", "ops.cli", "sim", "sensors", *self._sensor_options()],
            logs,
        )
        self.customers: Customers

    def _sensor_options(self) -> list[str]:
        options = {
            "--port": self.field_port,
            "--layout": self.layout,
            "--control-port": self.field_control_port,
            "--charger-control": self.control_port,
        }
        return [str(part) for option in options.items() for part in option]

    def simulate(self, clock: str, seed: int) -> None:
        """Say how its devices are simulated; `clock` as `--demo-clock` takes it."""
        options = {
            "--port": str(self.gateway_port),
            "--first-number": self.plan.charge_point_nos[0],
            "--count": str(len(self.plan.charge_point_nos)),
            "--connectors": str(CONNECTORS),
            "--rated-kw": str(RATED_KW),
            "--timing": "fast",
            "--book": str(self.book),
            "--control-port": str(self.control_port),
            "--demo-clock": clock,
            "--seed": str(seed),
        }
        arguments = [part for option in options.items() for part in option]
        command = ["-m", "ops.cli", "sim", "charger", *arguments]
        self.simulator = Child(self.simulator.name, command, self.agent.log.parent)

    async def start_agent(self) -> None:
        """Start the agent and wait until it listens."""
        await self.agent.start()
        await self.agent.wait_until(lambda: _listens(self.gateway_port), "starting", _START_LIMIT_S)

    async def agent_state(self) -> dict[str, Any]:
        """Ask the agent how it is. Raises OSError or TimeoutError while it is down."""
        return await ask(self.socket, {"do": "state"})

    async def at_field(self, do: str, **arguments: Any) -> Any:
        """Do something at the simulated sensors. Raises ControlError or OSError."""
        async with ControlClient(self.field_control_port) as control:
            return await control.call(do, **arguments)

    async def at_chargers(self, do: str, **arguments: Any) -> Any:
        """Do something at the simulated charge points. Raises ControlError or OSError."""
        async with ControlClient(self.control_port) as control:
            return await control.call(do, **arguments)

    async def status(self) -> dict[str, Any]:
        """Ask the simulator how it is, by charge point."""
        status: dict[str, Any] = await self.at_chargers("status")
        return status

    async def connectors(self) -> list[dict[str, Any]]:
        """Ask the simulator about each connector."""
        points = (await self.status()).values()
        return [connector for point in points for connector in point["connectors"].values()]


class Stage:
    """Everything that runs. Made by `open_stage`."""

    def __init__(self, world: World, folder: Path, servers: EmbeddedServers, seed: int) -> None:
        """Prepare only."""
        self.world = world
        self.folder = folder
        self.servers = servers
        self.seed = seed
        self.password = secrets.token_urlsafe(9)
        self._port_taken = bool(world.web_port) and _listens(world.web_port)
        any_port = self._port_taken or not world.web_port
        self.web_port = free_port() if any_port else world.web_port
        self.hq = HqApi(f"http://127.0.0.1:{self.web_port}")
        self.stations: list[StationProcesses] = []
        self.workers: list[Child] = []
        real_ms = time.time_ns() // 1_000_000
        self._clock = (real_ms, first_ms(datetime.now(UTC)), world.scale)
        self._hq_config = folder / "hq.toml"
        self._must_live: list[Child] = []
        self._cards, self._vins = cycle(world.cards), cycle(world.vins)
        (folder / "logs").mkdir(exist_ok=True)

    async def until(self, what: str, done: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something has come about, while all processes live.

        Raises:
            DemoError: A process ended, or it takes longer than 30 s.
        """
        deadline_s = time.monotonic() + _STEP_LIMIT_S
        while not await done():
            for child in self._must_live:
                if not child.running:
                    raise DemoError(f"{child.name} ended; see {child.log}\n{child.tail()}")
            if time.monotonic() > deadline_s:
                raise DemoError(f"in vain: {what}, within {_STEP_LIMIT_S:.0f} s")
            await asyncio.sleep(_LOOK_EVERY_S)

    def next_vin(self) -> str:
        """Return the VIN of a car that may charge and is nowhere plugged in."""
        return next(self._vins)

    async def start(self, stack: AsyncExitStack, say: Say) -> None:
        """Bring everything up; `stack` ends it again, in the right order."""
        if self._port_taken:
            wanted = self.world.web_port
            say(f"port {wanted} is taken, HQ's pages are on {self.web_port}; --port chooses one")
        say("HQ: database, API, workers")
        self._write_hq_config()
        await self._hq_command("migrate")
        serve = self._hq_child("hq-serve", "serve")
        self.workers = [self._hq_child(f"hq-work-{n}", "work") for n in range(1, WORKERS + 1)]
        for child in (serve, *self.workers):
            await self._start(child, stack)
        await self._hq_command("create-admin", "--password-stdin", stdin=self.password)
        await stack.enter_async_context(self.hq)
        await self.until("HQ answers", self.hq.is_ready)
        await self.hq.log_in(ADMIN, self.password)
        say("stations: secrets, charge points, tariff, cards")
        for plan in self.world.stations:
            line = await stack.enter_async_context(Line(self.servers.endpoints.mqtt_port))
            station = StationProcesses(plan, self.folder, line, self.world.scale)
            self.stations.append(station)
            await self._provision(station)
        await self._make_tokens()
        say("stations: agents and charge points")
        for station in self.stations:
            await self._start(station.sensors, stack)
            stack.push_async_callback(station.agent.end)
            await station.start_agent()
            station.simulate(":".join(map(str, self._clock)), self.seed)
            await self._start(station.simulator, stack)
        for station in self.stations:
            station.customers = self._customers(station)
            await self._until_served(station)

    async def _provision(self, station: StationProcesses) -> None:
        plan = station.plan
        made = await self.hq.make(
            "/stations",
            {"station_no": plan.station_no, "name_zh": plan.name_zh, "name_en": plan.name_en},
        )
        assert made["secret"], "HQ shows a station's secret once"
        station.folder.mkdir(exist_ok=True)
        # The embedded broker has one log-in for all; a real one knows each station's own secret.
        write_private(station.folder / "secret", self.servers.endpoints.mqtt_password)
        write_private(station.config, self._edge_toml(station))
        write_private(station.layout, msgspec.json.encode(station.document).decode())
        await self._protect(station)
        for charge_point_no in plan.charge_point_nos:
            await self.hq.make(
                f"/stations/{plan.station_no}/charge-points",
                {
                    "charge_point_no": charge_point_no,
                    "connector_count": CONNECTORS,
                    "rated_w": RATED_KW * 1000,
                },
            )
        await self.hq.make(f"/stations/{plan.station_no}/tariffs", {"tariff": TARIFF})

    async def _protect(self, station: StationProcesses) -> None:
        path = f"/stations/{station.plan.station_no}"
        document = msgspec.to_builtins(station.document, str_keys=True)
        await self.hq.put(f"{path}/protection", document, version=0)
        holders = await self.hq.put(f"{path}/pins", {"pins": [{"name": "demo", "role": "chief"}]})
        station.pin = holders[0]["pin"]

    async def _make_tokens(self) -> None:
        for kind, values in (("card", self.world.cards), ("vin", self.world.vins)):
            for value in values:
                token = {"kind": kind, "value": value, "limit_fen": _LIMIT_FEN}
                await self.hq.make("/tokens", token)

    def _customers(self, station: StationProcesses) -> Customers:
        async def start_remotely(charge_point_no: str, connector_no: int) -> None:
            wish = {"charge_point_no": charge_point_no, "connector_no": connector_no}
            await self.hq.make("/orders", {"station_no": station.plan.station_no, **wish})

        return Customers(
            station.plan,
            station.control_port,
            cards=self._cards,
            vins=self._vins,
            seed=self.seed,
            start_remotely=start_remotely,
        )

    async def _until_served(self, station: StationProcesses) -> None:
        async def served() -> bool:
            try:
                status = await station.status()
            except OSError:  # the simulator still starts
                return False
            return all(point["ready"] and point["model_no"] for point in status.values())

        async def protected() -> bool:
            state = await self.hq.read(f"/stations/{station.plan.station_no}/protection")
            if state["refusal"]:
                raise DemoError(f"{station.plan.station_no}: protection: {state['refusal']}")
            return bool(state["in_force"])

        await self.until("charge points are served", served)
        await self.until("the station protects itself as HQ says", protected)

    async def _start(self, child: Child, stack: AsyncExitStack) -> None:
        stack.push_async_callback(child.end)
        await child.start()
        self._must_live.append(child)

    def _hq_child(self, name: str, command: str, *more: str) -> Child:
        arguments = ["-m", "ops.cli", "hq", command, "--config", str(self._hq_config), *more]
        return Child(name, arguments, self.folder / "logs")

    async def _hq_command(self, command: str, *more: str, stdin: str = "") -> None:
        child = self._hq_child(f"hq-{command}", command, *more)
        await child.start(talks=True)
        assert child.process.stdin is not None
        child.process.stdin.write(f"{stdin}\n".encode())
        child.process.stdin.close()
        await child.finish(_START_LIMIT_S)

    def _write_hq_config(self) -> None:
        endpoints = self.servers.endpoints
        password_file = self.folder / "broker.password"
        write_private(password_file, endpoints.mqtt_password)
        text = f"""
[database]
url = "{self.servers.create_database("voltwarden")}"

[redis]
url = "{endpoints.redis_url}"

[broker]
host = "{endpoints.mqtt_host}"
port = {endpoints.mqtt_port}
username = "{endpoints.mqtt_user}"
password_file = "{password_file}"

[web]
port = {self.web_port}
token_hours = 720

[notify]
# A receiver of notices can be tried on this computer.
allowed_networks = ["127.0.0.0/8"]
{self._clock_toml()}"""
        write_private(self._hq_config, text)

    def _edge_toml(self, station: StationProcesses) -> str:
        return f"""
[station]
number = "{station.plan.station_no}"
data_dir = "{station.folder}"

[gateway]
host = "127.0.0.1"
port = {station.gateway_port}

[hq]
host = "127.0.0.1"
port = {station.line.port}
tls = false
user = "{self.servers.endpoints.mqtt_user}"
secret_file = "{station.folder / "secret"}"

[[line]]
name = "{LINE}"
transport = "tcp"
host = "127.0.0.1"
port = {station.field_port}

[telemetry]
window_s = 1

[timing]
profile = "fast"
{self._clock_toml()}"""

    def _clock_toml(self) -> str:
        real_start_ms, start_ms, scale = self._clock
        return f"""
[clock]
real_start_ms = {real_start_ms}
start_ms = {start_ms}
scale = {scale}
"""


@asynccontextmanager
async def open_stage(world: World, folder: Path, seed: int, say: Say) -> AsyncIterator[Stage]:
    """Bring a whole demo up in a folder, yield it, and end all of it.

    Raises:
        DemoError: A process does not come up; the message names its log.
    """
    say("PostgreSQL, Valkey, broker")
    async with EmbeddedServers(folder) as servers, AsyncExitStack() as stack:
        stage = Stage(world, folder, servers, seed)
        await stage.start(stack, say)
        try:
            yield stage
        finally:
            for station in stage.stations:
                await station.customers.close(at_once=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
