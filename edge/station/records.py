"""Transaction records (0x3B): each is stored and confirmed, whatever it says; each counts once.

A record is never rejected. Come twice it is one; come with other content it is a dispute; come
late it corrects the estimate; come without a start it makes a transaction of its own.
"""

from __future__ import annotations

from msgspec import structs

from edge.devices.chargers.reports import RecordReceived
from edge.station import alarms as objects
from edge.station.alarms import AlarmBook
from edge.station.effects import Confirm, Effects
from edge.station.endings import end_with_record, means_of, record_hash
from edge.station.open_transaction import ClosedTransaction, OpenTransaction, Stage
from edge.station.transactions import TransactionBook
from shared.clock import to_ms
from shared.contracts.events import Record, TransactionEnded
from shared.contracts.words import EndKind, StartMeans
from shared.ids import uuid7

_NO_NUMBER = "0" * 32
_OVERLAP_SLACK_MS = 300_000


def on_record(book: TransactionBook, alarms: AlarmBook, report: RecordReceived) -> Effects:
    """Take in a record; its confirmation waits for the commit of everything else here."""
    record = report.record
    closed = book.closed_by_number(record.transaction_no)
    if running := _find_open(book, record):
        effects = _end(book, running, report, EndKind.RECORD, seen=running.started_ms is not None)
    elif closed is None:
        effects = _end_unknown(book, report)
    elif record_hash(record) in (closed.record_sha256, *closed.disputes):
        effects = Effects()
    elif not closed.record_sha256:
        effects = _correct(book, closed, report)
    elif _same_transaction(closed, record):
        effects = _dispute(book, alarms, closed, report)
    else:
        effects = _end_unknown(book, report, "number_reused")
    effects.confirms.append(Confirm(report.charge_point_no, report.token))
    return effects


def _find_open(book: TransactionBook, record: Record) -> OpenTransaction | None:
    """Match by number, then by connector when the charge point lost the number."""
    if transaction := book.by_number(record.transaction_no):
        return transaction
    running = book.on_connector((record.charge_point_no, record.connector_no))
    if running is None or running.stage is Stage.AUTHORIZED or record.ended_at is None:
        return None
    if record.transaction_no != _NO_NUMBER and record.start_flag == 4:
        return None
    started_ms = running.started_ms or running.opened_ms
    ended_ms = running.ended_ms or running.last_ms or started_ms
    ends_with_it = abs(to_ms(record.ended_at) - ended_ms) <= _OVERLAP_SLACK_MS
    return (
        running if ends_with_it and book.closed_by_number(record.transaction_no) is None else None
    )


def _end(
    book: TransactionBook,
    transaction: OpenTransaction,
    report: RecordReceived,
    ended_by: EndKind,
    *,
    seen: bool,
) -> Effects:
    if transaction.was_estimated:
        ended_by = EndKind.CORRECTED
    if transaction.means is StartMeans.UNKNOWN:
        transaction.means = means_of(report.record)
    ended = end_with_record(
        transaction, report, book.context(transaction, seen=seen), ended_by=ended_by
    )
    closed = _remembered(transaction, report, ended)
    effects = book.close(transaction, report.at, closed=closed)
    if report.record.transaction_no != transaction.transaction_no:
        effects.add(book.remember(report.record.transaction_no, closed))
    effects.events.append(ended)
    return effects


def _end_unknown(book: TransactionBook, report: RecordReceived, *flags: str) -> Effects:
    """A record without a start: an off-line charge, or our memory of it is gone."""
    record = report.record
    transaction = OpenTransaction(
        transaction_id=uuid7(report.at.wall_ms),
        transaction_no=record.transaction_no,
        charge_point_no=record.charge_point_no,
        connector_no=record.connector_no,
        means=means_of(record),
        opened_ms=report.at.wall_ms,
        physical_card_no=record.physical_card_no,
        tariff_version_id=book.tariff_id_now(record.charge_point_no, report.at),
        flags=["start_unseen", *flags],
    )
    return _end(book, transaction, report, EndKind.RECORD, seen=False)


def _correct(book: TransactionBook, closed: ClosedTransaction, report: RecordReceived) -> Effects:
    """The record of a transaction that was estimated, or given up as a failed start."""
    transaction = closed.estimated or OpenTransaction(
        transaction_id=closed.transaction_id,
        transaction_no=report.record.transaction_no,
        charge_point_no=closed.charge_point_no,
        connector_no=closed.connector_no,
        means=means_of(report.record),
        opened_ms=closed.closed_ms,
    )
    ended_by = EndKind.CORRECTED if closed.estimated else EndKind.RECORD
    seen = transaction.started_ms is not None
    return _end(book, transaction, report, ended_by, seen=seen)


def _dispute(
    book: TransactionBook, alarms: AlarmBook, closed: ClosedTransaction, report: RecordReceived
) -> Effects:
    """The same transaction with other content: the first stands, the second is kept beside it."""
    record = report.record
    transaction = OpenTransaction(
        transaction_id=closed.transaction_id,
        transaction_no=record.transaction_no,
        charge_point_no=closed.charge_point_no,
        connector_no=closed.connector_no,
        means=means_of(record),
        opened_ms=report.at.wall_ms,
        flags=["disputed"],
    )
    effects = Effects()
    effects.events.append(
        end_with_record(
            transaction, report, book.context(transaction, seen=False), ended_by=EndKind.DISPUTED
        )
    )
    disputes = (*closed.disputes, record_hash(record))
    effects.add(book.remember(record.transaction_no, structs.replace(closed, disputes=disputes)))
    place = objects.connector(closed.charge_point_no, closed.connector_no)
    effects.add(alarms.raise_alarm("record_disputed", place, report.at.wall_ms))
    return effects


def _same_transaction(closed: ClosedTransaction, record: Record) -> bool:
    """Same start meter or same start time, or times that overlap."""
    if closed.meter_start_dwh == record.meter_start_dwh or record.started_at is None:
        return True
    started_ms = to_ms(record.started_at)
    if closed.started_ms is None or closed.started_ms == started_ms:
        return True
    ended_ms = to_ms(record.ended_at) if record.ended_at else started_ms
    return started_ms <= (closed.ended_ms or closed.started_ms) and ended_ms >= closed.started_ms


def _remembered(
    transaction: OpenTransaction, report: RecordReceived, ended: TransactionEnded
) -> ClosedTransaction:
    record = report.record
    return ClosedTransaction(
        transaction_id=transaction.transaction_id,
        closed_ms=report.at.wall_ms,
        charge_point_no=transaction.charge_point_no,
        connector_no=transaction.connector_no,
        record_sha256=record_hash(record),
        meter_start_dwh=record.meter_start_dwh,
        started_ms=to_ms(record.started_at) if record.started_at else None,
        ended_ms=to_ms(record.ended_at) if record.ended_at else None,
        ended=structs.replace(ended, raw_record=b"", raw_frames=(), frames=()),
    )
