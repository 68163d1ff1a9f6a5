"""Starting: from somebody's request, or HQ's order, to a permitted transaction."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct, structs

from edge.devices.chargers.reports import Moment, StartRequested
from edge.devices.chargers.wishes import AnswerStart, AnyWish, StartRemotely
from edge.journal import Change
from edge.safety.latches import Latches
from edge.station.access import AccessList, Caps, Decision
from edge.station.effects import Effects
from edge.station.exposure import Asked
from edge.station.live import LiveState
from edge.station.numbers import TransactionNumbers
from edge.station.open_transaction import OpenTransaction, Stage
from edge.station.registry import Registry
from edge.station.tariffs import TariffShelf
from edge.station.timing import Timing
from edge.station.transactions import TransactionBook
from shared.clock import from_ms
from shared.contracts.commands import AnswerAuthorization, StartTransaction
from shared.contracts.events import AuthorizationAsked, AuthorizationRefused, Token
from shared.contracts.words import RefusalReason, StartMeans, TokenKind
from shared.errors import CommandRejectedError
from shared.ids import uuid7

_UNSETTLED_MS = 86_400_000
_MEANS = {
    TokenKind.CARD: StartMeans.CARD,
    TokenKind.VIN: StartMeans.VIN,
    TokenKind.ACCOUNT: StartMeans.ACCOUNT,
}
NO_LIMIT_FEN = 99_999_999
"""Shown as the balance when an order has no limit; the field cannot be empty."""


class _Asked(Struct, frozen=True):
    reports: list[StartRequested]
    """More than one: connectors that feed one vehicle together ask once."""
    token: Token
    asked: Moment
    reason: RefusalReason
    """Why it is refused if HQ does not answer."""


class Starts:
    """Decides about requests to charge; one request is answered exactly once."""

    def __init__(
        self,
        *,
        book: TransactionBook,
        access: AccessList,
        caps: Caps,
        tariffs: TariffShelf,
        registry: Registry,
        numbers: TransactionNumbers,
        latches: Latches,
        live: LiveState,
        timing: Timing,
        hq_reachable: Callable[[], bool],
        bills_waiting: Callable[[], bool],
        refuses: Callable[[tuple[str, int]], str],
        now_ms: int,
    ) -> None:
        self._book = book
        self._access = access
        self._caps = caps
        self._tariffs = tariffs
        self._registry = registry
        self._numbers = numbers
        self._latches = latches
        self._live = live
        self._timing = timing
        self._hq_reachable = hq_reachable
        self._bills_waiting = bills_waiting
        self._refuses = refuses
        self._asked: dict[UUID, _Asked] = {}
        # HQ knows what was closed before; after a restart nobody knows when it last heard.
        self._hq_knows_ms = now_ms - _UNSETTLED_MS

    def on_request(self, report: StartRequested) -> Effects:
        """Decide about a 0x31 or 0xA1, or ask HQ."""
        connector = (report.charge_point_no, report.connector_no)
        if reason := self._cannot_start(connector, report.at):
            return self._refuse(report, reason)
        running = self._book.on_connector(connector)
        if running is not None and _waits_for_remote(running):
            # It was sent and may begin any moment: two starts would be two transactions.
            return self._refuse(report, RefusalReason.OUT_OF_SERVICE)
        token = Token(report.token_kind, report.token)
        online = self._hq_reachable()
        asked = Asked(token, *connector, report.parallel_no)
        spent = self._book.spent(asked, report.at.wall_ms + 1 if online else self._hq_knows_ms)
        decision = self._access.decide(
            token,
            report.password,
            now_ms=report.at.wall_ms,
            online=online,
            spent_fen=spent.by_token_fen,
            station_spent_fen=spent.by_all_fen,
            caps=self._caps,
        )
        if decision.ask_hq:
            return self._join(report, token) or self._ask(report, token, decision.reason)
        if not decision.accepted:
            return self._refuse(report, decision.reason)
        return self._accept(report, decision)

    def on_answer(self, answer: AnswerAuthorization, now: Moment) -> Effects:
        """Take in HQ's word about a token. Raises CommandRejectedError when it comes too late."""
        asked = self._asked.pop(answer.request_id, None)
        if asked is None:
            raise CommandRejectedError("request_is_over")
        effects = Effects()
        for report in asked.reports:
            effects.add(self._take_answer(report, answer, now))
        return effects

    def _take_answer(
        self, report: StartRequested, answer: AnswerAuthorization, now: Moment
    ) -> Effects:
        if not answer.accepted:
            return self._refuse(report, answer.reason)
        if report.password:
            # HQ has not seen it, so its yes is about the token only.
            return self._refuse(report, RefusalReason.WRONG_PASSWORD)
        connector = (report.charge_point_no, report.connector_no)
        if reason := self._cannot_start(connector, now):
            return self._refuse(report, reason)
        decision = Decision(
            True, limit_fen=answer.limit_fen, logical_card_no=answer.logical_card_no
        )
        return self._accept(report, decision)

    def tick(self, now: Moment) -> Effects:
        """Refuse whom HQ has not answered for in time."""
        effects = Effects()
        if self._hq_reachable() and not self._bills_waiting():
            self._hq_knows_ms = now.wall_ms
        for request_id, asked in list(self._asked.items()):
            if now.mono_s - asked.asked.mono_s > self._timing.ask_hq_s:
                del self._asked[request_id]
                for report in asked.reports:
                    effects.add(self._refuse(report, asked.reason))
        return effects

    def on_lost(self, charge_point_no: str) -> None:
        """Forget requests of a link that is gone: there is nobody to be answered."""
        for request_id, asked in list(self._asked.items()):
            if asked.reports[0].charge_point_no == charge_point_no:
                del self._asked[request_id]

    def everything(self) -> list[Change]:
        """Return the stored form of the counter."""
        return [self._numbers.stored()]

    def start_remotely(
        self, command_id: UUID, command: StartTransaction, now: Moment
    ) -> tuple[str, Effects]:
        """Start for an order of HQ; returns the new number too.

        Raises:
            CommandRejectedError: With the reason.
        """
        connector = (command.charge_point_no, command.connector_no)
        if self._registry.get(command.charge_point_no) is None:
            raise CommandRejectedError("unknown_charge_point")
        if not self._live.knows(connector):
            raise CommandRejectedError("unknown_connector")
        if not self._live.get(connector).online:
            raise CommandRejectedError("charge_point_offline")
        if reason := self._cannot_start(connector, now):
            raise CommandRejectedError(str(reason))
        running = self._book.on_connector(connector)
        if running is not None and running.stage is Stage.AUTHORIZED:
            raise CommandRejectedError("start_under_way")
        number, change = self._numbers.make(*connector, now.wall_ms)
        limits = (
            command.limit_fen,
            command.limit_dwh,
            command.limit_min,
            command.limit_soc_percent,
        )
        effects = self._book.open(
            number,
            connector,
            StartMeans.REMOTE,
            now,
            order_id=command.order_id,
            command_id=command_id,
            token=command.token,
            parallel_no=command.parallel_no,
            limits=limits,
        )
        effects.changes.append(change)
        effects.wishes_after.append(
            StartRemotely(
                charge_point_no=connector[0],
                connector_no=connector[1],
                transaction_no=number,
                balance_fen=command.limit_fen or NO_LIMIT_FEN,
                logical_card_no=command.logical_card_no,
                physical_card_no=command.physical_card_no,
                parallel_no=command.parallel_no,
            )
        )
        return number, effects

    def withdraw(
        self, wish: AnyWish, now: Moment, is_late: Callable[[UUID], bool]
    ) -> Effects | None:
        """Take back a start that was blocked, or expired, while its permission was stored.

        Whoever waits at the charge point hears a refusal; HQ's command is settled with the book.
        None when the wish may go out.
        """
        if not isinstance(wish, StartRemotely) and not (
            isinstance(wish, AnswerStart) and wish.accepted
        ):
            return None
        connector = (wish.charge_point_no, wish.connector_no)
        blocked = any(map(self._is_blocked, (connector, *self._book.partners(connector))))
        transaction = self._book.by_number(wish.transaction_no)
        command_id = transaction.command_id if transaction is not None else None
        if not blocked and not (command_id is not None and is_late(command_id)):
            return None
        effects = Effects()
        if isinstance(wish, AnswerStart):
            effects.wishes.append(_refusal(wish))
        if transaction is not None:
            effects.add(self._book.fail(transaction, "blocked" if blocked else "too_late", now))
            if transaction.parallel_no:
                effects.add(self._book.stop(transaction))
        return effects

    def _cannot_start(self, connector: tuple[str, int], now: Moment) -> RefusalReason | None:
        """Return why nobody may start here now, None if somebody may."""
        if not self._live.knows(connector) or self._is_blocked(connector):
            return RefusalReason.OUT_OF_SERVICE
        if self._tariffs.current(now.wall_ms) is None:
            return RefusalReason.OUT_OF_SERVICE
        if self._busy(self._book.on_connector(connector), now):
            return RefusalReason.OUT_OF_SERVICE
        return None

    def _is_blocked(self, connector: tuple[str, int]) -> bool:
        """Whether a latch stands there, or its protection does not."""
        return self._latches.blocks(connector) is not None or bool(self._refuses(connector))

    def _busy(self, running: OpenTransaction | None, now: Moment) -> bool:
        """Whether a transaction is alive; one that nobody hears of must not block others."""
        if running is None or running.stage is not Stage.CHARGING:
            return False
        sample = self._live.get((running.charge_point_no, running.connector_no)).sample
        alive_s = self._timing.alive_s
        return sample is not None and now.mono_s - sample.at.mono_s < alive_s

    def _join(self, report: StartRequested, token: Token) -> Effects | None:
        """Take a connector into the permission that its vehicle has, or waits for, at another.

        HQ would find the limit reserved for the first. None when there is nothing to join.
        """
        if not report.parallel_no or report.password:
            return None
        for partner in self._partners(report):
            is_own = partner.connector_no == report.connector_no
            if is_own or partner.token != token or partner.means is StartMeans.REMOTE:
                continue
            left_fen = self._book.left_fen(partner)
            if left_fen is None or left_fen > 0:
                return self._accept(report, Decision(True, limit_fen=left_fen or 0))
        for asked in self._asked.values():
            first = asked.reports[0]
            group = (first.charge_point_no, first.parallel_no)
            if group != (report.charge_point_no, report.parallel_no) or asked.token != token:
                continue
            if report.connector_no not in [each.connector_no for each in asked.reports]:
                asked.reports.append(report)
                return Effects()
        return None

    def _ask(self, report: StartRequested, token: Token, reason: RefusalReason) -> Effects:
        request_id = uuid7(report.at.wall_ms)
        self._asked[request_id] = _Asked([report], token, report.at, reason)
        effects = Effects()
        effects.events.append(
            AuthorizationAsked(
                occurred_at=from_ms(report.at.wall_ms),
                request_id=request_id,
                token=token,
                charge_point_no=report.charge_point_no,
                connector_no=report.connector_no,
            )
        )
        return effects

    def _refuse(self, report: StartRequested, reason: RefusalReason) -> Effects:
        effects = Effects()
        effects.wishes.append(_answer(report, "", Decision(False, reason)))
        for partner in self._partners(report):
            # Connectors that feed one vehicle together charge together or not at all.
            effects.add(self._book.stop(partner))
            if partner.stage is Stage.AUTHORIZED:
                effects.add(self._book.fail(partner, "parallel_refused", report.at))
        effects.events.append(
            AuthorizationRefused(
                occurred_at=from_ms(report.at.wall_ms),
                token=Token(report.token_kind, report.token),
                charge_point_no=report.charge_point_no,
                connector_no=report.connector_no,
                reason=reason,
            )
        )
        return effects

    def _partners(self, report: StartRequested) -> list[OpenTransaction]:
        if not report.parallel_no:
            return []
        return [
            transaction
            for transaction in self._book.open_transactions()
            if transaction.charge_point_no == report.charge_point_no
            and transaction.parallel_no == report.parallel_no
            and transaction.stage is not Stage.ENDED
        ]

    def _accept(self, report: StartRequested, decision: Decision) -> Effects:
        connector = (report.charge_point_no, report.connector_no)
        number, change = self._numbers.make(*connector, report.at.wall_ms)
        effects = self._book.open(
            number,
            connector,
            _MEANS[report.token_kind],
            report.at,
            token=Token(report.token_kind, report.token),
            parallel_no=report.parallel_no,
            limits=(decision.limit_fen, 0, 0, 0),
            raw=report.raw,
        )
        effects.changes.append(change)
        # The answer waits for the commit: a start that we would not remember is none.
        effects.wishes_after.append(_answer(report, number, decision))
        failed = Decision(False, RefusalReason.OUT_OF_SERVICE)
        effects.wishes_if_failed.append(_answer(report, "", failed))
        return effects


def _waits_for_remote(transaction: OpenTransaction) -> bool:
    return transaction.stage is Stage.AUTHORIZED and transaction.means is StartMeans.REMOTE


def _answer(report: StartRequested, transaction_no: str, decision: Decision) -> AnswerStart:
    return AnswerStart(
        charge_point_no=report.charge_point_no,
        request_no=report.request_no,
        connector_no=report.connector_no,
        accepted=decision.accepted,
        reason=decision.reason,
        transaction_no=transaction_no,
        logical_card_no=decision.logical_card_no,
        balance_fen=(decision.limit_fen or NO_LIMIT_FEN) if decision.accepted else 0,
    )


def _refusal(accepted: AnswerStart) -> AnswerStart:
    return structs.replace(
        accepted,
        accepted=False,
        reason=RefusalReason.OUT_OF_SERVICE,
        transaction_no="",
        balance_fen=0,
    )
