"""Facts that a station reports to HQ, one class each; frozen, additive, in our own units.

`lane` says how a fact travels: alarms and bills overtake states. Telemetry is in `telemetry.py`.
Identifiers from outside are text and end in `_no`; ours are UUIDs and end in `_id`. Instants are
aware and UTC; `_dwh` is 0.1 Wh, `_fen` 0.01 yuan, `_e4` 1e-4 yuan.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta, Struct

from shared.contracts.topics import Lane
from shared.contracts.words import (
    ConnectorStatus,
    EndKind,
    Outcome,
    RefusalReason,
    Severity,
    StartMeans,
    TokenKind,
)
from shared.rating import Bill, Reading

Instant = Annotated[datetime, Meta(tz=True)]


class Token(Struct, frozen=True):
    """Who asks to charge: a card's physical number (16 hex digits), a VIN or an account."""

    kind: TokenKind
    value: str


class FrameReference(Struct, frozen=True):
    """Where raw frames stand in the station's frame log, and what they must hash to."""

    file: str
    first_line: int
    last_line: int
    sha256: str


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=True):
    """Root of all facts. `occurred_at` is the station's time."""

    lane: ClassVar[Lane] = Lane.STATE

    occurred_at: Instant


class StationStarted(Event, frozen=True, kw_only=True):
    """The agent is up; `clean` is false after a crash or a power cut."""

    version: str
    clean: bool
    boot_id: UUID


class StationStateReported(Event, frozen=True, kw_only=True):
    """The whole station at one moment, sent after every (re)connection so that HQ can heal."""

    connectors: tuple[ConnectorReport, ...]
    charge_points: tuple[ChargePointReport, ...]
    open_transaction_ids: tuple[UUID, ...]
    open_alarm_ids: tuple[UUID, ...]
    access_version: int
    registry_version: int
    tariff_version_id: UUID | None = None


class ConnectorReport(Struct, frozen=True, omit_defaults=True):
    """One connector inside `StationStateReported`."""

    charge_point_no: str
    connector_no: int
    status: ConnectorStatus
    transaction_id: UUID | None = None


class ChargePointReport(Struct, frozen=True, omit_defaults=True):
    """One charge point inside `StationStateReported`."""

    charge_point_no: str
    online: bool
    dialect: str
    firmware: str = ""
    connector_count: int = 0
    tariff_hash: str = ""


class ChargePointConnected(Event, frozen=True, kw_only=True):
    """A known charge point logged in."""

    charge_point_no: str
    address: str
    firmware: str
    protocol_version: str
    dialect: str
    connector_count: int
    is_dc: bool


class ChargePointLost(Event, frozen=True, kw_only=True):
    """A charge point's link is gone: closed, silent or evicted (`reason`)."""

    charge_point_no: str
    reason: str


class ChargePointQuarantined(Event, frozen=True, kw_only=True):
    """An unknown number tried to log in; it waits to be adopted."""

    charge_point_no: str
    address: str
    firmware: str


class ChargePointAdopted(Event, frozen=True, kw_only=True):
    """A charge point was added at the station itself (command line or configuration)."""

    charge_point_no: str
    connector_count: int
    dialect: str
    rated_w: int


class ConnectorStatusChanged(Event, frozen=True, kw_only=True):
    """A connector does something else now. `faults` are the raw bits of the device."""

    charge_point_no: str
    connector_no: int
    status: ConnectorStatus
    plugged_in: bool
    faults: int = 0
    transaction_id: UUID | None = None


class AuthorizationAsked(Event, frozen=True, kw_only=True):
    """The station does not know a token and asks HQ, which answers `AnswerAuthorization`."""

    lane: ClassVar[Lane] = Lane.ALARM

    request_id: UUID
    token: Token
    charge_point_no: str
    connector_no: int


class AuthorizationRefused(Event, frozen=True, kw_only=True):
    """Somebody asked to charge and may not."""

    token: Token
    charge_point_no: str
    connector_no: int
    reason: RefusalReason


class TransactionEvent(Event, frozen=True, kw_only=True):
    """What all facts of one transaction name. `order_id` is HQ's, for a remote start."""

    lane: ClassVar[Lane] = Lane.BILL

    transaction_id: UUID
    transaction_no: str
    charge_point_no: str
    connector_no: int
    order_id: UUID | None = None


class TransactionAuthorized(TransactionEvent, frozen=True, kw_only=True):
    """A start was permitted. `raw_frames` are the 0x31–0x34 bytes, as they were on the wire."""

    means: StartMeans
    token: Token | None = None
    tariff_version_id: UUID | None = None
    limit_fen: int = 0
    parallel_no: str = ""
    raw_frames: tuple[bytes, ...] = ()


class TransactionStarted(TransactionEvent, frozen=True, kw_only=True):
    """Energy flows."""

    means: StartMeans = StartMeans.UNKNOWN
    token: Token | None = None
    tariff_version_id: UUID | None = None
    meter_start_dwh: int | None = None
    vin: str = ""


class TransactionStartFailed(TransactionEvent, frozen=True, kw_only=True):
    """An authorised start did not come about."""

    reason: str


class BatteryIdentified(Event, frozen=True, kw_only=True):
    """What the vehicle says of itself at the start, with its own limits; None = not given."""

    transaction_id: UUID
    charge_point_no: str
    connector_no: int
    vin: str = ""
    battery_type: int | None = None
    rated_capacity_dah: int | None = None
    rated_voltage_dv: int | None = None
    nominal_energy_dkwh: int | None = None
    cell_voltage_max_cv: int | None = None
    temperature_max_c: int | None = None
    current_max_da: int | None = None
    voltage_max_dv: int | None = None


class PeriodTotals(Struct, frozen=True):
    """One period of a transaction record, as the charge point counted it."""

    price_e5: int
    energy_dwh: int
    loss_energy_dwh: int
    amount_e4: int


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The charge point's own account of a transaction (YKC 0x3B), decoded.

    Times are the charge point's, converted with the station's zone; None when they make no
    sense. `periods` are sharp, peak, flat, valley. Nothing here has been corrected.
    """

    transaction_no: str
    charge_point_no: str
    connector_no: int
    started_at: Instant | None
    ended_at: Instant | None
    periods: tuple[PeriodTotals, PeriodTotals, PeriodTotals, PeriodTotals]
    meter_start_dwh: int
    meter_end_dwh: int
    energy_dwh: int
    loss_energy_dwh: int
    amount_e4: int
    vin: str = ""
    start_flag: int = 0
    stop_reason: int = 0
    physical_card_no: str = ""


class TransactionEnded(TransactionEvent, frozen=True, kw_only=True):
    """A transaction with all that a bill needs; it stands alone, whatever came before.

    `ended_by` says where it comes from: the record, an estimate because none came, a correction of
    an earlier estimate, or a dispute (same number, other content: the first stands). `readings` are
    the station's: start, each half-hour cut, end; `occurred_at` is the time of the last.
    `clock_offset_ms` is charge point minus station. `flags` are lower-case words that say why
    somebody should look. Absent `record` means estimated.
    """

    means: StartMeans
    ended_by: EndKind
    started_at: Instant
    ended_at: Instant
    readings: tuple[Reading, ...] = ()
    record: Record | None = None
    raw_record: bytes = b""
    raw_frames: tuple[bytes, ...] = ()
    frames: tuple[FrameReference, ...] = ()
    token: Token | None = None
    vin: str = ""
    tariff_version_id: UUID | None = None
    tariff_hash: str = ""
    station_bill: Bill | None = None
    clock_offset_ms: int = 0
    rated_w: int = 0
    rounds_to_fen: bool = False
    parallel_no: str = ""
    flags: tuple[str, ...] = ()


class TransactionFramesLogged(TransactionEvent, frozen=True, kw_only=True):
    """Where the frames of a transaction's time stand in the station's frame log.

    Follows `TransactionEnded`, whose record must not wait until the log was searched.
    """

    frames: tuple[FrameReference, ...]


class TransactionUnreachable(TransactionEvent, frozen=True, kw_only=True):
    """The charge point of an open transaction is out of reach since `occurred_at`."""


class TransactionStoppedOnSite(TransactionEvent, frozen=True, kw_only=True):
    """Somebody with a PIN stopped a charge at the station's screen."""

    by: str


class TransactionResumed(TransactionEvent, frozen=True, kw_only=True):
    """An open transaction was seen again after its charge point or the agent was away."""


class TariffConfirmed(Event, frozen=True, kw_only=True):
    """A charge point holds this tariff version."""

    charge_point_no: str
    tariff_version_id: UUID
    model_no: int
    content_hash: str


class AlarmRaised(Event, frozen=True, kw_only=True):
    """Something is wrong. One cause is one alarm: `object` and `code` identify it.

    `object` is `station`, `charge_point:NO`, `connector:NO:N`, `zone:NAME`, `sensor:DEVICE`,
    `sensor:DEVICE/POINT`, `output:NAME` or `channel:NAME`; `params` fill the texts of the
    catalogue.
    """

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    code: str
    severity: Severity
    object: str
    params: dict[str, str] = {}
    drill: bool = False


class AlarmCleared(Event, frozen=True, kw_only=True):
    """The cause of an alarm is gone; `reason` is what somebody on site said who reset it (`by`)."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    code: str
    object: str
    reason: str = ""
    by: str = ""


class SafetyTripped(Event, frozen=True, kw_only=True):
    """The station stopped connectors by itself, and how fast.

    `stop_sent_us`: from the deciding reply to the last stop frame, None where nobody could be told;
    `zero_current_ms`: from that to the first reading below 1 A, None while it is awaited (then the
    fact comes again, with the same `trip_id`) and where none can come. `siren_us`, `contactor_us`:
    from the deciding reply to the first coil that answered. `object` is as in `AlarmRaised`.
    """

    lane: ClassVar[Lane] = Lane.ALARM

    trip_id: UUID
    cause: str
    connectors: tuple[tuple[str, int], ...]
    stop_sent_us: int | None
    zero_current_ms: int | None = None
    drill: bool = False
    object: str = ""
    zone: str = ""
    siren_us: int | None = None
    contactors: tuple[str, ...] = ()
    contactor_us: int | None = None


class AlarmAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody saw an alarm. `by` is a name; `at_hq` says that the station was told by HQ."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    by: str
    at_hq: bool = False


class AlarmShelved(Event, frozen=True, kw_only=True):
    """An alarm is put aside until a time, at most 8 h, for a reason; `until` None takes it back."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    until: Instant | None
    reason: str
    by: str


class AlarmEscalated(Event, frozen=True, kw_only=True):
    """Nobody acknowledged a critical alarm on site in time; `level` counts from 1."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    level: int


class SirenSilenced(Event, frozen=True, kw_only=True):
    """Somebody with a PIN switched the sound of an alarm off; the alarm stands."""

    lane: ClassVar[Lane] = Lane.ALARM

    alarm_id: UUID
    by: str


class ProtectionActivated(Event, frozen=True, kw_only=True):
    """The station protects itself by this document now: HQ's `version`, 0 for its own file."""

    version: int
    sha256: str


class OutputTested(Struct, frozen=True):
    """One output in a drill. `read_back_ms` None: it did not read back; `detail` says what did."""

    name: str
    ok: bool
    read_back_ms: int | None = None
    detail: str = ""


class DrillFinished(Event, frozen=True, kw_only=True):
    """Sirens and their read-back were tried; nothing was stopped."""

    drill_id: UUID
    by: str
    outputs: tuple[OutputTested, ...]


class InstructionAcknowledged(Event, frozen=True, kw_only=True):
    """Somebody on site read what HQ asked them to do."""

    lane: ClassVar[Lane] = Lane.ALARM

    instruction_id: UUID
    by: str


class CommandSettled(Event, frozen=True, kw_only=True):
    """How a command of HQ ended; `answer` carries data that was asked for."""

    command_id: UUID
    outcome: Outcome
    reason: str = ""
    answer: bytes = b""


class BayLockChanged(Event, frozen=True, kw_only=True):
    """A bay lock reports: raised, lowered or between; occupied or free."""

    charge_point_no: str
    connector_no: int
    position: str
    occupied: bool
    battery_percent: int
    alarm: str = ""


class TelemetryDropped(Event, frozen=True, kw_only=True):
    """The telemetry store was at its size cap; this many of the oldest records are gone."""

    records: int
    total_records: int


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
