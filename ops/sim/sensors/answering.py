"""Modbus requests to simulated devices and their answers, right or wrong. No I/O.

Messages are pymodbus' own PDUs; what a healthy device answers and what a faulty one puts on the
wire instead are decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pymodbus.constants import ExcCodes
from pymodbus.framer.base import FramerBase
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsResponse,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersResponse,
    ReadInputRegistersResponse,
)

from edge.devices.sensors.profile import Table
from ops.sim.sensors.device import SimulatedDevice
from ops.sim.sensors.installation import Installation
from ops.sim.sensors.memory import IllegalAddressError

_READ: Final[dict[int, tuple[Table, type[ModbusPDU]]]] = {
    1: (Table.COIL, ReadCoilsResponse),
    2: (Table.DISCRETE, ReadDiscreteInputsResponse),
    3: (Table.HOLDING, ReadHoldingRegistersResponse),
    4: (Table.INPUT, ReadInputRegistersResponse),
}
_WRITE_COIL, _WRITE_COILS = 5, 15
_WRITES: Final = frozenset({5, 6, 15, 16, 22, 23})
_BIT_TABLES: Final = frozenset({Table.COIL, Table.DISCRETE})
_GARBAGE_BYTES: Final = 9


class Reply(NamedTuple):
    """Bytes for the wire, and how long the device thinks before it sends them."""

    data: bytes
    after_s: float = 0.0


def reply_to(
    request: ModbusPDU, device: SimulatedDevice, installation: Installation, framer: FramerBase
) -> Reply | None:
    """Carry a request out and return what goes back; None: the device keeps silent."""
    faults = device.faults
    writes = request.function_code in _WRITES
    if faults.get("mute") or (writes and faults.get("mute_writes")):
        return None
    exception = faults.get("exception")
    if exception is not None:
        response: ModbusPDU = ExceptionResponse(request.function_code, int(exception.value))
    else:
        response = _carry_out(request, device, installation)
    response.transaction_id = request.transaction_id
    response.dev_id = request.dev_id + 1 if faults.get("wrong_unit") else request.dev_id
    slow = faults.get("slow")
    data = _on_the_wire(request, response, device, framer)
    return Reply(data, slow.value if slow is not None else 0.0)


def _on_the_wire(
    request: ModbusPDU, response: ModbusPDU, device: SimulatedDevice, framer: FramerBase
) -> bytes:
    faults = device.faults
    if faults.get("garbage"):
        return device.garbage.randbytes(_GARBAGE_BYTES)
    if faults.get("echo"):
        return framer.buildFrame(request)
    frame = framer.buildFrame(response)
    return _damaged(frame) if faults.get("bad_crc") else frame


def _damaged(frame: bytes) -> bytes:
    """Turn over the last byte: a wrong CRC, and over TCP a wrong value in a frame cut short."""
    return frame[:-2] + bytes([frame[-1] ^ 0xFF])


def _carry_out(
    request: ModbusPDU, device: SimulatedDevice, installation: Installation
) -> ModbusPDU:
    function = request.function_code
    try:
        if function in _READ:
            return _read(request, device)
        if function in (_WRITE_COIL, _WRITE_COILS):
            return _write(request, device, installation)
    except IllegalAddressError:
        return ExceptionResponse(function, ExcCodes.ILLEGAL_ADDRESS)
    return ExceptionResponse(function, ExcCodes.ILLEGAL_FUNCTION)


def _read(request: ModbusPDU, device: SimulatedDevice) -> ModbusPDU:
    table, response = _READ[request.function_code]
    cells = device.memory.read(table, request.address, request.count)
    if table in _BIT_TABLES:
        return response(bits=[bool(cell) for cell in cells])
    return response(registers=cells)


def _write(request: ModbusPDU, device: SimulatedDevice, installation: Installation) -> ModbusPDU:
    bits = list(request.bits[:1] if request.function_code == _WRITE_COIL else request.bits)
    for address, on in _numbered(request.address, bits[: request.count or len(bits)]):
        if not installation.write_coil(device, address, on=on):
            raise IllegalAddressError
    if request.function_code == _WRITE_COIL:
        return WriteSingleCoilResponse(address=request.address, bits=bits)
    return WriteMultipleCoilsResponse(address=request.address, count=len(bits))


def _numbered(first: int, bits: list[bool]) -> Iterator[tuple[int, bool]]:
    return enumerate(map(bool, bits), first)
