"""Login, heartbeat and time: what keeps a connection alive."""

from __future__ import annotations

from edge.devices.chargers.ykc.fields import (
    U8,
    ChargePointNo,
    Connector,
    Hex10,
    Text8,
    Time,
)
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink


@uplink(0x01, "login", "充电桩登录认证")
class Login(Message, frozen=True, gc=False):
    """After power-up and every loss of communication, before anything else."""

    charge_point_no: ChargePointNo
    charge_point_type: U8  # 0 DC, 1 AC
    connector_count: U8
    protocol_version: U8  # × 10: 1.5 = 15, 1.6 = 16
    program_version: Text8
    network_type: U8  # 0 SIM, 1 LAN, 2 WAN, 3 other
    sim_no: Hex10  # ICCID, zeros if unknown
    operator: U8  # 0 China Mobile, 2 China Telecom, 3 China Unicom, 4 other


@downlink(0x02, "login answer", "登录认证应答")
class LoginAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    result: U8  # 0 success, 1 failure: the opposite of most other results


@uplink(0x03, "heartbeat", "充电桩心跳包")
class Heartbeat(Message, frozen=True, gc=False):
    """Every 10 s; often one for the whole charge point, not one per connector."""

    charge_point_no: ChargePointNo
    connector_no: Connector
    status: U8  # 0 normal, 1 fault


@downlink(0x04, "heartbeat answer", "心跳包应答")
class HeartbeatAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    connector_no: Connector
    result: U8 = 0


@downlink(0x56, "time sync", "对时设置")
class TimeSync(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    current_time: Time


@uplink(0x55, "time sync answer", "对时设置应答")
class TimeSyncAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    current_time: Time
