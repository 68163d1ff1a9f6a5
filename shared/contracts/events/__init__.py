"""Facts that a station reports to HQ, one class each; frozen, additive, in our own units.

`lane` says how a fact travels: alarms and bills overtake states. Telemetry is in `telemetry.py`.
Identifiers from outside are text and end in `_no`; ours are UUIDs and end in `_id`. Instants are
aware and UTC; `_dwh` is 0.1 Wh, `_fen` 0.01 yuan, `_e4` 1e-4 yuan.
"""

from shared.contracts.events.charging import (
    AuthorizationAsked,
    AuthorizationRefused,
    BatteryIdentified,
    PeriodTotals,
    Record,
    TransactionAuthorized,
    TransactionEnded,
    TransactionEvent,
    TransactionFramesLogged,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionStoppedOnSite,
    TransactionUnreachable,
)
from shared.contracts.events.root import Event, FrameReference, Instant, Token
from shared.contracts.events.safety import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmShelved,
    DrillFinished,
    InstructionAcknowledged,
    OutputTested,
    ProtectionActivated,
    SafetyTripped,
    SirenSilenced,
)
from shared.contracts.events.station import (
    BayLockChanged,
    ChargePointAdopted,
    ChargePointConnected,
    ChargePointLost,
    ChargePointQuarantined,
    ChargePointReport,
    CommandSettled,
    ConnectorReport,
    ConnectorStatusChanged,
    StationStarted,
    StationStateReported,
    TariffConfirmed,
    TelemetryDropped,
)

AnyEvent = (
    StationStarted
    | StationStateReported
    | ChargePointConnected
    | ChargePointLost
    | ChargePointQuarantined
    | ChargePointAdopted
    | ConnectorStatusChanged
    | AuthorizationAsked
    | AuthorizationRefused
    | TransactionAuthorized
    | TransactionStarted
    | TransactionStartFailed
    | BatteryIdentified
    | TransactionEnded
    | TransactionFramesLogged
    | TransactionUnreachable
    | TransactionStoppedOnSite
    | TransactionResumed
    | TariffConfirmed
    | AlarmRaised
    | AlarmCleared
    | AlarmAcknowledged
    | AlarmShelved
    | AlarmEscalated
    | SirenSilenced
    | SafetyTripped
    | ProtectionActivated
    | DrillFinished
    | InstructionAcknowledged
    | CommandSettled
    | BayLockChanged
    | TelemetryDropped
)

__all__ = [
    "AlarmAcknowledged",
    "AlarmCleared",
    "AlarmEscalated",
    "AlarmRaised",
    "AlarmShelved",
    "AnyEvent",
    "AuthorizationAsked",
    "AuthorizationRefused",
    "BatteryIdentified",
    "BayLockChanged",
    "ChargePointAdopted",
    "ChargePointConnected",
    "ChargePointLost",
    "ChargePointQuarantined",
    "ChargePointReport",
    "CommandSettled",
    "ConnectorReport",
    "ConnectorStatusChanged",
    "DrillFinished",
    "Event",
    "FrameReference",
    "Instant",
    "InstructionAcknowledged",
    "OutputTested",
    "PeriodTotals",
    "ProtectionActivated",
    "Record",
    "SafetyTripped",
    "SirenSilenced",
    "StationStarted",
    "StationStateReported",
    "TariffConfirmed",
    "TelemetryDropped",
    "Token",
    "TransactionAuthorized",
    "TransactionEnded",
    "TransactionEvent",
    "TransactionFramesLogged",
    "TransactionResumed",
    "TransactionStartFailed",
    "TransactionStarted",
    "TransactionStoppedOnSite",
    "TransactionUnreachable",
]
