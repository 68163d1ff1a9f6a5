"""Transaction records (0x3B): each is stored and confirmed, whatever it says; each counts once.

A record is never rejected. Come twice it is one; come with other content it is a dispute; come
late it corrects the estimate; come without a start it makes a transaction of its own.
"""

from __future__ import annotations

import hashlib

from msgspec import structs

from edge.devices.chargers.reports import RecordReceived
from edge.station import alarms as objects
from edge.station.alarms import AlarmBook
from edge.station.effects import Confirm, Effects
from edge.station.endings import end_with_record, means_of, record_hash, token_of
from edge.station.export import summary
from edge.station.open_transaction import ClosedTransaction, OpenTransaction, Stage
from edge.station.transactions import TransactionBook
from shared.clock import to_ms
from shared.contracts.events import Record, TransactionEnded
from shared.contracts.words import EndKind, StartMeans
from shared.ids import uuid7

_OVERLAP_SLACK_MS = 300_000
_ENERGY_SLACK_DWH = 200
_DISPUTES_MAX = 20
"""Told to HQ of one transaction; a device that invents records must fill no disk."""


def on_record(book: TransactionBook, alarms: AlarmBook, report: RecordReceived) -> Effects:
    """Take in a record; its confirmation waits for the commit of everything else here."""
    record = report.record
    number, *flags = _number_of(book, record)
    closed = book.closed.get(number)
    if running := _find_open(book, report):
        seen = running.started_ms is not None
        effects = _end(book, running, report, EndKind.RECORD, seen=seen, known_as=number)
    elif closed is None:
        effects = _end_unknown(book, report, number, *flags)
    elif record_hash(record) in (closed.record_sha256, *closed.disputes):
        effects = Effects()
    elif not closed.record_sha256:
        effects = _correct(book, closed, report, number)
    else:
        effects = _dispute(book, alarms, closed, report, number)
    effects.confirms.append(Confirm(report.charge_point_no, report.token))
    return effects


def _number_of(book: TransactionBook, record: Record) -> tuple[str, ...]:
    """Return the number under which we know a record, and why it is not its own, if it is not.

    Zeros are no number, another charge point's number is not this one's, and a counter that was
    reset gives one number to two transactions: then the connector, the start meter and the start
    time are the number.
    """
    number = record.transaction_no
    if not number:
        return (_made_number(record), "number_missing")
    for known in (book.by_number(number), book.closed.get(number)):
        if known is not None and known.charge_point_no != record.charge_point_no:
            return (_made_number(record), "number_foreign")
    closed = book.closed.get(number)
    if closed is None or not closed.record_sha256 or _same_transaction(closed, record):
        return (number,)
    return (_made_number(record), "number_reused")


def _made_number(record: Record) -> str:
    start = f"{record.meter_start_dwh} {record.started_at}".encode()
    digest = hashlib.sha256(start).hexdigest()[:16]
    return f"{record.charge_point_no}{record.connector_no % 100:02d}{digest}"


def _find_open(book: TransactionBook, report: RecordReceived) -> OpenTransaction | None:
    """Match by number, then by connector when the charge point lost the number."""
    record = report.record
    if transaction := book.find(record.charge_point_no, record.transaction_no):
        return transaction
    running = book.on_connector((record.charge_point_no, record.connector_no))
    if running is None or running.stage is Stage.AUTHORIZED:
        return None
    if book.closed.get(record.transaction_no) or book.closed.get(_made_number(record)):
        return None
    if record.transaction_no and means_of(record) is StartMeans.OFFLINE_CARD:
        return None
    return running if _ends_with(running, report) else None


def _ends_with(running: OpenTransaction, report: RecordReceived) -> bool:
    """Whether a record ends when this transaction did; without a clock its energy must do."""
    record = report.record
    if report.clock_suspect or record.ended_at is None:
        return abs(record.energy_dwh - running.last_dwh) <= _ENERGY_SLACK_DWH
    first_ms = running.last_ms or running.started_ms or running.opened_ms
    last_ms = running.ended_ms or report.at.wall_ms
    ended_ms = to_ms(record.ended_at)
    return first_ms - _OVERLAP_SLACK_MS <= ended_ms <= last_ms + _OVERLAP_SLACK_MS


def _end(
    book: TransactionBook,
    transaction: OpenTransaction,
    report: RecordReceived,
    ended_by: EndKind,
    *,
    seen: bool,
    known_as: str,
) -> Effects:
    if transaction.was_estimated:
        ended_by = EndKind.CORRECTED
    if transaction.means is StartMeans.UNKNOWN:
        transaction.means = means_of(report.record)
    if transaction.token is None:
        transaction.token = token_of(report.record)
    if not seen:
        transaction.flag("start_unseen")
    ended = end_with_record(
        transaction, report, book.context(transaction, seen=seen), ended_by=ended_by
    )
    closed = _remembered(transaction, report, ended)
    effects = book.close(transaction, report.at, closed=closed)
    if known_as != transaction.transaction_no:
        effects.add(book.closed.remember(known_as, closed))
    effects.events.append(ended)
    return effects


def _end_unknown(
    book: TransactionBook, report: RecordReceived, number: str, *flags: str
) -> Effects:
    """A record without a start: an off-line charge, or our memory of it is gone."""
    record = report.record
    transaction = OpenTransaction(
        transaction_id=uuid7(report.at.wall_ms),
        transaction_no=number,
        charge_point_no=record.charge_point_no,
        connector_no=record.connector_no,
        means=means_of(record),
        opened_ms=report.at.wall_ms,
        physical_card_no=record.physical_card_no,
        tariff_version_id=book.tariff_id_now(record.charge_point_no, report.at),
        flags=[*flags],
    )
    return _end(book, transaction, report, EndKind.RECORD, seen=False, known_as=number)


def _correct(
    book: TransactionBook, closed: ClosedTransaction, report: RecordReceived, number: str
) -> Effects:
    """The record of a transaction that was estimated, or given up as a failed start."""
    transaction = closed.as_left
    assert transaction is not None, "closed without a record, so it was kept"
    transaction.was_estimated = transaction.was_estimated or bool(closed.summary)
    seen = transaction.started_ms is not None
    return _end(book, transaction, report, EndKind.RECORD, seen=seen, known_as=number)


def _dispute(
    book: TransactionBook,
    alarms: AlarmBook,
    closed: ClosedTransaction,
    report: RecordReceived,
    number: str,
) -> Effects:
    """The same transaction with other content: the first stands, the second is kept beside it."""
    if len(closed.disputes) >= _DISPUTES_MAX:
        more = structs.replace(closed, more_disputes=closed.more_disputes + 1)
        return book.closed.remember(number, more)
    record = report.record
    transaction = OpenTransaction(
        transaction_id=closed.transaction_id,
        transaction_no=number,
        order_id=closed.order_id,
        token=closed.token,
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
    effects.add(book.closed.remember(number, structs.replace(closed, disputes=disputes)))
    place = objects.connector(closed.charge_point_no, closed.connector_no)
    effects.add(alarms.raise_alarm("record_disputed", place, report.at.wall_ms))
    return effects


def settle_again(
    book: TransactionBook, closed: ClosedTransaction, report: RecordReceived, number: str
) -> Effects:
    """Tell HQ once more how a transaction ended, from the record that closed it."""
    transaction = OpenTransaction(
        transaction_id=closed.transaction_id,
        transaction_no=number,
        order_id=closed.order_id,
        token=closed.token or token_of(report.record),
        charge_point_no=closed.charge_point_no,
        connector_no=closed.connector_no,
        means=means_of(report.record),
        opened_ms=report.at.wall_ms,
        physical_card_no=report.record.physical_card_no,
        tariff_version_id=book.tariff_id_now(closed.charge_point_no, report.at),
        flags=["start_unseen"],
    )
    effects = Effects()
    effects.events.append(
        end_with_record(
            transaction, report, book.context(transaction, seen=False), ended_by=EndKind.RECORD
        )
    )
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
    record, bill = report.record, ended.station_bill
    return ClosedTransaction(
        transaction_id=transaction.transaction_id,
        closed_ms=report.at.wall_ms,
        charge_point_no=transaction.charge_point_no,
        connector_no=transaction.connector_no,
        record_sha256=record_hash(record),
        meter_start_dwh=record.meter_start_dwh,
        started_ms=to_ms(record.started_at) if record.started_at else None,
        ended_ms=to_ms(record.ended_at) if record.ended_at else None,
        order_id=transaction.order_id,
        token=transaction.token,
        payable_fen=bill.payable_fen if bill is not None else 0,
        summary=summary(ended),
    )
