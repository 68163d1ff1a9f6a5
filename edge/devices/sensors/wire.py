"""One connection to a Modbus line: frames out, the one right answer back.

pymodbus makes and reads the frames and the messages in them. Its client is not used: it closes
the connection when a device is silent a few times, has one time-out for everything, and takes
an echo of a request, or an answer of the wrong length, for an answer.

What is no answer is thrown away: of another unit or transaction, of another function or length,
the line's echo of what was just sent, or bytes that are no frame.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.framer.base import FramerBase
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest
from pymodbus.transport.serialtransport import create_serial_connection

from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.profile import BIT_TABLES, Table
from shared.errors import DeviceRefusedError, DeviceUnreachableError

# It tells every noise on the line as an error; here noise is counted and told as silence.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_CONNECT_S = 3.0
_FRAME_MAX = 260
_CRC_BYTES = 2
_EXCEPTION = 0x80
_GATEWAY_SILENT = (0x0A, 0x0B)
"""A gateway's own words for a device behind it that does not answer."""
_REQUESTS: dict[Table, type[ModbusPDU]] = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE: ReadDiscreteInputsRequest,
    Table.HOLDING: ReadHoldingRegistersRequest,
    Table.INPUT: ReadInputRegistersRequest,
}


class NoAnswerError(DeviceUnreachableError):
    """Nothing that answers the request came in time; `heard` is whether a spoilt answer came."""

    def __init__(self, reason: str, *, heard: bool = False) -> None:
        super().__init__(reason)
        self.heard = heard


class AbandonedError(DeviceUnreachableError):
    """Something more urgent took the place of the request; it says nothing about the device."""


class Wire(asyncio.Protocol):
    """One transaction at a time; whoever uses it takes care of that."""

    def __init__(self, config: LineConfig, on_lost: Callable[[str], None]) -> None:
        self._config = config
        self._on_lost = on_lost
        decoder = DecodePDU(is_server=False)
        self._framer: FramerBase = (
            FramerSocket(decoder) if config.has_numbers else FramerRTU(decoder)
        )
        self._decoder = decoder
        self._transport: asyncio.WriteTransport | None = None
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Future[None] = self._loop.create_future()
        self._number = 0
        self._buffer = b""
        self._sent = b""
        self._request: ModbusPDU | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._quiet_from_s = 0.0
        self._heard = False
        self._echoes = False
        self.discarded = 0
        """Frames and noise that answered nothing, since the connection was made."""

    async def open(self) -> None:
        """Connect. Raises OSError when that fails or takes more than three seconds."""
        config = self._config
        async with asyncio.timeout(_CONNECT_S):
            if config.transport is Transport.SERIAL:
                await create_serial_connection(
                    self._loop,
                    lambda: self,
                    config.device,
                    baudrate=config.baud,
                    bytesize=8,
                    parity=config.parity,
                    stopbits=config.stop_bits,
                    timeout=0,
                )
            else:
                await self._loop.create_connection(lambda: self, config.host, config.port)
            await self._made

    @property
    def is_connected(self) -> bool:
        """Whether frames can go out."""
        return self._transport is not None

    def close(self) -> None:
        """Let go of the connection; `on_lost` is not called."""
        self._on_lost = _ignore
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._fail(NoAnswerError("closed"))

    async def read(
        self, unit_id: int, table: Table, address: int, count: int, timeout_s: float
    ) -> list[int]:
        """Return registers, or bits as 0 and 1.

        Raises:
            DeviceRefusedError: The device answered with an exception.
            NoAnswerError: It did not answer in time.
        """
        request = _REQUESTS[table](address=address, count=count, dev_id=unit_id)
        answer = await self._ask(request, timeout_s)
        if table in BIT_TABLES:
            return [int(bit) for bit in answer.bits[:count]]
        return list(answer.registers)

    async def write_coil(self, unit_id: int, address: int, on: bool, timeout_s: float) -> None:
        """Switch a coil and return when the device has said so. Raises as `read`."""
        await self._ask(
            WriteSingleCoilRequest(address=address, bits=[on], dev_id=unit_id), timeout_s
        )

    async def _ask(self, request: ModbusPDU, timeout_s: float) -> ModbusPDU:
        if (wait_s := self._quiet_from_s - self._loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if self._transport is None:
            raise NoAnswerError("not connected")
        if self._config.has_numbers:
            self._number = self._number % 0xFFFF + 1
            request.transaction_id = self._number
        self._buffer = b""  # what came before the request cannot answer it
        self._sent = self._framer.buildFrame(request)
        self._request, self._heard = request, False
        answer = self._answer = self._loop.create_future()
        expiry = self._loop.call_later(timeout_s, self._expire)
        try:
            self._transport.write(self._sent)
            message = await answer
        finally:
            expiry.cancel()
            self._request = self._answer = None
            self._quiet_from_s = self._loop.time() + self._config.gap_s
        return self._decode(message)

    def _decode(self, message: bytes) -> ModbusPDU:
        if message[0] & _EXCEPTION:
            code = message[1]
            if code in _GATEWAY_SILENT:
                raise NoAnswerError(f"gateway exception {code}", heard=True)
            raise DeviceRefusedError(f"exception {code}")
        decoded = self._decoder.decode(message)
        assert decoded is not None, "its length was checked"
        return decoded

    def abandon(self) -> None:
        """Stop waiting for the present answer, where a late one cannot be mistaken."""
        if self._config.has_numbers:
            self._fail(AbandonedError("abandoned"))

    def _expire(self) -> None:
        self._fail(NoAnswerError("no answer", heard=self._heard))

    def _fail(self, error: DeviceUnreachableError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.WriteTransport, transport)
        if not self._made.done():
            self._made.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: the peer closed, or the tty is gone."""
        self._transport = None
        reason = str(exc) if exc else "closed by the other end"
        self._fail(NoAnswerError(reason))
        self._on_lost(reason)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        self._buffer += data
        self._drop_echo()
        while self._buffer:
            used, unit_id, number, message = self._framer.decode(self._buffer)
            if not used:
                self._wait_or_drop()
                return
            if message and not self._config.has_numbers:
                used = _end_of_frame(self._buffer, unit_id, message)
            self._buffer = self._buffer[used:]
            if not message:
                self._heard = True
            if not message or not self._take(unit_id, number, message):
                self.discarded += 1

    def _drop_echo(self) -> None:
        """Cut the request itself off: an adapter may hear what it sends.

        An answer to a write looks the same. It counts as one unless this line echoes reads.
        """
        request = self._request
        if request is None or not self._buffer.startswith(self._sent):
            return
        is_write = request.function_code == WriteSingleCoilRequest.function_code
        if not is_write:
            self._echoes = True
        elif not self._echoes:
            return
        self._buffer = self._buffer[len(self._sent) :]
        self._sent = b"\0" * (_FRAME_MAX + 1)  # once only
        self.discarded += 1

    def _wait_or_drop(self) -> None:
        """More bytes may complete the frame, unless it cannot be one."""
        head = self._buffer
        is_none = len(head) > _FRAME_MAX
        if self._config.has_numbers:
            is_none |= int.from_bytes(head[4:6], "big") > _FRAME_MAX
            is_none |= any(head[2:4])  # another protocol's number
        if is_none:
            self._buffer = b""
            self._heard = True
            self.discarded += 1

    def _take(self, unit_id: int, number: int, message: bytes) -> bool:
        request, answer = self._request, self._answer
        if request is None or answer is None or answer.done():
            return False
        if unit_id != request.dev_id or number != request.transaction_id:
            return False
        if not _answers(request, message):
            return False
        answer.set_result(message)
        return True


def _answers(request: ModbusPDU, message: bytes) -> bool:
    """Tell whether a message is of the form that this request is answered with."""
    function = request.function_code
    if message[0] == function | _EXCEPTION:
        return len(message) >= 2
    if message[0] != function:
        return False
    if function == WriteSingleCoilRequest.function_code:
        return message[1:5] == request.encode()
    is_bits = function in (1, 2)
    size = (request.count + 7) // 8 if is_bits else 2 * request.count
    return len(message) == 2 + size and message[1] == size


def _end_of_frame(buffer: bytes, unit_id: int, message: bytes) -> int:
    """Return where a frame ends; pymodbus takes all that was received for one."""
    frame = bytes((unit_id,)) + message
    return buffer.index(frame) + len(frame) + _CRC_BYTES


def _ignore(reason: str) -> None:
    del reason
