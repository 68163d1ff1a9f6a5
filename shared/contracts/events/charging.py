"""Facts of who asked to charge and of each transaction, up to all that a bill needs."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from msgspec import Struct

from shared.contracts.events.root import Event, FrameReference, Instant, Token
from shared.contracts.topics import Lane
from shared.contracts.words import EndKind, RefusalReason, StartMeans
from shared.rating import Bill, Reading


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
