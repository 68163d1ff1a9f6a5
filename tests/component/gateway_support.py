"""A small station and a small charge point around a real gateway on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from edge.bus import EventBus
from edge.devices.chargers.gateway import ChargerGateway
from edge.devices.chargers.reports import AnyReport, LoginRequested
from edge.devices.chargers.timing import FAST, Timing
from edge.devices.chargers.wishes import DecideLogin, HeldTariff
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.frames import Frame, FrameReader
from shared.clock import SystemClock
from shared.contracts.commands import ChargePointConfig
from shared.tariff import Period, PeriodPrice, Tariff

NUMBER = "32010600019236"
OTHER = "32010600019237"
TX = "32010600019236012611221403220001"
NO_TX = "0" * 32
ZONE = ZoneInfo("Asia/Shanghai")
TARIFF = Tariff(
    "V" * 12 + "F" * 36,
    {
        Period.SHARP: PeriodPrice(120000, 40000),
        Period.PEAK: PeriodPrice(100000, 40000),
        Period.FLAT: PeriodPrice(60000, 40000),
        Period.VALLEY: PeriodPrice(30000, 40000),
    },
)
HELD = HeldTariff(7, TARIFF, TARIFF.content_hash())

R = TypeVar("R")
M = TypeVar("M", bound=messages.Message)


def frame(message: messages.Message, sequence: bytes = b"\x01\x00") -> bytes:
    return Frame(message.KIND, message.build(), sequence).build()


def login(number: str = NUMBER, connectors: int = 2) -> messages.Login:
    return messages.Login(number, 0, connectors, 16, "1.0.3", 1, "0" * 20, 4)


def realtime(number: str = NUMBER, tx: str = NO_TX, state: int = 2, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "connector_no": 1, "holstered": 0, "plugged_in": 1, "voltage_dv": 7000,
        "current_da": 1200, "cable_temp_raw": 75, "cable_no": "0" * 16, "soc_percent": 40,
        "battery_temp_max_raw": 80, "charged_min": 3, "remaining_min": 30, "energy_dwh": 51234,
        "loss_adjusted_dwh": 0, "amount_e4": 12345, "faults_raw": 0,
    }  # fmt: skip
    values.update(changes)
    return messages.Realtime(transaction_no=tx, charge_point_no=number, status=state, **values)


def record(
    number: str = NUMBER, tx: str = TX, started_at: Cp56Time | None = None
) -> messages.TransactionRecord:
    start = started_at or Cp56Time(0, 3, 14, 22, 11, 26)
    end = Cp56Time(5000, 33, 14, 22, 11, 26)
    return messages.TransactionRecord(
        tx, number, 1, start, end,
        *(0, 0, 0, 0), *(0, 0, 0, 0), *(100000, 10000, 0, 10000), *(0, 0, 0, 0),
        1000, 11000, 10000, 0, 10000, "LSVAA4182E2123456", 2, end, 0x45, "00000000d14b0a54",
    )  # fmt: skip


class MemoryLog:
    """A frame log that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, bytes]] = []

    def append(self, frames: Iterable[tuple[str, str, bytes]], at_us: int) -> None:
        assert at_us > 1_700_000_000_000_000
        self.lines.extend(frames)


class Station:
    """Decides logins, remembers reports, and lets tests wait for them."""

    def __init__(self, timing: Timing = FAST, **gateway: Any) -> None:
        clock = SystemClock()
        self.bus: EventBus[AnyReport] = EventBus(clock)
        self.log = MemoryLog()
        self.reports: list[AnyReport] = []
        self.known: dict[str, ChargePointConfig] = {}
        self.tariff: HeldTariff | None = HELD
        self.confirmed_hash = ""
        self.port = 0
        self._changed = asyncio.Event()
        self.gateway = ChargerGateway(
            new_connection=lambda link, address: YkcConnection(link, address, ZONE, timing),
            bus=self.bus,
            frame_log=self.log,
            clock=clock,
            timing=timing,
            **gateway,
        )
        self.bus.subscribe("desk", self._decide, LoginRequested)
        self.bus.subscribe("test", self._remember)
        self.adopt(NUMBER)

    def adopt(self, number: str, **config: Any) -> None:
        self.known[number] = ChargePointConfig(charge_point_no=number, connector_count=2, **config)

    async def __aenter__(self) -> Station:
        _, self.port = await self.gateway.serve("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gateway.close()

    def _decide(self, asked: LoginRequested) -> None:
        config = self.known.get(asked.charge_point_no)
        self.gateway.decide_login(
            DecideLogin(
                charge_point_no=asked.charge_point_no,
                link_id=asked.link_id,
                accepted=config is not None,
                config=config,
                tariff=self.tariff,
                confirmed_hash=self.confirmed_hash,
            )
        )

    def _remember(self, report: AnyReport) -> None:
        self.reports.append(report)
        self._changed.set()

    def of(self, kind: type[R]) -> list[R]:
        return [each for each in self.reports if isinstance(each, kind)]

    async def wait_for(self, kind: type[R], count: int = 1) -> list[R]:
        async with asyncio.timeout(10):
            while len(self.of(kind)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(kind)


class Charger:
    """One TCP connection of a charge point, with the platform's frames in order of arrival."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self._frames = FrameReader()
        self._inbox: list[Frame] = []

    async def __aenter__(self) -> Charger:
        self._reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._port, local_addr=(self._host, 0)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def send(self, *parts: messages.Message | bytes) -> None:
        self.writer.write(b"".join(p if isinstance(p, bytes) else frame(p) for p in parts))

    async def expect(self, kind: type[M]) -> M:
        """Return the next message of this kind, dropping others."""
        async with asyncio.timeout(10):
            while True:
                while self._inbox:
                    item = self._inbox.pop(0)
                    if item.kind == kind.KIND:
                        self.last = item
                        return kind.parse(item.body)
                data = await self._reader.read(4096)
                if not data:
                    raise ConnectionError("closed by the station")
                self._inbox += [i for i in self._frames.feed(data) if isinstance(i, Frame)]

    async def closed(self) -> None:
        """Wait until the station closes the connection."""
        async with asyncio.timeout(20):
            try:
                while await self._reader.read(4096):
                    pass
            except ConnectionError:
                return

    async def log_in(self, number: str = NUMBER) -> None:
        self.send(login(number))
        answer = await self.expect(messages.LoginAnswer)
        assert answer.result == 0
