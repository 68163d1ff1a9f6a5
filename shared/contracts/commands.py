"""What HQ may ask of a station. Each is believed only when a fact confirms it.

Every command travels in a `CommandEnvelope` with its id and expiry and is answered by one
`CommandSettled`. Versioned data (tariff, access list, registry) replaces what the station has
when its version is higher.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from shared.contracts.events import Token
from shared.contracts.protection import Pin, Protection
from shared.contracts.words import RefusalReason
from shared.tariff import TariffVersion

Instant = Annotated[datetime, Meta(tz=True)]


class Command(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=True):
    """Root of all commands."""


class StartTransaction(Command, frozen=True, kw_only=True):
    """Start charging for an order. Zero limits mean none; expires after 30 s."""

    order_id: UUID
    charge_point_no: str
    connector_no: int
    token: Token | None = None
    physical_card_no: str = ""
    logical_card_no: str = ""
    limit_fen: int = 0
    limit_dwh: int = 0
    limit_min: int = 0
    limit_soc_percent: int = 0
    parallel_no: str = ""


class StopTransaction(Command, frozen=True, kw_only=True):
    """Stop one transaction; never expires, never stops another one."""

    transaction_id: UUID


class EmergencyStop(Command, frozen=True, kw_only=True):
    """Stop whatever runs, and block new starts until reset. No numbers: the whole station."""

    charge_point_no: str = ""
    connector_no: int = 0
    reason: str = ""


class ResetEmergencyStop(Command, frozen=True, kw_only=True):
    """Lift a block that HQ's own `EmergencyStop` set. A safety latch is reset locally only."""

    charge_point_no: str = ""
    connector_no: int = 0
    reason: str = ""


class AnswerAuthorization(Command, frozen=True, kw_only=True):
    """HQ's answer to `AuthorizationAsked`."""

    request_id: UUID
    accepted: bool
    reason: RefusalReason = RefusalReason.NONE
    limit_fen: int = 0
    logical_card_no: str = ""


class PublishTariff(Command, frozen=True, kw_only=True):
    """The tariff that new transactions get from `valid_from` on."""

    tariff: TariffVersion


class AccessEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One token that may charge. `password_md5` is the 16-digit form that charge points send.

    `limit_fen` 0 means without limit.
    """

    token: Token
    frozen: bool = False
    limit_fen: int = 0
    exposure_fen: int = 0
    expires_at: Instant | None = None
    logical_card_no: str = ""
    password_md5: str = ""


class PublishAccessList(Command, frozen=True, kw_only=True):
    """The whole allow-list for offline hours, or part `part_no` (from 1) of `part_count` of it.

    Parts of one version may come in any order; the list holds once all are there.
    """

    version: int
    entries: tuple[AccessEntry, ...]
    part_no: int = 1
    part_count: int = 1


class ChargePointConfig(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a station must know of a charge point to serve it."""

    charge_point_no: str
    connector_count: int = 1
    dialect: str = "ykc16"
    silence_limit_s: float = 30.0
    rated_w: int = 120_000
    rounds_to_fen: bool = False
    qr_prefix: str = ""


class PublishRegistry(Command, frozen=True, kw_only=True):
    """The charge points of the station."""

    version: int
    charge_points: tuple[ChargePointConfig, ...]


class PublishProtection(Command, frozen=True, kw_only=True):
    """How the station protects itself, whole; refused with the path of the first wrong field."""

    version: int
    protection: Protection


class PublishPins(Command, frozen=True, kw_only=True):
    """Who may act at the station's screen."""

    version: int
    pins: tuple[Pin, ...]


class AcknowledgeAlarm(Command, frozen=True, kw_only=True):
    """Somebody at HQ saw an alarm of the station."""

    alarm_id: UUID
    by: str


class ShelveAlarm(Command, frozen=True, kw_only=True):
    """Put an alarm aside until a time, at most 8 h; never a critical one. None takes it back."""

    alarm_id: UUID
    until: Instant | None
    reason: str
    by: str


class Instruct(Command, frozen=True, kw_only=True):
    """Show people on site what to do; answered by `InstructionAcknowledged`."""

    instruction_id: UUID
    text_zh: str
    text_en: str
    by: str = ""


class StartDrill(Command, frozen=True, kw_only=True):
    """Try sirens, strobes and loudspeaker; done when it has begun, the rest is `DrillFinished`.

    Rejected with `drill_running`, `drill_alarm` (something real is wrong) or `drill_nothing`.
    """

    by: str


class ReadConnector(Command, frozen=True, kw_only=True):
    """Ask a connector for its values now."""

    charge_point_no: str
    connector_no: int


class RebootChargePoint(Command, frozen=True, kw_only=True):
    """Restart a charge point, at once or when idle."""

    charge_point_no: str
    at_once: bool = False


class UpdateFirmware(Command, frozen=True, kw_only=True):
    """Have a charge point fetch a program by FTP; done when it logs in with another version."""

    charge_point_no: str
    is_dc: bool
    power_kw: int
    host: str
    port: int
    user: str
    password: str
    path: str
    at_once: bool = False
    timeout_min: int = 10


class SetWorkParameters(Command, frozen=True, kw_only=True):
    """Put a charge point in or out of service and cap its power (30–100 %)."""

    charge_point_no: str
    in_service: bool
    power_max_percent: int = 100


class SetQrPrefix(Command, frozen=True, kw_only=True):
    """Set the QR code that a charge point shows."""

    charge_point_no: str
    prefix: str
    with_connector: bool = True


class SyncClock(Command, frozen=True, kw_only=True):
    """Set a charge point's clock now."""

    charge_point_no: str


class OfflineCard(Struct, frozen=True):
    """A card that a charge point itself accepts while it is off-line."""

    logical_card_no: str
    physical_card_no: str


class SetOfflineCards(Command, frozen=True, kw_only=True):
    """Store cards in a charge point."""

    charge_point_no: str
    cards: tuple[OfflineCard, ...]


class ClearOfflineCards(Command, frozen=True, kw_only=True):
    """Remove cards from a charge point."""

    charge_point_no: str
    physical_card_nos: tuple[str, ...]


class QueryOfflineCards(Command, frozen=True, kw_only=True):
    """Ask a charge point which of these cards it has."""

    charge_point_no: str
    physical_card_nos: tuple[str, ...]


class UpdateBalance(Command, frozen=True, kw_only=True):
    """Tell a running transaction how much may be spent."""

    transaction_id: UUID
    limit_fen: int


class SetBayLock(Command, frozen=True, kw_only=True):
    """Raise or lower the lock of a bay."""

    charge_point_no: str
    connector_no: int
    raised: bool


class FetchFrames(Command, frozen=True, kw_only=True):
    """Send raw frames back, to explain a bill: lines of one frame log file."""

    file: str
    first_line: int
    last_line: int


class Watch(Command, frozen=True, kw_only=True):
    """Somebody looks: feed the live lane for so many seconds."""

    lease_s: int = 60


class ReportState(Command, frozen=True, kw_only=True):
    """Send `StationStateReported` now."""


AnyCommand = (
    StartTransaction
    | StopTransaction
    | EmergencyStop
    | ResetEmergencyStop
    | AnswerAuthorization
    | PublishTariff
    | PublishAccessList
    | PublishRegistry
    | PublishProtection
    | PublishPins
    | AcknowledgeAlarm
    | ShelveAlarm
    | Instruct
    | StartDrill
    | ReadConnector
    | RebootChargePoint
    | UpdateFirmware
    | SetWorkParameters
    | SetQrPrefix
    | SyncClock
    | SetOfflineCards
    | ClearOfflineCards
    | QueryOfflineCards
    | UpdateBalance
    | SetBayLock
    | FetchFrames
    | Watch
    | ReportState
)
