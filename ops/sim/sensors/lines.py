"""The wires of simulated Modbus devices: TCP, RTU over TCP, a pseudo terminal, a serial port.

Frames are cut and made by pymodbus' framers. A line with a baud rate takes the time that bytes
take on such a wire, for the request and for the answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import termios
import tty
from collections.abc import Callable, Mapping
from pathlib import Path

from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.framer.base import FramerBase
from pymodbus.pdu import DecodePDU, ModbusPDU

from ops.sim.sensors.answering import reply_to
from ops.sim.sensors.device import SimulatedDevice
from ops.sim.sensors.installation import Installation
from ops.sim.sensors.layout import Line

logger = logging.getLogger(__name__)

_BITS_PER_BYTE = 11
_FRAME_MAX = 260
_STALE_S = 0.1
_READ_MAX = 4096

Write = Callable[[bytes], None]


class Conversation:
    """One connection of a line: bytes in, answers out."""

    def __init__(self, line: ServedLine, write: Write) -> None:
        self._line = line
        self._write = write
        decoder = DecodePDU(True)
        rtu = line.spec.kind != "tcp"
        self._framer: FramerBase = FramerRTU(decoder) if rtu else FramerSocket(decoder)
        self._buffer = b""
        self._heard_s = 0.0

    def receive(self, data: bytes) -> None:
        """Take in bytes; what is no request is dropped, as a device drops it."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._heard_s > _STALE_S or len(self._buffer) > _FRAME_MAX:
            self._buffer = b""
        self._heard_s = now_s
        self._buffer += data
        while self._buffer:
            try:
                used, request = self._framer.handleFrame(self._buffer, 0, 0)
            except ModbusIOException:
                self._buffer = b""
                return
            if request is None:
                self._buffer = self._buffer[used:]
                return
            size = used
            self._buffer = self._buffer[used:]
            self._answer(request, size)

    def _answer(self, request: ModbusPDU, size: int) -> None:
        line = self._line
        line.installation.requests += 1
        device = line.devices.get(request.dev_id)
        reply = reply_to(request, device, line.installation, self._framer) if device else None
        if reply is None:
            return
        after_s = reply.after_s + line.wire_s(size + len(reply.data))
        if after_s:
            asyncio.get_running_loop().call_later(after_s, self._write, reply.data)
        else:
            self._write(reply.data)


class ServedLine:
    """A line with its devices, by unit id. Serves from `start` to `stop`."""

    def __init__(
        self, spec: Line, devices: Mapping[int, SimulatedDevice], installation: Installation
    ) -> None:
        """Prepare only."""
        self.spec = spec
        self.devices = devices
        self.installation = installation
        self.address = ""
        """Where it is reached once started: `host:port`, or the path of a terminal."""
        self._port = spec.port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._terminal: _Terminal | None = None

    def wire_s(self, size: int) -> float:
        """Return how long so many bytes take on this line."""
        return size * _BITS_PER_BYTE / self.spec.baud if self.spec.baud else 0.0

    async def start(self) -> None:
        """Begin to listen. Raises OSError."""
        if self.spec.kind in ("pty", "serial"):
            self._terminal = _Terminal(self)
            self.address = self._terminal.path
            return
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self, self._open), self.spec.host, self._port
        )
        self._port = int(self._server.sockets[0].getsockname()[1])
        self.address = f"{self.spec.host}:{self._port}"

    async def stop(self) -> None:
        """End it: connections break, new ones are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for transport in list(self._open):
            transport.abort()
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self._server is not None or self._terminal is not None

    @property
    def port(self) -> int:
        """The TCP port; 0 for a terminal."""
        return self._port


class _Connection(asyncio.Protocol):
    """A TCP connection of a line."""

    def __init__(self, line: ServedLine, open_now: set[asyncio.Transport]) -> None:
        self._line, self._open = line, open_now
        self._transport: asyncio.Transport | None = None
        self._conversation = Conversation(line, self._send)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's do not derive from it
        self._open.add(self._transport)  # type: ignore[arg-type]  # as above

    def data_received(self, data: bytes) -> None:
        self._conversation.receive(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._transport is not None:
            self._open.discard(self._transport)
            self._transport = None

    def _send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


class _Terminal:
    """A serial port, or a new pseudo terminal whose other end the station opens."""

    def __init__(self, line: ServedLine) -> None:
        self._link: Path | None = None
        self._other: int | None = None
        if line.spec.kind == "pty":
            # The other end stays open here, or reading fails whenever the station is away.
            self._file, self._other = os.openpty()
            tty.setraw(self._other)
            self.path = os.ttyname(self._other)
            if line.spec.device:
                self._link = Path(line.spec.device)
                self._link.unlink(missing_ok=True)
                self._link.symlink_to(self.path)
                self.path = line.spec.device
        else:
            self.path = line.spec.device
            self._file = os.open(self.path, os.O_RDWR | os.O_NOCTTY)
            _set_up(self._file, line.spec.baud)
        os.set_blocking(self._file, False)
        self._conversation = Conversation(line, self._send)
        asyncio.get_running_loop().add_reader(self._file, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._file, _READ_MAX)
        except BlockingIOError:
            return
        except OSError as error:
            logger.warning("terminal path=%s: %s", self.path, error)
            self.close()
            return
        self._conversation.receive(data)

    def _send(self, data: bytes) -> None:
        if self._file < 0:
            return
        try:
            os.write(self._file, data)
        except OSError as error:
            logger.warning("terminal path=%s: %s", self.path, error)

    def close(self) -> None:
        """Give the terminal back."""
        if self._file < 0:
            return
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)
        self._file = -1
        if self._other is not None:
            os.close(self._other)
        if self._link is not None:
            self._link.unlink(missing_ok=True)


def _set_up(file: int, baud: int) -> None:
    tty.setraw(file)
    if baud:
        settings = termios.tcgetattr(file)
        settings[4] = settings[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(file, termios.TCSANOW, settings)
