"""Transaction records: sent until the platform confirms them, forgotten only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from edge.devices.chargers.ykc.messages import Message, RecordConfirm, TransactionRecord
from ops.sim.book import BookEntry, Confirmed
from ops.sim.timing import TimingProfile

if TYPE_CHECKING:
    from ops.sim.machine import Machine


def retry_delays_s(timing: TimingProfile) -> list[float]:
    """Return the pauses between sendings: three short ones, then one long one, then none."""
    return [timing.record_retry_s] * timing.record_retries + [timing.record_last_s]


class Records:
    """Sends what the book holds unconfirmed."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._attempts: dict[str, int] = {}

    def handlers(self) -> dict[type[Message], Callable[[Any, bytes], None]]:
        """Return who handles which frame."""
        return {RecordConfirm: self._on_confirm}

    def send(self, entry: BookEntry) -> None:
        """Send a record that is in the book, if there is a platform; else a login will."""
        if self._machine.session.logged_in:
            self._send(entry)

    def replay(self) -> None:
        """Send everything unconfirmed, with a fresh schedule: at each login."""
        self._attempts.clear()
        for entry in self._machine.book.unconfirmed(self._machine.no):
            self._send(entry)

    def hold(self) -> None:
        """Stop sending: the connection is gone."""
        self._machine.timers.cancel_all("record:")
        self._attempts.clear()

    def resend(self, transaction_no: str, add_energy_dwh: int = 0) -> None:
        """Send a record again, also a confirmed one, with a total that differs by so much.

        Raises:
            KeyError: No such finished transaction.
        """
        body = bytes.fromhex(self._machine.book.contents.entries[transaction_no].body_hex)
        message = TransactionRecord.parse(body)
        energy_dwh = max(0, message.energy_dwh + add_energy_dwh)
        self._machine.send(msgspec.structs.replace(message, energy_dwh=energy_dwh))

    def _send(self, entry: BookEntry) -> None:
        machine = self._machine
        number = entry.transaction_no
        if machine.faults.no_record or not machine.session.logged_in:
            return
        delays_s = retry_delays_s(machine.timing)
        attempt = self._attempts.get(number, 0) + 1
        if attempt > len(delays_s) + 1:
            machine.emit("gave_up", connector_no=entry.connector_no, transaction_no=number)
            return
        self._attempts[number] = attempt
        # After the last sending one short pause decides that nothing will come.
        delay_s = [*delays_s, machine.timing.record_retry_s][attempt - 1]
        machine.timers.set(f"record:{number}", delay_s, lambda: self._send(entry))
        machine.send_body(TransactionRecord.KIND, bytes.fromhex(entry.body_hex))
        machine.emit(
            "record_sent",
            connector_no=entry.connector_no,
            transaction_no=number,
            attempt=attempt,
        )

    def _on_confirm(self, message: RecordConfirm, _sequence: bytes) -> None:
        machine = self._machine
        number = message.transaction_no
        entry = machine.book.contents.entries.get(number)
        if machine.faults.ignore_confirm:
            return
        if entry is None or entry.charge_point_no != machine.no:
            machine.emit("unknown_confirm", transaction_no=number)
            return
        line = Confirmed(transaction_no=number, at_ms=machine.now_ms(), result=message.result)
        machine.book.write(line)
        name = "confirmed" if message.result == 0 else "record_refused"
        if message.result == 0:
            machine.timers.cancel(f"record:{number}")
        machine.emit(name, connector_no=entry.connector_no, transaction_no=number)
