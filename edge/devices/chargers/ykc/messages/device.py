"""The charge point as a machine: parameters, bay lock, reboot, update, QR code."""

from __future__ import annotations

from typing import Self

from edge.devices.chargers.ykc.dialect import YKC16, Dialect
from edge.devices.chargers.ykc.fields import (
    U8,
    U16,
    U32,
    ChargePointNo,
    Text16,
    Text32,
)
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink
from shared.errors import MalformedMessageError


@downlink(0x52, "work parameters", "充电桩工作参数设置")
class WorkParameters(Message, frozen=True, gc=False):
    """For the whole charge point."""

    charge_point_no: ChargePointNo
    locked: U8  # 0 works, 1 out of service; the document's name for it says the opposite
    power_max_percent: U8  # 30..100


@uplink(0x51, "work parameters answer", "充电桩工作参数设置应答")
class WorkParametersAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # 0 failure, 1 success


@uplink(0x61, "bay lock report", "地锁数据上送")
class BayLockReport(Message, frozen=True, gc=False):
    """On a change, else every 5 min."""

    charge_point_no: ChargePointNo
    connector_no: U8  # binary here, not BCD
    lock_status: U8  # 0x00 not in position, 0x55 raised, 0xFF lowered
    bay_status: U8  # 0x00 free, 0xFF occupied
    battery_percent: U8
    alarm: U8  # 0x00 none, 0xFF arm broken, 0x55 arm movement abnormal
    reserved: U32 = 0


@downlink(0x62, "bay lock command", "遥控地锁升锁与降锁命令")
class BayLockCommand(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    connector_no: U8
    command: U8  # 0x55 raise, 0xFF lower
    reserved: U32 = 0


@uplink(0x63, "bay lock answer", "充电桩返回数据")
class BayLockAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    connector_no: U8
    result: U8  # 0 refused, 1 accepted
    reserved: U32 = 0


@downlink(0x92, "reboot", "远程重启")
class Reboot(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    when: U8  # 1 at once, 2 when idle


@uplink(0x91, "reboot answer", "远程重启应答")
class RebootAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # 0 failure, 1 success


@downlink(0x94, "update", "远程更新")
class Update(Message, frozen=True, gc=False):
    """Fetch a program by FTP; the charge point checks the file itself."""

    charge_point_no: ChargePointNo
    model: U8  # 1 DC, 2 AC
    power_kw: U16  # unit not given by the document
    host: Text16
    port: U16
    user: Text16
    password: Text16
    path: Text32
    when: U8  # 1 at once, 2 when idle
    timeout_min: U8


@uplink(0x93, "update answer", "远程更新应答")
class UpdateAnswer(Message, frozen=True, gc=False):
    """Some charge points send 0 on accepting the command, before any download."""

    charge_point_no: ChargePointNo
    result: U8  # 0 success, 1 wrong charge point number, 2 does not fit the model, 3 timeout


@downlink(0xF0, "QR code prefix", "二维码下发")
class QrPrefix(Message, frozen=True, gc=False):
    """Vendor extension, not in 1.6: where the QR code on the screen leads."""

    charge_point_no: ChargePointNo
    format: U8  # 0 prefix + charge point, 1 prefix + charge point + two-digit connector
    prefix: str

    @classmethod
    def parse(cls, body: bytes, dialect: Dialect = YKC16) -> Self:
        """Read a frame's body. Raises MalformedMessageError for a size that cannot be read."""
        size = cls.LAYOUT.size
        # The length byte is binary, whatever the vendor's document says: a capture shows it.
        end = size + 1 + body[size] if len(body) > size else size + 1
        if len(body) < end or (len(body) > end and cls.KIND not in dialect.long_bodies):
            raise MalformedMessageError(cls.KIND, f"{len(body)} bytes, expected {end}")
        charge_point_no, format_ = cls.LAYOUT.read(body[:size])
        return cls(
            charge_point_no, format_, body[size + 1 : end].decode("latin-1"), tail=body[end:]
        )

    def build(self) -> bytes:
        """Return the body. Raises ValueError naming the field that cannot be sent."""
        prefix = self.prefix.encode("latin-1")
        if len(prefix) > 0xFF:
            raise ValueError(f"prefix of {len(prefix)} bytes, at most 255")
        return self.LAYOUT.write(self) + bytes((len(prefix),)) + prefix + self.tail


@uplink(0xF1, "QR code prefix answer", "二维码应答")
class QrPrefixAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # what means success depends on the dialect
