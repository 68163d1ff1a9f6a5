"""What a Modbus line is, and how long its wire takes: pure arithmetic, no I/O."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
_CHAR_BITS = 11
"""Start, eight data, parity or a second stop, stop."""
_FAST_BAUD = 19_200
_FAST_GAP_S = 0.00175
"""Above 19200 baud the gap between frames is fixed, as Modbus over serial line has it."""
_GAP_CHARS = 3.5
_RTU_OVERHEAD = 5
"""Unit, function, byte count, CRC."""
_REQUEST_BYTES = 8
_TURNAROUND_S = 0.005
"""What a device needs to think; what a request over TCP takes in all."""
_BLOCK_SHARE = 0.5
_REGISTERS_MIN, REGISTERS_MAX = 8, 125
TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.040, 1.0


class Transport(StrEnum):
    """How bytes get to the devices of a line."""

    TCP = "tcp"
    """Modbus/TCP: every frame carries a transaction number."""
    RTU_OVER_TCP = "rtu_over_tcp"
    """A transparent serial server: frames as on the wire."""
    SERIAL = "serial"


class LineConfig(Struct, frozen=True, kw_only=True):
    """One line: `host` and `port` over TCP, `device` (a tty) when serial.

    `baud` is that of the wire, also behind a serial server. `period_ms` is how often safety
    points are read.
    """

    name: str
    transport: Transport
    host: str = ""
    port: int = 502
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    period_ms: int = 100

    @property
    def period_s(self) -> float:
        """Seconds from one safety round to the next."""
        return self.period_ms / 1000

    @property
    def has_numbers(self) -> bool:
        """Whether an answer names its request, so that a late one cannot be mistaken."""
        return self.transport is Transport.TCP

    @property
    def where(self) -> str:
        """The line's address in words, for messages."""
        return self.device if self.transport is Transport.SERIAL else f"{self.host}:{self.port}"

    @property
    def gap_s(self) -> float:
        """Silence between frames, seconds; none where frames have a length."""
        if self.has_numbers:
            return 0.0
        if self.baud > _FAST_BAUD:
            return _FAST_GAP_S
        return _GAP_CHARS * _CHAR_BITS / self.baud

    @property
    def registers_max(self) -> int:
        """Registers that one request may ask for, so that it takes half a period at most."""
        if self.has_numbers:
            return REGISTERS_MAX
        chars = self.period_s * _BLOCK_SHARE * self.baud / _CHAR_BITS
        fitting = int(chars - _REQUEST_BYTES - _RTU_OVERHEAD) // 2
        return max(_REGISTERS_MIN, min(fitting, REGISTERS_MAX))

    def wire_s(self, answer_bytes: int) -> float:
        """Return how long a request and an answer with so many data bytes occupy the wire."""
        if self.has_numbers:
            return 0.0
        chars = _REQUEST_BYTES + _RTU_OVERHEAD + answer_bytes
        return chars * _CHAR_BITS / self.baud + 2 * self.gap_s

    def cost_s(self, answer_bytes: int) -> float:
        """Return what a request costs of the period when the device answers at once."""
        return self.wire_s(answer_bytes) + _TURNAROUND_S

    def timeout_s(self, answer_bytes: int, remaining_s: float) -> float:
        """Return how long to wait: what remains of the period, but at least what an answer takes.

        Never below 40 ms, and on a slow wire never below the time of the bytes themselves; not
        above a second, however long the period is, because a write may be waiting.
        """
        least_s = max(TIMEOUT_MIN_S, self.wire_s(answer_bytes) + TIMEOUT_MIN_S / 2)
        return max(least_s, min(remaining_s, TIMEOUT_MAX_S))
