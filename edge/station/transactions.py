"""The book of transactions: opened, followed, closed exactly once, and never lost.

A transaction is known by its number, else by its connector. Every step returns `Effects`; what
changed in an open transaction is stored at the latest one second later (`flush`), what HQ and
money depend on at once.
"""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from edge.devices.chargers.reports import (
    BatteryIdentified,
    BatteryLimits,
    ConnectorSampled,
    Moment,
    StartAnswered,
    WireState,
)
from edge.devices.chargers.wishes import CloseLink, SetBalance, StopRemotely
from edge.journal import Delete, Put
from edge.station.effects import Effects
from edge.station.endings import Context, end_estimated
from edge.station.open_transaction import ClosedTransaction, OpenTransaction, Spent, Stage
from edge.station.registry import Registry
from edge.station.tariffs import TariffShelf
from edge.station.timing import Timing
from shared.clock import from_ms
from shared.contracts import events
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import Token, TransactionEnded
from shared.contracts.words import StartMeans
from shared.ids import uuid7
from shared.money import NANO_PER_E4, NANO_PER_E5, NANO_PER_FEN, divide_half_up

KIND = "transaction"
KIND_CLOSED = "closed"
_CLOSED_MAX = 20_000
_NOT_PLUGGED = 5
_decoder = msgspec.msgpack.Decoder(OpenTransaction)
_closed_decoder = msgspec.msgpack.Decoder(ClosedTransaction)

Connector = tuple[str, int]


class TransactionBook:
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
    ) -> None:
        """Take what the journal holds under `KIND` and `KIND_CLOSED`."""
        self._zone = zone
        self._timing = timing
        self._tariffs = tariffs
        self._registry = registry
        self._open = {number: _decoder.decode(blob) for number, blob in stored.items()}
        self._closed = {number: _closed_decoder.decode(b) for number, b in stored_closed.items()}
        self._on_connector: dict[Connector, OpenTransaction] = {}
        for transaction in sorted(self._open.values(), key=lambda t: t.opened_ms):
            self._on_connector[_place(transaction)] = transaction
        # Time limits run on the monotonic clock and begin anew after a restart.
        self._since_s = dict.fromkeys(self._open, now.mono_s)
        self._dirty: set[str] = set()
        self.clock_offsets_ms: dict[str, int | None] = {}

    # What is open

    def open_transactions(self) -> list[OpenTransaction]:
        """Return all open transactions, oldest first."""
        return sorted(self._open.values(), key=lambda transaction: transaction.opened_ms)

    def by_number(self, transaction_no: str) -> OpenTransaction | None:
        """Return the open transaction with this number."""
        return self._open.get(transaction_no)

    def by_id(self, transaction_id: UUID) -> OpenTransaction | None:
        """Return the open transaction with this id."""
        return next((t for t in self._open.values() if t.transaction_id == transaction_id), None)

    def on_connector(self, connector: Connector) -> OpenTransaction | None:
        """Return the newest open transaction of a connector, whatever its stage."""
        return self._on_connector.get(connector)

    def closed(self) -> list[tuple[str, ClosedTransaction]]:
        """Return what is remembered of closed transactions, by number."""
        return sorted(self._closed.items())

    def closed_by_number(self, transaction_no: str) -> ClosedTransaction | None:
        """Return what is remembered of a closed transaction."""
        return self._closed.get(transaction_no)

    def spent(self, token: Token) -> Spent:
        """Return what is open, and for a token what its own open transactions came to."""
        by_token = by_all = 0
        for transaction in self._open.values():
            amount_fen = divide_half_up(transaction.last_amount_e4 * NANO_PER_E4, NANO_PER_FEN)
            by_all += amount_fen
            if transaction.token == token:
                by_token += amount_fen
        return Spent(by_token, by_all)

    # Opening

    def open(
        self,
        transaction_no: str,
        connector: Connector,
        means: StartMeans,
        now: Moment,
        *,
        order_id: UUID | None = None,
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
            token=token,
            parallel_no=parallel_no,
            tariff_version_id=self.tariff_id_now(connector[0], now),
            limit_fen=limits[0],
            limit_dwh=limits[1],
            limit_min=limits[2],
            limit_soc_percent=limits[3],
            raw_frames=[raw] if raw else [],
        )
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
        """Open a transaction that runs, or ran, without our permission or memory of it."""
        earlier = self._closed.pop(transaction_no, None)
        if earlier and earlier.estimated:
            transaction = earlier.estimated
            transaction.was_estimated = True
        else:
            transaction = OpenTransaction(
                transaction_id=earlier.transaction_id if earlier else uuid7(now.wall_ms),
                transaction_no=transaction_no,
                charge_point_no=connector[0],
                connector_no=connector[1],
                means=means,
                opened_ms=now.wall_ms,
                tariff_version_id=self.tariff_id_now(connector[0], now),
            )
        effects = self._enter(transaction, now)
        if earlier:
            effects.changes.append(Delete(KIND_CLOSED, transaction_no))
        return transaction, effects

    def _enter(self, transaction: OpenTransaction, now: Moment) -> Effects:
        effects = Effects()
        before = self._on_connector.get(_place(transaction))
        if before is not None:
            self._note_end(before, now)
        self._open[transaction.transaction_no] = transaction
        self._on_connector[_place(transaction)] = transaction
        self._since_s[transaction.transaction_no] = now.mono_s
        effects.changes.append(self._stored(transaction))
        return effects

    def tariff_id_now(self, charge_point_no: str, now: Moment) -> UUID | None:
        """Return the version that the charge point holds, else the one that it is to hold."""
        version = self._tariffs.by_hash(self._tariffs.confirmed_hash(charge_point_no))
        version = version or self._tariffs.current(now.wall_ms)
        return version.tariff_version_id if version else None

    # Following

    def on_sample(self, sample: ConnectorSampled) -> Effects | None:
        """Take in a 0x13; None when it leads to nothing but a changed figure."""
        connector = (sample.charge_point_no, sample.connector_no)
        transaction = self._open.get(sample.transaction_no)
        if sample.replayed:
            if transaction is not None:
                transaction.take_replayed(sample)
                self._dirty.add(transaction.transaction_no)
            return None
        if sample.state is not WireState.CHARGING or not sample.transaction_no:
            running = transaction or self._on_connector.get(connector)
            if running is not None:
                self._on_idle(running, sample)
            return None
        effects: Effects | None = None
        if transaction is None:
            closed = self._closed.get(sample.transaction_no)
            if closed is not None and closed.record_sha256:
                return None
            transaction, effects = self.adopt(
                sample.transaction_no, connector, StartMeans.UNKNOWN, sample.at
            )
        if transaction.stage is not Stage.CHARGING or transaction.unreachable_since_ms:
            effects = effects or Effects()
            self._on_charging(transaction, sample, effects)
        transaction.take(sample, self._zone)
        self._dirty.add(transaction.transaction_no)
        if not transaction.stop_sent and self._limit_reached(transaction, sample):
            transaction.stop_sent = True
            effects = effects or Effects()
            effects.wishes.append(
                StopRemotely(charge_point_no=connector[0], connector_no=connector[1])
            )
        return effects

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
        effects.changes.append(self._stored(transaction))

    def _on_idle(self, transaction: OpenTransaction, sample: ConnectorSampled) -> None:
        """Idle is evidence that charging ended, once it had begun."""
        if transaction.stage is Stage.CHARGING:
            if sample.transaction_no == transaction.transaction_no and sample.energy_dwh:
                transaction.take(sample, self._zone)
            self._note_end(transaction, sample.at)
        transaction.unreachable_since_ms = None

    def note_end(self, transaction_no: str, now: Moment) -> None:
        """Take in other evidence that a transaction ended (0x19)."""
        if transaction := self._open.get(transaction_no):
            self._note_end(transaction, now)

    def _note_end(self, transaction: OpenTransaction, now: Moment) -> None:
        if transaction.stage is not Stage.ENDED:
            transaction.stage = Stage.ENDED
            transaction.ended_ms = now.wall_ms
            self._since_s[transaction.transaction_no] = now.mono_s
            self._dirty.add(transaction.transaction_no)

    def _limit_reached(self, transaction: OpenTransaction, sample: ConnectorSampled) -> bool:
        if transaction.limit_dwh and sample.energy_dwh >= transaction.limit_dwh:
            return True
        if transaction.limit_soc_percent and sample.soc_percent >= transaction.limit_soc_percent:
            return True
        minutes = (sample.at.wall_ms - (transaction.started_ms or sample.at.wall_ms)) // 60_000
        if transaction.limit_min and minutes >= transaction.limit_min:
            return True
        return bool(transaction.limit_fen) and (
            self.amount_fen(transaction, sample.amount_e4, minutes) >= transaction.limit_fen
        )

    def amount_fen(self, transaction: OpenTransaction, amount_e4: int, minutes: int) -> int:
        """Return what a transaction has come to: the charge point's figure and our time fee."""
        version = self._tariffs.get(transaction.tariff_version_id)
        per_minute_e5 = version.tariff.per_minute_e5 if version else 0
        nano = amount_e4 * NANO_PER_E4 + minutes * per_minute_e5 * NANO_PER_E5
        return divide_half_up(nano, NANO_PER_FEN)

    def on_battery(self, report: BatteryIdentified | BatteryLimits) -> Effects:
        """Keep what the vehicle says of itself (0x15) and of its limits (0x17)."""
        effects = Effects()
        connector = (report.charge_point_no, report.connector_no)
        transaction = self._open.get(report.transaction_no) or self._on_connector.get(connector)
        if transaction is None:
            return effects
        battery = transaction.battery
        for name in report.__struct_fields__:
            if name in battery.__struct_fields__:
                setattr(battery, name, getattr(report, name))
        self._dirty.add(transaction.transaction_no)
        if isinstance(report, BatteryLimits):
            effects.events.append(
                events.BatteryIdentified(
                    occurred_at=from_ms(report.at.wall_ms),
                    transaction_id=transaction.transaction_id,
                    charge_point_no=report.charge_point_no,
                    connector_no=report.connector_no,
                    **msgspec.structs.asdict(battery),
                )
            )
        return effects

    def on_start_answered(self, report: StartAnswered) -> Effects:
        """Take in 0x33; a start that was refused has failed, unless only the plug is missing."""
        transaction = self._open.get(report.transaction_no)
        if transaction is None or transaction.stage is not Stage.AUTHORIZED:
            return Effects()
        transaction.raw_frames.append(report.raw)
        self._dirty.add(transaction.transaction_no)
        if report.started or report.reason == _NOT_PLUGGED:
            self._since_s[transaction.transaction_no] = report.at.mono_s
            return Effects()
        return self.fail(transaction, f"refused_{report.reason}", report.at)

    def fail(self, transaction: OpenTransaction, reason: str, now: Moment) -> Effects:
        """Close an authorised start that did not come about."""
        effects = self.close(transaction, now)
        effects.events.append(
            events.TransactionStartFailed(
                occurred_at=from_ms(now.wall_ms), **transaction.names(), reason=reason
            )
        )
        return effects

    def set_limit(self, transaction: OpenTransaction, limit_fen: int) -> Effects:
        """Change what a running transaction may spend; the charge point is told (0x42)."""
        transaction.limit_fen = limit_fen
        effects = Effects()
        effects.changes.append(self._stored(transaction))
        effects.wishes.append(
            SetBalance(
                charge_point_no=transaction.charge_point_no,
                connector_no=transaction.connector_no,
                balance_fen=limit_fen,
                physical_card_no=transaction.physical_card_no,
            )
        )
        return effects

    def on_lost(self, charge_point_no: str, now: Moment) -> Effects:
        """The charge point is out of reach: its transactions go on without us."""
        effects = Effects()
        for transaction in self._open.values():
            if transaction.charge_point_no == charge_point_no and (
                transaction.unreachable_since_ms is None and transaction.stage is Stage.CHARGING
            ):
                transaction.unreachable_since_ms = now.wall_ms
                self._since_s[transaction.transaction_no] = now.mono_s
                effects.changes.append(self._stored(transaction))
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
        for transaction in list(self._open.values()):
            waited_s = now.mono_s - self._since_s[transaction.transaction_no]
            if transaction.unreachable_since_ms is not None:
                if waited_s > self._timing.unreachable_s:
                    effects.add(self.estimate(transaction, now))
            elif transaction.stage is Stage.AUTHORIZED and waited_s > self._timing.start_s:
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
            self._dirty.add(transaction.transaction_no)
            effects.wishes.append(
                CloseLink(charge_point_no=transaction.charge_point_no, reason="record_missing")
            )
        return effects

    def estimate(self, transaction: OpenTransaction, now: Moment) -> Effects:
        """Close a transaction from its last live data; its record corrects it if it comes."""
        ended = end_estimated(transaction, now, self.context(transaction, seen=True))
        effects = self.close(transaction, now, keep=True, ended=ended)
        effects.events.append(ended)
        return effects

    def close(
        self,
        transaction: OpenTransaction,
        now: Moment,
        *,
        closed: ClosedTransaction | None = None,
        keep: bool = False,
        ended: TransactionEnded | None = None,
    ) -> Effects:
        """Take a transaction off the open list; remember enough to know its record again."""
        effects = Effects()
        number = transaction.transaction_no
        self._open.pop(number, None)
        self._since_s.pop(number, None)
        self._dirty.discard(number)
        if self._on_connector.get(_place(transaction)) is transaction:
            del self._on_connector[_place(transaction)]
        effects.changes.append(Delete(KIND, number))
        effects.add(
            self.remember(
                number,
                closed
                or ClosedTransaction(
                    transaction_id=transaction.transaction_id,
                    closed_ms=now.wall_ms,
                    charge_point_no=transaction.charge_point_no,
                    connector_no=transaction.connector_no,
                    started_ms=transaction.started_ms,
                    ended_ms=transaction.ended_ms,
                    estimated=transaction if keep else None,
                    ended=ended,
                ),
            )
        )
        return effects

    def remember(self, transaction_no: str, closed: ClosedTransaction) -> Effects:
        """Keep a closed transaction, and forget the oldest of very many."""
        effects = Effects()
        self._closed[transaction_no] = closed
        effects.changes.append(Put(KIND_CLOSED, transaction_no, msgspec.msgpack.encode(closed)))
        if len(self._closed) > _CLOSED_MAX:
            oldest = min(self._closed, key=lambda number: self._closed[number].closed_ms)
            del self._closed[oldest]
            effects.changes.append(Delete(KIND_CLOSED, oldest))
        return effects

    def flush(self) -> Effects:
        """Return the stored form of what changed since the last flush."""
        effects = Effects()
        effects.changes.extend(self._stored(self._open[number]) for number in self._dirty)
        self._dirty.clear()
        return effects

    # Shared with `records.py`

    def context(self, transaction: OpenTransaction, *, seen: bool) -> Context:
        """Return what closing a transaction needs to know."""
        number = transaction.charge_point_no
        version = self._tariffs.get(transaction.tariff_version_id)
        config = self._registry.get(number) or ChargePointConfig(charge_point_no=number)
        return Context(
            config=config,
            zone=self._zone,
            tariff=version.tariff if version else None,
            tariff_hash=version.tariff.content_hash() if version else "",
            clock_offset_ms=self.clock_offsets_ms.get(number),
            clock_tolerance_ms=self._timing.clock_tolerance_ms,
            seen=seen,
        )

    def _stored(self, transaction: OpenTransaction) -> Put:
        return Put(KIND, transaction.transaction_no, msgspec.msgpack.encode(transaction))


def _place(transaction: OpenTransaction) -> Connector:
    return transaction.charge_point_no, transaction.connector_no
