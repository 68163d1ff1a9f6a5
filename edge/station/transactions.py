"""The book of transactions: opened, followed, closed exactly once, and never lost.

Every step returns `Effects`. What changed in an open transaction is stored at the latest one second
later, what HQ and money depend on at once.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.devices.chargers.reports import ConnectorSampled, Moment, WireState
from edge.devices.chargers.wishes import CloseLink, StopRemotely
from edge.journal import Change, Delete
from edge.safety.ladder import ZERO_CURRENT_DA
from edge.station.closed import KIND as KIND_CLOSED
from edge.station.closed import ClosedTransactions, left
from edge.station.effects import Effects
from edge.station.endings import Context, end_estimated, usable_offset_ms
from edge.station.exposure import Asked, Spent, spent
from edge.station.limits import limit_reached, used_fen
from edge.station.open_list import Connector, OpenTransactions, connector_of, stored_form
from edge.station.open_transaction import ClosedTransaction, OpenTransaction, Stage
from edge.station.registry import Registry
from edge.station.tariffs import TariffShelf
from edge.station.timing import Timing
from shared.clock import from_ms
from shared.contracts import events
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import Token, TransactionEnded
from shared.contracts.words import StartMeans
from shared.ids import uuid7


class TransactionBook(OpenTransactions):
    """All open transactions, and the closed ones whose records may still come again."""

    def __init__(
        self,
        stored: dict[str, bytes],
        stored_closed: dict[str, bytes],
        *,
        zone: ZoneInfo,
        timing: Timing,
        tariffs: TariffShelf,
        registry: Registry,
        now: Moment,
        stopping: Callable[[Connector], bool],
    ) -> None:
        """Take what the journal holds under `open_list.KIND` and `closed.KIND`.

        `stopping` says whether a stop of a connector still waits for its proof.
        """
        super().__init__(stored, waited_max_s=timing.unreachable_s - timing.estimate_s, now=now)
        self._stopping = stopping
        self._zone = zone
        self._timing = timing
        self._tariffs = tariffs
        self._registry = registry
        self.closed = ClosedTransactions(stored_closed)
        self._online: set[str] = set()
        self._clock_offsets_ms: dict[str, int | None] = {}
        self._ahead_ms: dict[str, int] = {}

    # What is spent

    def spent(self, asked: Asked, since_ms: int) -> Spent:
        """Return what is open or was closed since then: one token's, and everybody's."""
        return spent(asked, self.open_transactions(), self.closed.since(since_ms), self._used_fen)

    def _used_fen(self, transaction: OpenTransaction) -> int:
        version = self._tariffs.get(transaction.tariff_version_id)
        return used_fen(transaction, version, self._zone)

    def _beside_fen(self, transaction: OpenTransaction) -> int:
        """Return what a vehicle's other connectors have spent of one permission.

        HQ gives each of its own orders a limit; a card that is held to several has one.
        """
        if transaction.means is StartMeans.REMOTE:
            return 0
        return self._others_fen(transaction) + transaction.beside_fen

    def left_fen(self, transaction: OpenTransaction) -> int | None:
        """Return what its permission leaves for its vehicle's connectors, None without a limit."""
        if not transaction.limit_fen:
            return None
        spent_fen = self._used_fen(transaction) + self._beside_fen(transaction)
        return transaction.limit_fen - spent_fen

    def _others_fen(self, transaction: OpenTransaction) -> int:
        others = (each for each in self.group(transaction) if each is not transaction)
        return sum(map(self._used_fen, others))

    def _pass_on(self, transaction: OpenTransaction, payable_fen: int, sign: int) -> list[Change]:
        """Have the vehicle's other connectors count what this one came to, or no longer (-1)."""
        others = [each for each in self.group(transaction) if each is not transaction]
        for other in others:
            other.beside_fen += sign * max(payable_fen, self._used_fen(transaction))
        return [*map(stored_form, others)]

    # Opening

    def open(
        self,
        transaction_no: str,
        connector: Connector,
        means: StartMeans,
        now: Moment,
        *,
        order_id: UUID | None = None,
        command_id: UUID | None = None,
        token: Token | None = None,
        parallel_no: str = "",
        limits: tuple[int, int, int, int] = (0, 0, 0, 0),
        raw: bytes = b"",
    ) -> Effects:
        """Open a transaction that was just permitted. `limits`: fen, dWh, minutes, SOC %."""
        transaction = OpenTransaction(
            transaction_id=uuid7(now.wall_ms),
            transaction_no=transaction_no,
            charge_point_no=connector[0],
            connector_no=connector[1],
            means=means,
            opened_ms=now.wall_ms,
            order_id=order_id,
            command_id=command_id,
            token=token,
            parallel_no=parallel_no,
            tariff_version_id=self.tariff_id_now(connector[0], now),
            limit_fen=limits[0],
            limit_dwh=limits[1],
            limit_min=limits[2],
            limit_soc_percent=limits[3],
            raw_frames=[raw] if raw else [],
        )
        transaction.beside_fen = -self._others_fen(transaction)
        effects = self._enter(transaction, now)
        effects.events.append(
            events.TransactionAuthorized(
                occurred_at=from_ms(now.wall_ms),
                **transaction.names(),
                means=means,
                token=token,
                tariff_version_id=transaction.tariff_version_id,
                limit_fen=limits[0],
                parallel_no=parallel_no,
                raw_frames=tuple(transaction.raw_frames),
            )
        )
        return effects

    def adopt(
        self, transaction_no: str, connector: Connector, means: StartMeans, now: Moment
    ) -> tuple[OpenTransaction, Effects]:
        """Open a transaction that runs without our permission or memory of it, or runs again."""
        earlier = self.closed.pop(transaction_no)
        if earlier is not None and earlier.as_left is not None:
            transaction = earlier.as_left
            transaction.was_estimated = transaction.was_estimated or bool(earlier.summary)
        else:
            transaction = OpenTransaction(
                transaction_id=uuid7(now.wall_ms),
                transaction_no=transaction_no,
                charge_point_no=connector[0],
                connector_no=connector[1],
                means=means,
                opened_ms=now.wall_ms,
                tariff_version_id=self.tariff_id_now(connector[0], now),
            )
        effects = self._enter(transaction, now)
        if earlier is not None:
            effects.changes.append(Delete(KIND_CLOSED, transaction_no))
            effects.changes += self._pass_on(transaction, earlier.payable_fen, -1)
        return transaction, effects

    def _enter(self, transaction: OpenTransaction, now: Moment) -> Effects:
        effects = Effects()
        before = self.on_connector(connector_of(transaction))
        if before is not None and before.stage is Stage.AUTHORIZED:
            effects.add(self.fail(before, "superseded", now))
        elif before is not None:
            self._note_end(before, now)
        effects.changes.append(self.put_in(transaction, now))
        return effects

    def tariff_id_now(self, charge_point_no: str, now: Moment) -> UUID | None:
        """Return the version that the charge point holds, else the one that it is to hold."""
        version = self._tariffs.by_hash(self._tariffs.confirmed_hash(charge_point_no))
        version = version or self._tariffs.current(now.wall_ms)
        return version.tariff_version_id if version else None

    # Following

    def on_clock(self, charge_point_no: str, offset_ms: int | None) -> None:
        """Take in how far a charge point's clock is ahead of ours; None when it shows no time."""
        self._clock_offsets_ms[charge_point_no] = offset_ms
        tolerance_ms = self._timing.clock_tolerance_ms
        self._ahead_ms[charge_point_no] = usable_offset_ms(offset_ms, tolerance_ms)

    def on_sample(
        self, sample: ConnectorSampled, transaction: OpenTransaction | None
    ) -> Effects | None:
        """Take in a 0x13, and the open transaction that it names.

        Returns None when it leads to nothing but a changed figure.
        """
        if not sample.transaction_no:
            transaction = self._running_there(sample)
        if sample.replayed:
            if transaction is not None:
                self._take_stored(transaction, sample)
            return None
        flows = sample.current_da >= ZERO_CURRENT_DA
        if sample.state is WireState.IDLE and not flows:
            # Only this is an end: whatever else a connector says, it may still be charging.
            running = transaction or self.on_connector(connector_of(sample))
            if running is not None:
                self._on_idle(running, sample)
            return None
        charging = flows or sample.state is WireState.CHARGING
        if not sample.dated and transaction is not None and transaction.stage is Stage.ENDED:
            self._take_stored(transaction, sample)
            return None
        effects: Effects | None = None
        if transaction is None:
            if not charging or not self._may_adopt(sample):
                return None
            number = sample.transaction_no
            transaction, effects = self.adopt(
                number, connector_of(sample), StartMeans.UNKNOWN, sample.at
            )
        if transaction.stage is not Stage.CHARGING and not charging:
            return effects
        if transaction.stage is not Stage.CHARGING or transaction.unreachable_since_ms:
            effects = effects or Effects()
            self._on_charging(transaction, sample, effects)
        if sample.dated:
            ahead_ms = self._ahead_ms.get(sample.charge_point_no, 0)
            transaction.take(sample, self._zone, self._timing.sparse_ms, ahead_ms)
            self.touch(transaction)
        else:
            self._take_stored(transaction, sample)
        # Charging may resume after the proof of a stop: then it is stopped again.
        if not transaction.is_limited or self._stopping(connector_of(sample)):
            return effects
        if flows or not transaction.stop_sent:
            version = self._tariffs.get(transaction.tariff_version_id)
            beside_fen = self._beside_fen(transaction) if transaction.parallel_no else 0
            if limit_reached(transaction, sample, version, self._zone, beside_fen):
                effects = effects or Effects()
                effects.add(self.stop(transaction))
        return effects

    def _take_stored(self, transaction: OpenTransaction, sample: ConnectorSampled) -> None:
        """Take in what may have been stored: how much has flowed, but not when."""
        transaction.take_totals(sample)
        transaction.flag("replayed_samples")
        self.touch(transaction)

    def _running_there(self, sample: ConnectorSampled) -> OpenTransaction | None:
        """Return what a sample without a number is about: what its connector charges."""
        running = self.on_connector((sample.charge_point_no, sample.connector_no))
        return running if running is not None and running.stage is Stage.CHARGING else None

    def _may_adopt(self, sample: ConnectorSampled) -> bool:
        number = sample.transaction_no
        if not number or self.by_number(number) is not None:
            return False
        closed = self.closed.get(number)
        return closed is None or (
            not closed.record_sha256 and closed.charge_point_no == sample.charge_point_no
        )

    def stop(self, transaction: OpenTransaction) -> Effects:
        """Have a transaction stopped, with all that charge the same vehicle.

        A stop carries no number: it is sent only while the transaction is known to run there.
        """
        effects = Effects()
        for member in self.group(transaction):
            if member.stage is not Stage.ENDED and self._is_here(member):
                member.stop_sent = True
                number, connector_no = connector_of(member)
                effects.wishes.append(
                    StopRemotely(charge_point_no=number, connector_no=connector_no)
                )
        return effects

    def _is_here(self, transaction: OpenTransaction) -> bool:
        online = transaction.charge_point_no in self._online
        return online and transaction.unreachable_since_ms is None

    def _on_charging(
        self, transaction: OpenTransaction, sample: ConnectorSampled, effects: Effects
    ) -> None:
        now = sample.at
        occurred_at = from_ms(now.wall_ms)
        if transaction.started_ms is None:
            effects.events.append(
                events.TransactionStarted(
                    occurred_at=occurred_at,
                    **transaction.names(),
                    means=transaction.means,
                    token=transaction.token,
                    tariff_version_id=transaction.tariff_version_id,
                    vin=transaction.battery.vin,
                )
            )
        if transaction.unreachable_since_ms:
            transaction.unreachable_since_ms = None
            effects.events.append(
                events.TransactionResumed(occurred_at=occurred_at, **transaction.names())
            )
        transaction.stage = Stage.CHARGING
        transaction.ended_ms = None
        effects.changes.append(stored_form(transaction))

    def _on_idle(self, transaction: OpenTransaction, sample: ConnectorSampled) -> None:
        """Idle is evidence that charging ended, once it had begun."""
        if transaction.stage is Stage.CHARGING:
            if sample.transaction_no == transaction.transaction_no:
                transaction.take_totals(sample)
            self._note_end(transaction, sample.at)

    def note_end(self, charge_point_no: str, transaction_no: str, now: Moment) -> None:
        """Take in other evidence that a transaction ended (0x19)."""
        transaction = self.find(charge_point_no, transaction_no)
        if transaction is not None and transaction.stage is Stage.CHARGING:
            self._note_end(transaction, now)

    def _note_end(self, transaction: OpenTransaction, now: Moment) -> None:
        if transaction.stage is not Stage.ENDED:
            transaction.stage = Stage.ENDED
            transaction.ended_ms = now.wall_ms
            transaction.unreachable_since_ms = None
            self.wait_again(transaction, now)
            self.touch(transaction)

    def fail(self, transaction: OpenTransaction, reason: str, now: Moment) -> Effects:
        """Close an authorised start that did not come about; its record would still count."""
        effects = self.close(transaction, now)
        effects.events.append(
            events.TransactionStartFailed(
                occurred_at=from_ms(now.wall_ms), **transaction.names(), reason=reason
            )
        )
        return effects

    def on_logged_in(self, charge_point_no: str, now: Moment) -> None:
        """The charge point is back: it sends what it stored, and says what runs."""
        self._online.add(charge_point_no)
        for transaction in self.of_charge_point(charge_point_no):
            if transaction.stage is Stage.ENDED:
                # This login is the lever that `_wait_for_record` would otherwise pull.
                transaction.link_closed_for_record = True
                self.wait_longer(transaction, self._timing.estimate_s / 2, now)
                self.touch(transaction)
            else:
                self.wait_again(transaction, now)

    def on_lost(self, charge_point_no: str, now: Moment) -> Effects:
        """The charge point is out of reach: its transactions go on without us."""
        effects = Effects()
        self._online.discard(charge_point_no)
        for transaction in self.of_charge_point(charge_point_no):
            if transaction.stage is not Stage.CHARGING or transaction.unreachable_since_ms:
                continue
            transaction.unreachable_since_ms = now.wall_ms
            self.wait_again(transaction, now)
            effects.changes.append(stored_form(transaction))
            effects.events.append(
                events.TransactionUnreachable(
                    occurred_at=from_ms(now.wall_ms), **transaction.names()
                )
            )
        return effects

    # Closing

    def tick(self, now: Moment) -> Effects:
        """Do what time demands: failed starts, estimates, the one lever for a missing record."""
        effects = Effects()
        for transaction in self.open_transactions():
            waited_s = self.waited_s(transaction, now)
            is_start = transaction.stage is Stage.AUTHORIZED
            if not self._is_here(transaction):
                if waited_s > self._timing.unreachable_s and is_start:
                    effects.add(self.fail(transaction, "unreachable", now))
                elif waited_s > self._timing.unreachable_s:
                    effects.add(self.estimate(transaction, now))
            elif is_start and waited_s > self._timing.start_s:
                effects.add(self.fail(transaction, "no_start", now))
            elif transaction.stage is Stage.ENDED:
                effects.add(self._wait_for_record(transaction, waited_s, now))
        return effects

    def _wait_for_record(
        self, transaction: OpenTransaction, waited_s: float, now: Moment
    ) -> Effects:
        effects = Effects()
        if waited_s > self._timing.estimate_s:
            return self.estimate(transaction, now)
        if waited_s > self._timing.estimate_s / 2 and not transaction.link_closed_for_record:
            # No frame asks for a record; a new login makes the charge point replay what it has.
            transaction.link_closed_for_record = True
            self.touch(transaction)
            effects.wishes.append(
                CloseLink(charge_point_no=transaction.charge_point_no, reason="record_missing")
            )
        return effects

    def estimate(self, transaction: OpenTransaction, now: Moment) -> Effects:
        """Close a transaction from its last live data; its record corrects it if it comes."""
        ended = end_estimated(transaction, now, self.context(transaction, seen=True))
        effects = self.close(transaction, now, ended=ended)
        effects.events.append(ended)
        return effects

    def close(
        self,
        transaction: OpenTransaction,
        now: Moment,
        *,
        closed: ClosedTransaction | None = None,
        ended: TransactionEnded | None = None,
    ) -> Effects:
        """Take a transaction off the open list; remember enough to know its record again."""
        effects = Effects()
        number = transaction.transaction_no
        effects.changes.append(self.take_out(transaction))
        closed = closed or left(transaction, now, ended)
        effects.changes += self._pass_on(transaction, closed.payable_fen, 1)
        effects.add(self.closed.remember(number, closed))
        return effects

    def everything(self) -> list[Change]:
        """Return the stored form of all that is known here, for a store that is new."""
        return [*super().everything(), *self.closed.everything()]

    # Shared with `records.py`

    def context(self, transaction: OpenTransaction, *, seen: bool) -> Context:
        """Return what closing a transaction needs to know."""
        number = transaction.charge_point_no
        version = self._tariffs.get(transaction.tariff_version_id)
        return Context(
            config=self._registry.get(number) or ChargePointConfig(charge_point_no=number),
            zone=self._zone,
            tariff=version.tariff if version else None,
            tariff_hash=version.tariff.content_hash() if version else "",
            clock_offset_ms=self._clock_offsets_ms.get(number),
            clock_tolerance_ms=self._timing.clock_tolerance_ms,
            sparse_ms=self._timing.sparse_ms,
            seen=seen,
        )
