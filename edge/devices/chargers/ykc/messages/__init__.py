"""All messages of YKC 1.6: one class a frame type, both directions, and the table of them."""

from __future__ import annotations

from edge.devices.chargers.ykc.dialect import YKC16, Dialect
from edge.devices.chargers.ykc.messages.base import Message
from edge.devices.chargers.ykc.messages.bms import (
    BmsAbort,
    BmsDemand,
    BmsStatus,
    ChargerAbort,
    ChargingEnd,
    ErrorReport,
    Handshake,
    Parameters,
)
from edge.devices.chargers.ykc.messages.cards import (
    ClearedCard,
    OfflineCard,
    OfflineCardsClear,
    OfflineCardsClearAnswer,
    OfflineCardsQuery,
    OfflineCardsQueryAnswer,
    OfflineCardsSync,
    OfflineCardsSyncAnswer,
    QueriedCard,
)
from edge.devices.chargers.ykc.messages.charging import (
    ParallelRemoteStart,
    ParallelRemoteStartAnswer,
    ParallelStartRequest,
    ParallelStartRequestAnswer,
    RemoteStart,
    RemoteStartAnswer,
    RemoteStop,
    RemoteStopAnswer,
    StartRequest,
    StartRequestAnswer,
)
from edge.devices.chargers.ykc.messages.device import (
    BayLockAnswer,
    BayLockCommand,
    BayLockReport,
    QrPrefix,
    QrPrefixAnswer,
    Reboot,
    RebootAnswer,
    Update,
    UpdateAnswer,
    WorkParameters,
    WorkParametersAnswer,
)
from edge.devices.chargers.ykc.messages.live import ReadRealtime, Realtime
from edge.devices.chargers.ykc.messages.record import (
    BalanceUpdate,
    BalanceUpdateAnswer,
    PeriodPart,
    RecordConfirm,
    TransactionRecord,
)
from edge.devices.chargers.ykc.messages.session import (
    Heartbeat,
    HeartbeatAnswer,
    Login,
    LoginAnswer,
    TimeSync,
    TimeSyncAnswer,
)
from edge.devices.chargers.ykc.messages.tariff import (
    TariffAnswer,
    TariffBody,
    TariffCheck,
    TariffCheckAnswer,
    TariffRequest,
    TariffSet,
    TariffSetAnswer,
)

MESSAGES: dict[int, type[Message]] = {
    0x01: Login,
    0x02: LoginAnswer,
    0x03: Heartbeat,
    0x04: HeartbeatAnswer,
    0x05: TariffCheck,
    0x06: TariffCheckAnswer,
    0x09: TariffRequest,
    0x0A: TariffAnswer,
    0x12: ReadRealtime,
    0x13: Realtime,
    0x15: Handshake,
    0x17: Parameters,
    0x19: ChargingEnd,
    0x1B: ErrorReport,
    0x1D: BmsAbort,
    0x21: ChargerAbort,
    0x23: BmsDemand,
    0x25: BmsStatus,
    0x31: StartRequest,
    0x32: StartRequestAnswer,
    0x33: RemoteStartAnswer,
    0x34: RemoteStart,
    0x35: RemoteStopAnswer,
    0x36: RemoteStop,
    0x3B: TransactionRecord,
    0x40: RecordConfirm,
    0x41: BalanceUpdateAnswer,
    0x42: BalanceUpdate,
    0x43: OfflineCardsSyncAnswer,
    0x44: OfflineCardsSync,
    0x45: OfflineCardsClearAnswer,
    0x46: OfflineCardsClear,
    0x47: OfflineCardsQueryAnswer,
    0x48: OfflineCardsQuery,
    0x51: WorkParametersAnswer,
    0x52: WorkParameters,
    0x55: TimeSyncAnswer,
    0x56: TimeSync,
    0x57: TariffSetAnswer,
    0x58: TariffSet,
    0x61: BayLockReport,
    0x62: BayLockCommand,
    0x63: BayLockAnswer,
    0x91: RebootAnswer,
    0x92: Reboot,
    0x93: UpdateAnswer,
    0x94: Update,
    0xA1: ParallelStartRequest,
    0xA2: ParallelStartRequestAnswer,
    0xA3: ParallelRemoteStartAnswer,
    0xA4: ParallelRemoteStart,
    0xF0: QrPrefix,
    0xF1: QrPrefixAnswer,
}

# Where secrets lie in a body, for whoever writes frames down.
PASSWORD_PLACES: dict[int, slice] = {
    message.KIND: message.LAYOUT.place("password")
    for message in (StartRequest, ParallelStartRequest, Update)
}


def parse(kind: int, body: bytes, dialect: Dialect = YKC16) -> Message | None:
    """Return the message, or None for a kind that this dialect does not define.

    Raises MalformedMessageError for a body whose size cannot be read.
    """
    message = MESSAGES.get(kind)
    if message is None or kind in dialect.foreign_kinds:
        return None
    return message.parse(body, dialect)


__all__ = [
    "MESSAGES",
    "PASSWORD_PLACES",
    "BalanceUpdate",
    "BalanceUpdateAnswer",
    "BayLockAnswer",
    "BayLockCommand",
    "BayLockReport",
    "BmsAbort",
    "BmsDemand",
    "BmsStatus",
    "ChargerAbort",
    "ChargingEnd",
    "ClearedCard",
    "ErrorReport",
    "Handshake",
    "Heartbeat",
    "HeartbeatAnswer",
    "Login",
    "LoginAnswer",
    "Message",
    "OfflineCard",
    "OfflineCardsClear",
    "OfflineCardsClearAnswer",
    "OfflineCardsQuery",
    "OfflineCardsQueryAnswer",
    "OfflineCardsSync",
    "OfflineCardsSyncAnswer",
    "ParallelRemoteStart",
    "ParallelRemoteStartAnswer",
    "ParallelStartRequest",
    "ParallelStartRequestAnswer",
    "Parameters",
    "PeriodPart",
    "QrPrefix",
    "QrPrefixAnswer",
    "QueriedCard",
    "ReadRealtime",
    "Realtime",
    "Reboot",
    "RebootAnswer",
    "RecordConfirm",
    "RemoteStart",
    "RemoteStartAnswer",
    "RemoteStop",
    "RemoteStopAnswer",
    "StartRequest",
    "StartRequestAnswer",
    "TariffAnswer",
    "TariffBody",
    "TariffCheck",
    "TariffCheckAnswer",
    "TariffRequest",
    "TariffSet",
    "TariffSetAnswer",
    "TimeSync",
    "TimeSyncAnswer",
    "TransactionRecord",
    "Update",
    "UpdateAnswer",
    "WorkParameters",
    "WorkParametersAnswer",
    "parse",
]
