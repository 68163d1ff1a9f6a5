"""How a transaction is closed: from its record, or from what the station saw. Pure."""

from __future__ import annotations

import hashlib
from zoneinfo import ZoneInfo

from msgspec import Struct, msgpack

from edge.devices.chargers.reports import Moment, RecordReceived
from edge.station.open_transaction import OpenTransaction
from shared.clock import from_ms, to_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import Record, Token, TransactionEnded
from shared.contracts.words import EndKind, StartMeans, TokenKind
from shared.rating import Bill, RatingError, Reading, check_readings
from shared.settlement import bill_transaction
from shared.tariff import Tariff

_START_FLAGS = {
    1: StartMeans.REMOTE,
    2: StartMeans.CARD,
    4: StartMeans.OFFLINE_CARD,
    5: StartMeans.VIN,
}
_CONNECTORS_MAX = 99
_TOTAL_MARGIN_DWH = 200
"""0.02 kWh: what a total may differ by without energy in it."""


_TOTAL_MARGIN_MS = 30_000
_MINUTE_MS = 60_000
_MS_PER_WATT_DWH = 360_000
"""A watt takes this long for 0.1 Wh."""


class Context(Struct, frozen=True, kw_only=True):
    """What closing needs to know besides the transaction itself.

    `clock_offset_ms` is charge point minus station, as last read; None when unknown.
    """

    config: ChargePointConfig
    zone: ZoneInfo
    tariff: Tariff | None
    tariff_hash: str
    clock_offset_ms: int | None
    clock_tolerance_ms: int
    sparse_ms: int
    """Samples further apart than this do not say when energy flowed."""
    seen: bool
    """Whether the station itself saw this transaction run."""


class _Times(Struct, frozen=True):
    started_ms: int
    ended_ms: int
    offset_ms: int
    trusted: bool


def usable_offset_ms(offset_ms: int | None, tolerance_ms: int) -> int:
    """Return how far a charge point's clock is ahead of ours, 0 where ours is used instead."""
    return offset_ms if offset_ms is not None and abs(offset_ms) <= tolerance_ms else 0


def record_hash(record: Record) -> bytes:
    """Return the SHA-256 of what a record says; two copies of one record have one hash."""
    return hashlib.sha256(msgpack.encode(record)).digest()


def means_of(record: Record) -> StartMeans:
    """Return what the charge point says started the transaction."""
    return _START_FLAGS.get(record.start_flag, StartMeans.UNKNOWN)


def token_of(record: Record) -> Token | None:
    """Return whom the charge point says it charged for; the card of a remote start is HQ's own."""
    match means_of(record):
        case StartMeans.CARD | StartMeans.OFFLINE_CARD if record.physical_card_no.strip("0"):
            return Token(TokenKind.CARD, record.physical_card_no)
        case StartMeans.VIN if record.vin:
            return Token(TokenKind.VIN, record.vin)
    return None


def end_with_record(
    transaction: OpenTransaction, report: RecordReceived, context: Context, *, ended_by: EndKind
) -> TransactionEnded:
    """Close a transaction with the charge point's own account of it."""
    record = report.record
    flags = list(transaction.flags)
    times = _record_times(transaction, report, context)
    if not times.trusted:
        flags.append("clock_suspect")
    total_dwh = record.energy_dwh
    if not _plausible_total(transaction, record, times, context):
        flags.append("total_implausible")
        if context.seen:
            total_dwh = transaction.last_dwh
    if record.meter_end_dwh < record.meter_start_dwh:
        flags.append("meter_back_step")
    if record.transaction_no != transaction.transaction_no:
        flags.append("number_mismatch")
    if not 1 <= record.connector_no <= _CONNECTORS_MAX:
        flags.append("connector_implausible")
    transaction.take_start(times.started_ms, context.zone, context.sparse_ms)
    transaction.take_end(times.ended_ms, total_dwh, context.zone, context.sparse_ms)
    readings = _final_readings(transaction, times.started_ms, times.ended_ms, total_dwh)
    return _ended(
        transaction,
        context,
        ended_by=ended_by,
        times=times,
        readings=readings,
        record=record,
        raw_record=report.raw,
        flags=flags,
    )


def end_estimated(transaction: OpenTransaction, now: Moment, context: Context) -> TransactionEnded:
    """Close a transaction whose record never came, from its last live data."""
    started_ms, ended_ms = _estimated_times(transaction, now, context)
    readings = _final_readings(transaction, started_ms, ended_ms, transaction.last_dwh)
    return _ended(
        transaction,
        context,
        ended_by=EndKind.ESTIMATED,
        times=_Times(started_ms, ended_ms, context.clock_offset_ms or 0, trusted=True),
        readings=readings,
        record=None,
        raw_record=b"",
        flags=[*transaction.flags, "estimated"],
    )


def _ended(
    transaction: OpenTransaction,
    context: Context,
    *,
    ended_by: EndKind,
    times: _Times,
    readings: list[Reading],
    record: Record | None,
    raw_record: bytes,
    flags: list[str],
) -> TransactionEnded:
    bill = _station_bill(record, readings, context, times.ended_ms - times.started_ms)
    return TransactionEnded(
        occurred_at=from_ms(times.ended_ms),
        **transaction.names(),
        means=transaction.means,
        ended_by=ended_by,
        started_at=from_ms(times.started_ms),
        ended_at=from_ms(times.ended_ms),
        readings=tuple(readings),
        record=record,
        raw_record=raw_record,
        raw_frames=tuple(transaction.raw_frames),
        token=transaction.token,
        vin=(record.vin if record is not None else "") or transaction.battery.vin,
        tariff_version_id=transaction.tariff_version_id,
        tariff_hash=context.tariff_hash,
        station_bill=bill,
        clock_offset_ms=times.offset_ms,
        rated_w=context.config.rated_w,
        rounds_to_fen=context.config.rounds_to_fen,
        parallel_no=transaction.parallel_no,
        flags=tuple(dict.fromkeys(flags)),
    )


def _estimated_times(
    transaction: OpenTransaction, now: Moment, context: Context
) -> tuple[int, int]:
    """Return when it began and ended, by the charge point's clock as its record would say it."""
    ahead_ms = usable_offset_ms(context.clock_offset_ms, context.clock_tolerance_ms)
    started_ms = transaction.opened_ms
    if transaction.started_ms is not None:
        started_ms = transaction.started_ms - transaction.charged_before_min * _MINUTE_MS
    ended_ms = transaction.last_ms
    if transaction.ended_ms or transaction.untimed_dwh or ended_ms is None:
        ended_ms = transaction.ended_ms or transaction.unreachable_since_ms or now.wall_ms
        ended_ms += ahead_ms
    return started_ms + ahead_ms, max(ended_ms, started_ms + ahead_ms)


def _record_times(transaction: OpenTransaction, report: RecordReceived, context: Context) -> _Times:
    """Use the charge point's times when they fit ours, else our own.

    What the station saw are bounds: charging began before the first sample with current, and
    ended after the last one and before the first sign of its end. A wrong clock still measures
    how long something took.
    """
    record, tolerance_ms = report.record, context.clock_tolerance_ms
    last_ms = transaction.last_ms if context.seen else None
    end_seen_ms = transaction.ended_ms if context.seen else None
    known_offset_ms = context.clock_offset_ms or 0
    duration_ms = offset_ms = 0
    if record.started_at is not None and record.ended_at is not None and not report.clock_suspect:
        started_ms, ended_ms = to_ms(record.started_at), to_ms(record.ended_at)
        duration_ms = ended_ms - started_ms
        before_ms = (last_ms or ended_ms) - ended_ms
        after_ms = ended_ms - (end_seen_ms or report.at.wall_ms)
        first_ms = transaction.started_ms if context.seen else None
        late_ms = started_ms - (first_ms or started_ms)
        fits = max(before_ms, after_ms, late_ms, abs(known_offset_ms)) <= tolerance_ms
        if fits and duration_ms >= 0:
            return _Times(started_ms, ended_ms, known_offset_ms, trusted=True)
        offset_ms = known_offset_ms or (after_ms if after_ms > 0 else -before_ms)
    our_end_ms = end_seen_ms or last_ms or report.at.wall_ms
    our_start_ms = our_end_ms - max(duration_ms, 0)
    if context.seen and transaction.started_ms:
        # What had flowed by the first sample took time as well.
        late = transaction.readings[0].meter_dwh > _TOTAL_MARGIN_DWH
        first_ms = transaction.started_ms
        our_start_ms = min(our_start_ms, first_ms) if late else first_ms
    return _Times(min(our_start_ms, our_end_ms), our_end_ms, offset_ms, trusted=False)


def _plausible_total(
    transaction: OpenTransaction, record: Record, times: _Times, context: Context
) -> bool:
    """Whether the record's total fits the last sample and the time that was left after it."""
    last_dwh, last_ms = 0, times.started_ms
    if context.seen:
        last_dwh, last_ms = transaction.last_dwh, transaction.last_ms or times.ended_ms
    left_ms = max(times.ended_ms - last_ms, 0) + _TOTAL_MARGIN_MS
    room_dwh = context.config.rated_w * left_ms // _MS_PER_WATT_DWH + _TOTAL_MARGIN_DWH
    return last_dwh - _TOTAL_MARGIN_DWH <= record.energy_dwh <= last_dwh + room_dwh


def _final_readings(
    transaction: OpenTransaction, started_ms: int, ended_ms: int, total_dwh: int
) -> list[Reading]:
    """Return the readings from start to end: rising times, energies from 0 to the total."""
    inner = [
        reading
        for reading in transaction.readings
        if started_ms < reading.at_ms < ended_ms and reading.meter_dwh <= total_dwh
    ]
    readings = [Reading(started_ms, 0), *inner, Reading(ended_ms, total_dwh)]
    try:
        check_readings(readings)
    except RatingError:
        return [Reading(started_ms, 0), Reading(max(ended_ms, started_ms + 1), total_dwh)]
    return readings


def _station_bill(
    record: Record | None, readings: list[Reading], context: Context, duration_ms: int
) -> Bill | None:
    if context.tariff is None:
        return None
    try:
        return bill_transaction(record, readings, context.tariff, context.zone, duration_ms)
    except RatingError:
        return None
