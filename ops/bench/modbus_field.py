"""A field of Modbus devices that knows when: each read and each coil write, on the monotonic clock.

The benches' own instrument, as small as the protocol allows, so that what it adds to a figure is
microseconds; the product's simulators are made from the same profiles as the station and slower.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from fastcrc import crc16

READ_BITS = (1, 2)
READ_REGISTERS = (3, 4)
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS, _WRITE_REGISTERS = 5, 6, 15, 16
_ILLEGAL_FUNCTION = 1
_FIXED_REQUEST = 8
_MBAP = struct.Struct(">HHHB")
_BITS_PER_BYTE = 11
"""Start, eight data, parity and stop bit."""
_TURN_AROUND_S = 0.002
"""What a small device takes to answer."""


@dataclass(slots=True)
class Unit:
    """A device. Bits and registers are by address; what nobody set is 0."""

    dead: bool = False
    stuck: bool = False
    """It answers that its coil is switched, and its contact does not move."""
    coils: dict[int, int] = field(default_factory=dict)
    discrete: dict[int, int] = field(default_factory=dict)
    holding: dict[int, int] = field(default_factory=dict)
    inputs: dict[int, int] = field(default_factory=dict)
    read_s: list[float] = field(default_factory=list)
    """When requests that read it arrived."""
    answered_s: float = 0.0
    """When the last answer to a read was sent."""


class Field:
    """Devices by unit id. `on_coil` is told (unit, address, on, when) of every coil written."""

    def __init__(self, units: dict[int, Unit]) -> None:
        self.units = units
        self.on_coil: Callable[[int, int, bool, float], None] = lambda *_: None
        self.on_answer: Callable[[int, float], None] = lambda *_: None

    def answer(self, unit_id: int, request: bytes) -> bytes | None:
        """Return the answer to a PDU, or None from a device that is dead or not there."""
        unit = self.units.get(unit_id)
        if unit is None:
            return None
        now_s = time.monotonic()
        function = request[0]
        if function in READ_BITS or function in READ_REGISTERS:
            unit.read_s.append(now_s)
            return None if unit.dead else _read(unit, function, request)
        if unit.dead:
            return None
        if function == _WRITE_COIL:
            address, value = struct.unpack_from(">HH", request, 1)
            unit.coils[address] = int(value == 0xFF00)
            if not unit.stuck:
                unit.discrete[address] = unit.coils[address]  # the contact follows the coil
            self.on_coil(unit_id, address, bool(unit.coils[address]), now_s)
            return request
        return bytes((function | 0x80, _ILLEGAL_FUNCTION))

    def sent(self, unit_id: int, request: bytes) -> None:
        """Note that the answer to a read was handed to the kernel."""
        if request[0] in READ_BITS or request[0] in READ_REGISTERS:
            now_s = self.units[unit_id].answered_s = time.monotonic()
            self.on_answer(unit_id, now_s)


def _read(unit: Unit, function: int, request: bytes) -> bytes:
    address, count = struct.unpack_from(">HH", request, 1)
    if function in READ_REGISTERS:
        table = unit.holding if function == 3 else unit.inputs
        values = [table.get(address + index, 0) & 0xFFFF for index in range(count)]
        return struct.pack(f">BB{count}H", function, 2 * count, *values)
    bits = unit.coils if function == 1 else unit.discrete
    packed = sum(bits.get(address + index, 0) << index for index in range(count))
    size = (count + 7) // 8
    return bytes((function, size)) + packed.to_bytes(size, "little")


class TcpPort(asyncio.Protocol):
    """One connection of a Modbus/TCP gateway in front of the field."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer whole requests."""
        assert self._transport is not None
        self._pending += data
        while len(self._pending) >= _MBAP.size:
            transaction, protocol, length, unit_id = _MBAP.unpack_from(self._pending)
            size = _MBAP.size - 1 + length
            if len(self._pending) < size:
                return
            request = self._pending[_MBAP.size : size]
            self._pending = self._pending[size:]
            answer = self._field.answer(unit_id, request)
            if answer is not None:
                head = _MBAP.pack(transaction, protocol, len(answer) + 1, unit_id)
                self._transport.write(head + answer)
                self._field.sent(unit_id, request)


class SerialPort:
    """An RTU line on a pseudo terminal, as slow as its baud rate. `path` is the station's end."""

    def __init__(self, field: Field, baud: int) -> None:
        self._field = field
        self._byte_s = _BITS_PER_BYTE / baud
        self._pending = b""
        self._master, slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        self._slave = slave  # kept open: a closed one would hang up on the bench
        self.path = os.ttyname(slave)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._master, self._on_bytes)

    def close(self) -> None:
        """Take the line away."""
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)

    def _on_bytes(self) -> None:
        self._pending += os.read(self._master, 512)
        while len(self._pending) >= _FIXED_REQUEST:
            size = _FIXED_REQUEST
            if self._pending[1] in (_WRITE_COILS, _WRITE_REGISTERS):
                size = 9 + self._pending[6]
            if len(self._pending) < size:
                return
            self._take(self._pending[:size])
            self._pending = self._pending[size:]

    def _take(self, frame: bytes) -> None:
        body = frame[:-2]
        if crc16.modbus(body) != int.from_bytes(frame[-2:], "little"):
            return
        # The pseudo terminal carried the request in no time: the device hears it this much later.
        self._loop.call_later(len(frame) * self._byte_s + _TURN_AROUND_S, self._answer, body)

    def _answer(self, body: bytes) -> None:
        answer = self._field.answer(body[0], body[1:])
        if answer is not None:
            reply = body[:1] + answer
            reply += crc16.modbus(reply).to_bytes(2, "little")
            self._loop.call_later(len(reply) * self._byte_s, self._reply, body, reply)

    def _reply(self, body: bytes, reply: bytes) -> None:
        os.write(self._master, reply)
        self._field.sent(body[0], body[1:])
