"""The closed transactions whose records may still come, or come again."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec

from edge.devices.chargers.reports import Moment
from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.export import summary
from edge.station.open_transaction import ClosedTransaction, OpenTransaction
from edge.station.stored import decode_all
from shared.contracts.events import TransactionEnded

KIND = "closed"
_MAX = 10_000


class ClosedTransactions:
    """What is remembered, by number, oldest first; the oldest of very many is forgotten."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        found = decode_all(stored, ClosedTransaction)
        self._by_number = dict(sorted(found.items(), key=lambda item: item[1].closed_ms))

    def get(self, transaction_no: str) -> ClosedTransaction | None:
        """Return what is remembered under a number."""
        return self._by_number.get(transaction_no)

    def pop(self, transaction_no: str) -> ClosedTransaction | None:
        """Take an entry out: its transaction is open again. The caller deletes it in the store."""
        return self._by_number.pop(transaction_no, None)

    def by_order(self, order_id: UUID) -> ClosedTransaction | None:
        """Return what is remembered of the transaction of an order of HQ."""
        return next((c for c in self._by_number.values() if c.order_id == order_id), None)

    def since(self, wall_ms: int) -> Iterator[ClosedTransaction]:
        """Yield what was closed since then; a transaction with two numbers comes once."""
        seen: set[UUID] = set()
        for closed in self._by_number.values():
            if closed.closed_ms >= wall_ms and closed.transaction_id not in seen:
                seen.add(closed.transaction_id)
                yield closed

    def awaited(self) -> Iterator[OpenTransaction]:
        """Yield the transactions that were closed without a record, as they were left."""
        for closed in self._by_number.values():
            if closed.as_left is not None:
                yield closed.as_left

    def all(self) -> list[tuple[str, ClosedTransaction]]:
        """Return everything, ordered by number."""
        return sorted(self._by_number.items())

    def remember(self, transaction_no: str, closed: ClosedTransaction) -> Effects:
        """Keep a closed transaction."""
        effects = Effects()
        self._by_number[transaction_no] = closed
        effects.changes.append(_stored(transaction_no, closed))
        if len(self._by_number) > _MAX:
            oldest = next(iter(self._by_number))
            del self._by_number[oldest]
            effects.changes.append(Delete(KIND, oldest))
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of all entries, for a store that is new."""
        return [_stored(number, closed) for number, closed in self._by_number.items()]


def left(
    transaction: OpenTransaction, now: Moment, ended: TransactionEnded | None
) -> ClosedTransaction:
    """Return what is remembered of a transaction that was closed without a record."""
    bill = ended.station_bill if ended is not None else None
    return ClosedTransaction(
        transaction_id=transaction.transaction_id,
        closed_ms=now.wall_ms,
        charge_point_no=transaction.charge_point_no,
        connector_no=transaction.connector_no,
        started_ms=transaction.started_ms,
        ended_ms=transaction.ended_ms,
        as_left=transaction,
        order_id=transaction.order_id,
        token=transaction.token,
        payable_fen=bill.payable_fen if bill is not None else 0,
        summary=summary(ended) if ended is not None else b"",
    )


def _stored(transaction_no: str, closed: ClosedTransaction) -> Put:
    return Put(KIND, transaction_no, msgspec.msgpack.encode(closed))
