"""The open transactions: found by number, id, connector and vehicle, timed, and kept stored.

A transaction is known by its number, else by its connector. What changed in one is stored with
the next `flush`, at the latest one second later; what is put in or taken out, at once.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from edge.devices.chargers.reports import ConnectorSampled, Moment
from edge.journal import Change, Delete, Put
from edge.station.effects import Effects
from edge.station.open_transaction import OpenTransaction, Stage
from edge.station.stored import decode_all

KIND = "transaction"

Connector = tuple[str, int]


class OpenTransactions:
    """What was permitted or runs, or has ended and waits for its record."""

    def __init__(self, stored: dict[str, bytes], *, waited_max_s: float, now: Moment) -> None:
        """Take what the journal holds under `KIND`.

        What was charging is unreachable until it is seen again. Time limits go on where they
        were, but at `waited_max_s` at most: who may be back has time for it.
        """
        self._open = decode_all(stored, OpenTransaction)
        self._on_connector: dict[Connector, OpenTransaction] = {}
        self._dirty: set[str] = set()
        # Monotonic: time limits outlive clocks that are set.
        self._since_s: dict[str, float] = {}
        for transaction in self.open_transactions():
            self._on_connector[connector_of(transaction)] = transaction
            waited_s = min(transaction.waited_s(now.wall_ms), waited_max_s)
            self._since_s[transaction.transaction_no] = now.mono_s - waited_s
            if transaction.stage is Stage.CHARGING and transaction.unreachable_since_ms is None:
                transaction.unreachable_since_ms = now.wall_ms
                self.touch(transaction)

    # Finding

    def open_transactions(self) -> list[OpenTransaction]:
        """Return all open transactions, oldest first."""
        return sorted(self._open.values(), key=lambda transaction: transaction.opened_ms)

    def find(self, charge_point_no: str, transaction_no: str) -> OpenTransaction | None:
        """Return a charge point's open transaction; nobody reaches another one's by its number."""
        transaction = self._open.get(transaction_no)
        if transaction is None or transaction.charge_point_no != charge_point_no:
            return None
        return transaction

    def by_number(self, transaction_no: str) -> OpenTransaction | None:
        """Return the open transaction with this number, whoever has it."""
        return self._open.get(transaction_no)

    def by_id(self, transaction_id: UUID) -> OpenTransaction | None:
        """Return the open transaction with this id."""
        return next((t for t in self._open.values() if t.transaction_id == transaction_id), None)

    def on_connector(self, connector: Connector) -> OpenTransaction | None:
        """Return the newest open transaction of a connector, whatever its stage."""
        return self._on_connector.get(connector)

    def of_charge_point(self, charge_point_no: str) -> list[OpenTransaction]:
        """Return the open transactions of a charge point."""
        return [t for t in self._open.values() if t.charge_point_no == charge_point_no]

    def group(self, transaction: OpenTransaction) -> list[OpenTransaction]:
        """Return what charges one vehicle together with this transaction, itself included."""
        if not transaction.parallel_no:
            return [transaction]
        wanted = (transaction.charge_point_no, transaction.parallel_no)
        return [
            other
            for other in self._open.values()
            if (other.charge_point_no, other.parallel_no) == wanted
        ]

    def partners(self, connector: Connector) -> list[Connector]:
        """Return the other connectors that charge the vehicle of this one."""
        running = self._on_connector.get(connector)
        if running is None:
            return []
        members = [member for member in self.group(running) if member.stage is not Stage.ENDED]
        return [connector_of(member) for member in members if member is not running]

    # Keeping

    def put_in(self, transaction: OpenTransaction, now: Moment) -> Change:
        """Add a transaction, the newest of its connector; return how that is stored."""
        self._open[transaction.transaction_no] = transaction
        self._on_connector[connector_of(transaction)] = transaction
        self.wait_again(transaction, now)
        return stored_form(transaction)

    def take_out(self, transaction: OpenTransaction) -> Change:
        """Remove a transaction that may be gone already; return how that is stored."""
        number = transaction.transaction_no
        self._open.pop(number, None)
        self._since_s.pop(number, None)
        self._dirty.discard(number)
        if self._on_connector.get(connector_of(transaction)) is transaction:
            del self._on_connector[connector_of(transaction)]
        return Delete(KIND, number)

    def wait_again(self, transaction: OpenTransaction, now: Moment) -> None:
        """Have the time limit of a transaction run anew from now."""
        self._since_s[transaction.transaction_no] = now.mono_s

    def wait_longer(self, transaction: OpenTransaction, waited_s: float, now: Moment) -> None:
        """Have no more than so much of the time limit of a transaction be over."""
        number = transaction.transaction_no
        self._since_s[number] = max(self._since_s[number], now.mono_s - waited_s)

    def waited_s(self, transaction: OpenTransaction, now: Moment) -> float:
        """Return how much of the time limit of a transaction is over."""
        return now.mono_s - self._since_s[transaction.transaction_no]

    def touch(self, transaction: OpenTransaction) -> None:
        """Have a transaction stored with the next flush."""
        self._dirty.add(transaction.transaction_no)

    def flush(self) -> Effects:
        """Return the stored form of what changed since the last flush."""
        effects = Effects()
        effects.changes.extend(stored_form(self._open[number]) for number in self._dirty)
        self._dirty.clear()
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of all that is known here, for a store that is new."""
        return [*map(stored_form, self._open.values())]


def connector_of(of: OpenTransaction | ConnectorSampled) -> Connector:
    """Return where a transaction runs, or what reports."""
    return of.charge_point_no, of.connector_no


def stored_form(transaction: OpenTransaction) -> Put:
    """Return the stored form of an open transaction."""
    return Put(KIND, transaction.transaction_no, msgspec.msgpack.encode(transaction))
