"""What a transaction keeps beside its samples: the vehicle's word, and frames that prove things."""

from __future__ import annotations

from msgspec import structs

from edge.devices.chargers.reports import (
    BatteryIdentified,
    BatteryLimits,
    FrameSent,
    Moment,
    StartAnswered,
)
from edge.station.effects import Effects
from edge.station.open_transaction import OpenTransaction, Stage
from edge.station.transactions import TransactionBook
from shared.clock import from_ms
from shared.contracts import events

NOT_PLUGGED = 5
"""Reason in 0x33: the plug may still come, within a minute, and then another 0x33."""
_STOP = 0x36
_CONFIRM = 0x40


def on_battery(book: TransactionBook, report: BatteryIdentified | BatteryLimits) -> Effects:
    """Keep what the vehicle says of itself (0x15) and of its limits (0x17)."""
    effects = Effects()
    transaction = book.find(report.charge_point_no, report.transaction_no)
    transaction = transaction or book.on_connector((report.charge_point_no, report.connector_no))
    if transaction is None:
        return effects
    battery = transaction.battery
    for name in report.__struct_fields__:
        if name in battery.__struct_fields__:
            setattr(battery, name, getattr(report, name))
    book.touch(transaction)
    if isinstance(report, BatteryLimits):
        effects.events.append(
            events.BatteryIdentified(
                occurred_at=from_ms(report.at.wall_ms),
                transaction_id=transaction.transaction_id,
                charge_point_no=report.charge_point_no,
                connector_no=report.connector_no,
                **structs.asdict(battery),
            )
        )
    return effects


def limits_of(transaction: OpenTransaction, now: Moment) -> BatteryLimits:
    """Return the limits that the vehicle gave (0x17), which it does not give again."""
    battery = transaction.battery
    return BatteryLimits(
        now,
        transaction.charge_point_no,
        transaction.connector_no,
        transaction.transaction_no,
        battery.cell_voltage_max_cv,
        battery.temperature_max_c,
        battery.current_max_da,
        battery.voltage_max_dv,
        battery.nominal_energy_dkwh,
        None,
    )


def on_start_answered(book: TransactionBook, report: StartAnswered) -> Effects:
    """Take in 0x33; a start that was refused has failed, unless only the plug is missing."""
    transaction = started_by(book, report)
    if transaction is None:
        return Effects()
    transaction.keep_frame(report.raw)
    book.touch(transaction)
    if report.started or report.reason == NOT_PLUGGED:
        book.wait_again(transaction, report.at)
        return Effects()
    return book.fail(transaction, f"refused_{report.reason}", report.at)


def started_by(book: TransactionBook, report: StartAnswered) -> OpenTransaction | None:
    """Return the start that a 0x33 answers; without a number it is its connector's."""
    if report.transaction_no:
        transaction = book.find(report.charge_point_no, report.transaction_no)
    else:
        transaction = book.on_connector((report.charge_point_no, report.connector_no))
    waiting = transaction is not None and transaction.stage is Stage.AUTHORIZED
    return transaction if waiting else None


def on_frame_sent(book: TransactionBook, report: FrameSent) -> None:
    """Keep a frame that went out, as proof for the bill."""
    if report.code == _CONFIRM:
        return
    if report.code == _STOP:
        transaction = book.on_connector((report.charge_point_no, report.connector_no))
    else:
        transaction = book.find(report.charge_point_no, report.transaction_no)
    if transaction is not None and transaction.stage is not Stage.ENDED:
        transaction.keep_frame(report.raw)
        book.touch(transaction)
