"""Frames for the load: made once with the product's codec, then patched, so that they are cheap.

Values move as those of a charging car do (a slow ramp, a little noise), because what a batch
weighs depends on it.
"""

from __future__ import annotations

import struct
from random import Random

from fastcrc import crc16

from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.fields import BMS_CURRENT_ZERO_RAW, TEMPERATURE_OFFSET_C
from edge.devices.chargers.ykc.frames import Frame

_REALTIME = struct.Struct("<HHB8sBBHHIIIH")
_DEMAND = struct.Struct("<HHBHHHBHHHH")
_STATUS = struct.Struct("<BBBBBBB")
_CHARGING, _IDLE = 3, 2
_CHARGING_PERMITTED = 0b01 << 4
_NO_TRANSACTION = "0" * 32
_DWH_PER_15_S = 2_500  # 60 kW
_AMBIENT_RAW = 25 - TEMPERATURE_OFFSET_C


def number(index: int) -> str:
    """Return the charge point number of an index."""
    return f"88000000{index:06d}"


def login(charge_point_no: str, connector_count: int = 1) -> bytes:
    """Return a 0x01."""
    return _frame(
        messages.Login(
            charge_point_no=charge_point_no,
            charge_point_type=0,
            connector_count=connector_count,
            protocol_version=16,
            program_version="bench",
            network_type=1,
            sim_no="0" * 20,
            operator=4,
        )
    )


def heartbeat(charge_point_no: str) -> bytes:
    """Return a 0x03. Before its first one, what a charge point reports counts as stored."""
    return _frame(messages.Heartbeat(charge_point_no=charge_point_no, connector_no=1, status=0))


def idle(charge_point_no: str, connector_no: int = 1) -> bytes:
    """Return a 0x13 of a connector without a car."""
    return _frame(_realtime(_NO_TRANSACTION, charge_point_no, connector_no, plugged=False))


class Charging:
    """One connector with a car that charges: each call is 15 s later in the car's time."""

    def __init__(self, charge_point_no: str, connector_no: int = 1) -> None:
        self.charge_point_no = charge_point_no
        self.connector_no = connector_no
        self.transaction_no = f"{charge_point_no}{connector_no:02d}2611221200000001"
        self._random = Random(f"{charge_point_no}-{connector_no}")  # noqa: S311 - the same each run
        self._realtime = _head(
            _realtime(self.transaction_no, charge_point_no, connector_no, plugged=True), _REALTIME
        )
        place = bytes.fromhex(f"{self.transaction_no}{charge_point_no}{connector_no:02d}")
        self._demand = _header(0x23, len(place) + _DEMAND.size) + place
        self._status = _header(0x25, len(place) + _STATUS.size) + place
        self._step = 0
        self._energy_dwh = 0
        self._voltage_dv = 3_500 + self._random.randrange(500)
        self._current_da = 1_500 + self._random.randrange(100)

    def realtime(self) -> bytes:
        """Return the next 0x13."""
        self._step += 1
        step = self._step
        noise = self._random.getrandbits(6)
        self._energy_dwh += _DWH_PER_15_S + noise
        minutes = step >> 2
        return _closed(
            self._realtime
            + _REALTIME.pack(
                self._voltage_dv + (step >> 3) % 800 + (noise & 3),
                self._current_da + (noise >> 4),
                _AMBIENT_RAW + min(step >> 4, 20),
                b"\0" * 8,
                10 + (step // 3) % 90,
                _AMBIENT_RAW + min(step >> 5, 15),
                minutes & 0xFFFF,
                max(0, 90 - minutes),
                self._energy_dwh & 0x7FFFFFFF,
                self._energy_dwh & 0x7FFFFFFF,
                self._energy_dwh & 0x7FFFFFFF,
                0,
            )
        )

    def demand(self) -> bytes:
        """Return a 0x23 that fits the last 0x13."""
        noise = self._random.getrandbits(4)
        current = BMS_CURRENT_ZERO_RAW - self._current_da
        voltage = self._voltage_dv + (self._step >> 3) % 800
        return _closed(
            self._demand
            + _DEMAND.pack(
                voltage + 50,
                current,
                2,
                voltage + (noise & 3),
                current - (noise >> 3),
                1 << 12 | 380 + (self._step >> 4) % 40,
                10 + (self._step // 3) % 90,
                max(0, 90 - (self._step >> 2)),
                voltage + (noise >> 2),
                current,
                (self._step >> 2) & 0xFFFF,
            )
        )

    def status(self, battery_c: int | None = None) -> bytes:
        """Return a 0x25 that fits the last 0x13, or one with a temperature of its own."""
        hottest = _AMBIENT_RAW + min(self._step >> 5, 15)
        if battery_c is not None:
            hottest = battery_c - TEMPERATURE_OFFSET_C
        noise = self._random.getrandbits(2)
        values = _STATUS.pack(40 + noise, hottest, 7, hottest - 4, 21, 0, _CHARGING_PERMITTED)
        return _closed(self._status + values)


def _realtime(
    transaction_no: str, charge_point_no: str, connector_no: int, *, plugged: bool
) -> messages.Realtime:
    return messages.Realtime(
        transaction_no=transaction_no,
        charge_point_no=charge_point_no,
        connector_no=connector_no,
        status=_CHARGING if plugged else _IDLE,
        holstered=0 if plugged else 1,
        plugged_in=1 if plugged else 0,
        voltage_dv=0,
        current_da=0,
        cable_temp_raw=0,
        cable_no="0" * 16,
        soc_percent=0,
        battery_temp_max_raw=0,
        charged_min=0,
        remaining_min=0,
        energy_dwh=0,
        loss_adjusted_dwh=0,
        amount_e4=0,
        faults_raw=0,
    )


def _frame(message: messages.Message) -> bytes:
    return Frame(message.KIND, message.build()).build()


def _head(message: messages.Message, values: struct.Struct) -> bytes:
    """Return a frame up to the values that change."""
    return _frame(message)[: -2 - values.size]


def _header(kind: int, body_size: int) -> bytes:
    return bytes((0x68, body_size + 4, 0, 0, 0, kind))


def _closed(frame: bytes) -> bytes:
    return frame + crc16.modbus(frame[2:]).to_bytes(2, "little")
