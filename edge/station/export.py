"""The station's own account of its closed transactions: one JSON line each, always the same.

What is in it follows from what the charge point said and the tariff that it held, and from
nothing that would be different if the same frames came again: no ids of ours, no receive times,
and no fee per minute, which no frame carries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edge.station.open_transaction import ClosedTransaction
from shared.contracts.events import Record, TransactionEnded
from shared.tariff import PERIODS


def export_lines(closed: list[tuple[str, ClosedTransaction]]) -> Iterator[str]:
    """Yield a line for each transaction that came to an end, ordered by number."""
    for number, entry in closed:
        fields = json.loads(entry.summary) if entry.summary else {}
        # A record that named another number is remembered under both.
        if fields.get("transaction_no") == number:
            disputes = len(entry.disputes) + entry.more_disputes
            yield json.dumps({**fields, "disputes": disputes})


def summary(ended: TransactionEnded) -> bytes:
    """Return what the export says of one transaction."""
    bill = ended.station_bill
    fields: dict[str, Any] = {
        "transaction_no": ended.transaction_no,
        "charge_point_no": ended.charge_point_no,
        "connector_no": ended.connector_no,
        "ended_by": ended.ended_by,
        "energy_dwh": bill.energy_dwh if bill else None,
        "energy_fee_nano": bill.energy_fee_nano if bill else None,
        "service_fee_nano": bill.service_fee_nano if bill else None,
    }
    if ended.record is not None:
        fields |= _record_fields(ended.record)
    return json.dumps(fields).encode()


def _record_fields(record: Record) -> dict[str, Any]:
    return {
        "record_started_at": record.started_at.isoformat() if record.started_at else None,
        "record_ended_at": record.ended_at.isoformat() if record.ended_at else None,
        "record_energy_dwh": record.energy_dwh,
        "record_amount_e4": record.amount_e4,
        "meter_start_dwh": record.meter_start_dwh,
        "meter_end_dwh": record.meter_end_dwh,
        "stop_reason": record.stop_reason,
        "vin": record.vin,
        "periods": {
            str(period): [totals.energy_dwh, totals.amount_e4]
            for period, totals in zip(PERIODS, record.periods, strict=True)
        },
    }
