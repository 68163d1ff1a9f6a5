"""Words that events, commands, the API and the screens share."""

from __future__ import annotations

from enum import StrEnum


class ConnectorStatus(StrEnum):
    """What a connector is doing: the words of every screen, export and answer."""

    IDLE = "idle"
    PLUGGED = "plugged"
    CHARGING = "charging"
    FINISHED = "finished"
    FAULT = "fault"
    OFFLINE = "offline"
    ALARM = "alarm"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How bad an alarm is, worst first."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    INFO = "info"


class TokenKind(StrEnum):
    """How somebody is identified."""

    CARD = "card"
    VIN = "vin"
    ACCOUNT = "account"


class StartMeans(StrEnum):
    """What started a transaction."""

    CARD = "card"
    VIN = "vin"
    ACCOUNT = "account"
    REMOTE = "remote"
    OFFLINE_CARD = "offline_card"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How a command ended."""

    DONE = "done"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    EXPIRED = "expired"
    ALREADY_ENDED = "already_ended"


class RefusalReason(StrEnum):
    """Why a start was refused; the numbers of the charge points are in their own folder."""

    NONE = "none"
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - a reason, not a secret
    TOKEN_FROZEN = "token_frozen"  # noqa: S105 - a reason, not a secret
    LIMIT_REACHED = "limit_reached"
    UNSETTLED = "unsettled"
    OUT_OF_SERVICE = "out_of_service"
    NOT_ALLOWED_HERE = "not_allowed_here"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a reason, not a secret
    NO_CAPACITY = "no_capacity"
    UNKNOWN_VIN = "unknown_vin"


class EndKind(StrEnum):
    """How a transaction came to its end in our books."""

    RECORD = "record"
    ESTIMATED = "estimated"
    CORRECTED = "corrected"
    DISPUTED = "disputed"


class SampleKind(StrEnum):
    """Kinds of telemetry."""

    METER = "meter"
    BMS_DEMAND = "bms_demand"
    BMS_STATUS = "bms_status"
    SENSOR = "sensor"
