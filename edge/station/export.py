"""The station's own account of its closed transactions: one JSON line each, always the same.

What is in it follows from what the charge point said and the tariff that it held, and from
nothing that would be different if the same frames came again: no ids of ours, no receive times.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from edge.station.open_transaction import ClosedTransaction
from shared.contracts.events import TransactionEnded
from shared.tariff import PERIODS


def export_lines(closed: list[tuple[str, ClosedTransaction]]) -> Iterator[str]:
    """Yield a line for each transaction that came to an end, ordered by number."""
    for transaction_no, entry in closed:
        if entry.ended is not None:
            yield json.dumps(_fields(transaction_no, entry.ended, len(entry.disputes)))


def _fields(transaction_no: str, ended: TransactionEnded, disputes: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "transaction_no": transaction_no,
        "charge_point_no": ended.charge_point_no,
        "connector_no": ended.connector_no,
        "ended_by": ended.ended_by,
        "payable_fen": ended.station_bill.payable_fen if ended.station_bill else None,
        "energy_dwh": ended.station_bill.energy_dwh if ended.station_bill else None,
        "disputes": disputes,
    }
    if (record := ended.record) is not None:
        fields |= {
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
    return fields
