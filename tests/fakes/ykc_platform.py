"""A minimal YKC platform on real TCP, for tests of the simulated charge points.

It is built on the codec only and answers like a friendly station; each answer can be changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.frames import Frame, FrameReader, Garbage
from edge.devices.chargers.ykc.messages import (
    Heartbeat,
    HeartbeatAnswer,
    Login,
    LoginAnswer,
    Message,
    ParallelStartRequest,
    ParallelStartRequestAnswer,
    RecordConfirm,
    RemoteStart,
    StartRequest,
    StartRequestAnswer,
    TariffAnswer,
    TariffCheck,
    TariffCheckAnswer,
    TariffRequest,
    TransactionRecord,
    parse,
)

LETTERS = "SPFV"
SLOTS = "VVVVVVVVVVVVVVFFPPPPPPFFFFFFPPFFFFFFSSSSPPPPFFVV"
PRICES_E5 = ((123456, 45000), (102345, 45000), (65432, 40000), (32109, 35000))
AnyMessage = TypeVar("AnyMessage", bound=Message)


def tariff_fields(charge_point_no: str, tariff_no: str = "0001") -> dict[str, Any]:
    """Return the fields of a 0x0A or 0x58."""
    fields: dict[str, Any] = {
        "charge_point_no": charge_point_no,
        "tariff_no": tariff_no,
        "loss_ratio": 0,
        "slots": bytes(LETTERS.index(letter) for letter in SLOTS),
    }
    for name, (energy, service) in zip(("sharp", "peak", "flat", "valley"), PRICES_E5, strict=True):
        fields[f"{name}_energy_price_e5"] = energy
        fields[f"{name}_service_price_e5"] = service
    return fields


class Peer(asyncio.Protocol):
    """One connection from a charge point."""

    def __init__(self, platform: FakePlatform) -> None:
        self.platform = platform
        self.reader = FrameReader()
        self.transport: Any = None
        self.charge_point_no = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.platform.peers.append(self)
        self.platform.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.platform.peers.remove(self)

    def data_received(self, data: bytes) -> None:
        for item in self.reader.feed(data):
            if isinstance(item, Garbage):
                self.platform.garbage.append(item)
            else:
                self.platform.take(self, item)

    def send(self, message: Message, sequence: bytes = b"\x00\x00") -> None:
        self.transport.write(Frame(message.KIND, message.build(), sequence).build())


class FakePlatform:
    """Listens, answers and remembers."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.connections = 0
        self.garbage: list[Garbage] = []
        self.frames: list[Frame] = []
        self.messages: list[Message] = []
        self.confirm = True
        self.accept_login = True
        self.answer_heartbeats = True
        self.authorize: Callable[[StartRequest | ParallelStartRequest], int] = lambda _: 0
        self.balance_fen = 100_000
        self.port = 0
        self._server: asyncio.Server | None = None
        self._waiters: list[asyncio.Event] = []
        self._counter = 0

    async def __aenter__(self) -> FakePlatform:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Peer(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.transport.abort()

    def number(self, charge_point_no: str, connector_no: int) -> str:
        self._counter += 1
        return f"{charge_point_no}{connector_no:02d}2611221200{self._counter:06d}"

    def take(self, peer: Peer, frame: Frame) -> None:
        message = parse(frame.kind, frame.body)
        assert message is not None
        self.frames.append(frame)
        self.messages.append(message)
        answer = self.answer(peer, message)
        if answer is not None:
            peer.send(answer, frame.sequence)
        for waiter in self._waiters:
            waiter.set()

    def answer(self, peer: Peer, message: Message) -> Message | None:
        match message:
            case Login():
                peer.charge_point_no = message.charge_point_no
                return LoginAnswer(
                    charge_point_no=message.charge_point_no, result=int(not self.accept_login)
                )
            case TariffCheck():
                return TariffCheckAnswer(
                    charge_point_no=message.charge_point_no,
                    tariff_no=message.tariff_no,
                    result=int(message.tariff_no != "0001"),
                )
            case TariffRequest():
                return TariffAnswer(**tariff_fields(message.charge_point_no))
            case Heartbeat() if self.answer_heartbeats:
                return HeartbeatAnswer(
                    charge_point_no=message.charge_point_no, connector_no=message.connector_no
                )
            case StartRequest() | ParallelStartRequest():
                return self._authorization(message)
            case TransactionRecord() if self.confirm:
                return RecordConfirm(transaction_no=message.transaction_no)
            case _:
                return None

    def _authorization(self, message: StartRequest | ParallelStartRequest) -> Message:
        reason = self.authorize(message)
        fields: dict[str, Any] = {
            "transaction_no": self.number(message.charge_point_no, message.connector_no),
            "charge_point_no": message.charge_point_no,
            "connector_no": message.connector_no,
            "logical_card": "0" * 16,
            "balance_fen": self.balance_fen,
            "authorized": int(reason == 0),
            "reason": reason,
        }
        if isinstance(message, ParallelStartRequest):
            return ParallelStartRequestAnswer(**fields, parallel_no=message.parallel_no)
        return StartRequestAnswer(**fields)

    def send(self, message: Message, sequence: bytes = b"\x07\x00") -> None:
        """Send on the connection of the charge point that logged in last."""
        self.peers[-1].send(message, sequence)

    def remote_start(self, charge_point_no: str, connector_no: int) -> str:
        number = self.number(charge_point_no, connector_no)
        self.send(
            RemoteStart(
                transaction_no=number,
                charge_point_no=charge_point_no,
                connector_no=connector_no,
                logical_card="0" * 16,
                physical_card="0" * 16,
                balance_fen=self.balance_fen,
            )
        )
        return number

    def of(self, kind: type[AnyMessage]) -> list[AnyMessage]:
        """Return what came of one kind, in order."""
        return [message for message in self.messages if isinstance(message, kind)]

    async def received(
        self,
        kind: type[AnyMessage],
        matches: Callable[[AnyMessage], bool] = lambda _: True,
        *,
        count: int = 1,
    ) -> AnyMessage:
        """Return the `count`-th matching message, past or future; fails after 10 s."""
        waiter = asyncio.Event()
        self._waiters = [*self._waiters, waiter]
        try:
            async with asyncio.timeout(10):
                while True:
                    found = [message for message in self.of(kind) if matches(message)]
                    if len(found) >= count:
                        return found[count - 1]
                    waiter.clear()
                    await waiter.wait()
        finally:
            self._waiters = [other for other in self._waiters if other is not waiter]


def cp56(text: str) -> Cp56Time:
    """Return ``YYYY-MM-DD hh:mm:ss`` as wire time."""
    date, clock = text.split()
    year, month, day = (int(part) for part in date.split("-"))
    hour, minute, second = (int(part) for part in clock.split(":"))
    return Cp56Time(second * 1000, minute, hour, day, month, year - 2000)
