"""Starting and stopping, alone and in parallel."""

from __future__ import annotations

from edge.devices.chargers.ykc.fields import (
    U8,
    U32,
    Card,
    ChargePointNo,
    Connector,
    ParallelNo,
    ReversedVin,
    Text16,
    TransactionNo,
)
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink


@uplink(0x31, "start request", "充电桩主动申请启动充电")
class StartRequest(Message, frozen=True, gc=False):
    """Someone at the charge point wants to charge: by card, account or VIN."""

    charge_point_no: ChargePointNo
    connector_no: Connector
    start_mode: U8  # 1 card, 2 account, 3 VIN
    password_needed: U8  # 0 no, 1 yes
    physical_card: Card  # or the account
    password: Text16  # usually the middle 16 hex characters of the MD5, lower case
    vin: ReversedVin  # in reading order here; reversed on the wire


@downlink(0x32, "start request answer", "运营平台确认启动充电")
class StartRequestAnswer(Message, frozen=True, gc=False):
    """Creates the transaction number."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    logical_card: Card  # for display
    balance_fen: U32
    authorized: U8  # 0 failure, 1 success
    reason: U8 = 0  # see codes.START_REFUSALS


@downlink(0x34, "remote start", "运营平台远程控制启机")
class RemoteStart(Message, frozen=True, gc=False):
    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    logical_card: Card  # for display; zeros allowed
    physical_card: Card  # may stop this charge; zeros allowed
    balance_fen: U32


@uplink(0x33, "remote start answer", "远程启动充电命令回复")
class RemoteStartAnswer(Message, frozen=True, gc=False):
    """A second one with success may follow within 60 s of reason 5 (not plugged in)."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    result: U8  # 0 failure, 1 success
    reason: U8 = 0  # see codes.REMOTE_START_FAILURES


@downlink(0x36, "remote stop", "运营平台远程停机")
class RemoteStop(Message, frozen=True, gc=False):
    """Stops whatever runs on that connector: there is no transaction number."""

    charge_point_no: ChargePointNo
    connector_no: Connector


@uplink(0x35, "remote stop answer", "远程停机命令回复")
class RemoteStopAnswer(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    connector_no: Connector
    result: U8  # 0 failure, 1 success
    reason: U8 = 0  # see codes.REMOTE_STOP_FAILURES


@uplink(0xA1, "parallel start request", "充电桩主动申请并充充电")
class ParallelStartRequest(Message, frozen=True, gc=False):
    """As 0x31; each connector of a parallel charge sends its own."""

    charge_point_no: ChargePointNo
    connector_no: Connector
    start_mode: U8
    password_needed: U8
    physical_card: Card
    password: Text16
    vin: ReversedVin
    role: U8  # 0 main, 1 auxiliary connector
    parallel_no: ParallelNo  # equal for all connectors of one parallel charge


@downlink(0xA2, "parallel start request answer", "运营平台确认并充启动充电")
class ParallelStartRequestAnswer(Message, frozen=True, gc=False):
    """The charge point starts only when all its connectors were authorized."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    logical_card: Card
    balance_fen: U32
    authorized: U8
    reason: U8
    parallel_no: ParallelNo


@downlink(0xA4, "parallel remote start", "运营平台远程控制并充启机")
class ParallelRemoteStart(Message, frozen=True, gc=False):
    """One per connector."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    logical_card: Card
    physical_card: Card
    balance_fen: U32
    parallel_no: ParallelNo


@uplink(0xA3, "parallel remote start answer", "远程并充启机命令回复")
class ParallelRemoteStartAnswer(Message, frozen=True, gc=False):
    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    result: U8
    reason: U8
    role: U8
    parallel_no: ParallelNo
