"""What each command of HQ means at the station, and how it is known to have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from edge.devices.chargers import wishes as w
from edge.devices.chargers.reports import StartAnswered, WishSettled
from edge.safety.latches import STATION, Place, subject_of
from edge.station.carry_site import SITE_COMMANDS, carry_site
from edge.station.effects import Effects
from edge.station.evidence import NOT_PLUGGED
from edge.station.open_list import stored_form
from edge.station.open_transaction import OpenTransaction, Stage
from edge.station.starts import NO_LIMIT_FEN
from shared.contracts import commands as c
from shared.contracts.words import Outcome
from shared.errors import CommandRejectedError

if TYPE_CHECKING:
    from edge.station.core import Station

_ANSWER_MAX = 1024 * 1024
"""Bytes of raw frames in one answer: more fits no batch."""


class Carrier:
    """Carries commands out and settles them when the facts say so."""

    def __init__(self, station: Station, *, fetch_frames: Callable[[str, int, int], bytes]) -> None:
        self._station = station
        self._fetch_frames = fetch_frames
        self._wish_no = 0
        self._by_wish: dict[int, UUID] = {}
        self._starts: dict[str, UUID] = {}
        self._stops: dict[UUID, set[UUID]] = {}

    def carry(self, command_id: UUID, command: c.AnyCommand) -> Effects:
        """Carry one command out. Raises CommandRejectedError when it cannot be."""
        match command:
            case c.StartTransaction():
                return self._start(command_id, command)
            case c.StopTransaction():
                return self._stop(command_id, command)
            case c.EmergencyStop():
                return self._emergency_stop(command_id, command)
            case c.ResetEmergencyStop():
                return self._reset(command_id, command)
            case c.AnswerAuthorization():
                effects = self._station.starts.on_answer(command, self._station.now())
                return self._done(command_id, effects)
            case c.PublishTariff() | c.PublishAccessList() | c.PublishRegistry():
                return self._publish(command_id, command)
            case _ if isinstance(command, SITE_COMMANDS):
                return self._done(command_id, carry_site(self._station, command))
            case c.UpdateBalance():
                return self._update_balance(command_id, command)
            case c.FetchFrames():
                return self._fetch(command_id, command)
            case c.Watch():
                self._station.watch_lease(float(command.lease_s))
                return self._done(command_id)
            case c.ReportState():
                effects = self._done(command_id)
                effects.events.append(self._station.state_report())
                return effects
            case _:
                return self._device_wish(command_id, command)

    # Transactions

    def resume(self) -> list[UUID]:
        """Take up what was under way before a restart; returns the commands of its starts."""
        for transaction in self._station.book.open_transactions():
            if transaction.command_id is not None and transaction.stage is Stage.AUTHORIZED:
                self._starts[transaction.transaction_no] = transaction.command_id
        return list(self._starts.values())

    def _start(self, command_id: UUID, command: c.StartTransaction) -> Effects:
        book = self._station.book
        for transaction in book.open_transactions():
            if transaction.order_id == command.order_id:
                self._starts[transaction.transaction_no] = command_id
                return Effects()
        if closed := book.closed.by_order(command.order_id):
            # Started before the agent went down, and over since: an order starts once.
            ran = bool(closed.summary)
            outcome, reason = (Outcome.DONE, "") if ran else (Outcome.FAILED, "start_failed")
            return self._station.settle(command_id, outcome, reason)
        now = self._station.now()
        number, effects = self._station.starts.start_remotely(command_id, command, now)
        self._starts[number] = command_id
        return effects

    def on_start_answered(self, started: OpenTransaction, report: StartAnswered) -> Effects:
        """Settle the command behind a 0x33, unless only the plug is missing."""
        if not report.started and report.reason == NOT_PLUGGED:
            return Effects()
        command_id = self._starts.pop(started.transaction_no, None)
        if command_id is None:
            return Effects()
        outcome = Outcome.DONE if report.started else Outcome.FAILED
        reason = "" if report.started else f"refused_{report.reason}"
        return self._station.settle(command_id, outcome, reason)

    def _stop(self, command_id: UUID, command: c.StopTransaction) -> Effects:
        transaction = self._station.book.by_id(command.transaction_id)
        if transaction is None or transaction.stage is Stage.ENDED:
            return self._station.settle(command_id, Outcome.ALREADY_ENDED)
        self._stops.setdefault(transaction.transaction_id, set()).add(command_id)
        return self._station.book.stop(transaction)

    def _update_balance(self, command_id: UUID, command: c.UpdateBalance) -> Effects:
        transaction = self._station.book.by_id(command.transaction_id)
        if transaction is None or transaction.stage is Stage.ENDED:
            return self._station.settle(command_id, Outcome.ALREADY_ENDED)
        transaction.limit_fen = command.limit_fen
        effects = Effects()
        effects.changes.append(stored_form(transaction))
        self._wish_no += 1
        wish = w.SetBalance(
            charge_point_no=transaction.charge_point_no,
            wish_no=self._wish_no,
            connector_no=transaction.connector_no,
            balance_fen=command.limit_fen or NO_LIMIT_FEN,
            physical_card_no=transaction.physical_card_no,
        )
        self._by_wish[self._wish_no] = command_id
        if not self._station.send(wish):
            # The station itself stops at the limit as soon as the charge point is back.
            effects.add(self._settle_wish(self._wish_no, Outcome.DONE, "charge_point_offline"))
        return effects

    # Emergency stop

    def _emergency_stop(self, command_id: UUID, command: c.EmergencyStop) -> Effects:
        place = self._place(command.charge_point_no, command.connector_no)
        self._station.safety.order_stop(subject_of(place), self._station.now())
        return self._done(command_id)

    def _reset(self, command_id: UUID, command: c.ResetEmergencyStop) -> Effects:
        number, connector_no = command.charge_point_no, command.connector_no
        latches = self._station.latches.at((number, connector_no) if number else STATION)
        if not latches:
            # What blocks one that is no longer ours can be lifted.
            self._place(number, connector_no)
        ours = [latch for latch in latches if latch.by_hq]
        if latches and not ours:
            raise CommandRejectedError("reset_on_site_only")
        effects = Effects()
        for latch in ours:
            effects.add(self._station.guard.release(latch, self._station.now()))
        effects.add(self._station.settle(command_id, Outcome.DONE, "" if ours else "not_blocked"))
        return effects

    def _place(self, charge_point_no: str, connector_no: int) -> Place:
        if not charge_point_no:
            return STATION
        if self._station.registry.get(charge_point_no) is None:
            raise CommandRejectedError("unknown_charge_point")
        return charge_point_no, connector_no

    # Versioned data

    def _publish(
        self,
        command_id: UUID,
        command: c.PublishTariff | c.PublishAccessList | c.PublishRegistry,
    ) -> Effects:
        station = self._station
        effects = Effects()
        match command:
            case c.PublishTariff():
                try:
                    effects.changes.append(station.tariffs.put(command.tariff))
                except ValueError as error:
                    raise CommandRejectedError(str(error)) from error
                station.push_tariff()
            case c.PublishAccessList():
                if command.version < station.access.version:
                    raise CommandRejectedError("older_version")
                try:
                    effects.changes += station.access.put(command)
                except ValueError as error:
                    raise CommandRejectedError(str(error)) from error
            case c.PublishRegistry():
                if command.version < station.registry.version:
                    raise CommandRejectedError("older_version")
                effects.add(station.publish_registry(command))
        return self._done(command_id, effects)

    # Frames and device wishes

    def _fetch(self, command_id: UUID, command: c.FetchFrames) -> Effects:
        """Read in a thread: nothing here may wait for a disk."""
        reading = asyncio.get_running_loop().run_in_executor(
            None, self._fetch_frames, command.file, command.first_line, command.last_line
        )
        reading.add_done_callback(lambda read: self._fetched(command_id, read))
        return Effects()

    def _fetched(self, command_id: UUID, read: asyncio.Future[bytes]) -> None:
        settle = self._station.settle
        if read.cancelled():
            return
        if error := read.exception():
            self._station.perform(settle(command_id, Outcome.FAILED, str(error)))
        elif len(read.result()) > _ANSWER_MAX:
            reason = "too_much: ask for fewer lines"
            self._station.perform(settle(command_id, Outcome.FAILED, reason))
        else:
            self._station.perform(settle(command_id, Outcome.DONE, answer=read.result()))

    def _device_wish(self, command_id: UUID, command: c.AnyCommand) -> Effects:
        self._wish_no += 1
        wish = _wish(command, self._wish_no)
        if self._station.registry.get(wish.charge_point_no) is None:
            raise CommandRejectedError("unknown_charge_point")
        self._by_wish[self._wish_no] = command_id
        if not self._station.send(wish):
            del self._by_wish[self._wish_no]
            raise CommandRejectedError("charge_point_offline")
        if isinstance(wish, w.ReadNow):
            return self._settle_wish(self._wish_no, Outcome.DONE, "")
        return Effects()

    def on_wish_settled(self, report: WishSettled) -> Effects:
        """Settle the command behind a wish."""
        return self._settle_wish(report.wish_no, report.outcome, report.reason, report.answer)

    def _settle_wish(
        self, wish_no: int, outcome: Outcome, reason: str, answer: bytes = b""
    ) -> Effects:
        command_id = self._by_wish.pop(wish_no, None)
        if command_id is None:
            return Effects()
        return self._station.settle(command_id, outcome, reason, answer)

    def tick(self) -> Effects:
        """Settle starts and stops that the book has since decided."""
        effects = Effects()
        book = self._station.book
        for number, command_id in list(self._starts.items()):
            transaction = book.by_number(number)
            if transaction is not None and transaction.stage is Stage.AUTHORIZED:
                continue
            del self._starts[number]
            closed = book.closed.get(number)
            ran = transaction is not None or (closed is not None and bool(closed.summary))
            outcome, reason = (Outcome.DONE, "") if ran else (Outcome.FAILED, "no_start")
            effects.add(self._station.settle(command_id, outcome, reason))
        for transaction_id, command_ids in list(self._stops.items()):
            transaction = book.by_id(transaction_id)
            if transaction is None or transaction.stage is Stage.ENDED:
                del self._stops[transaction_id]
                for command_id in command_ids:
                    effects.add(self._station.settle(command_id, Outcome.DONE))
            elif not self._station.safety.stopping(
                (transaction.charge_point_no, transaction.connector_no)
            ):
                # Its charge point was away, or charging went on: the stop never expires.
                effects.add(book.stop(transaction))
        return effects

    def _done(self, command_id: UUID, effects: Effects | None = None) -> Effects:
        effects = effects or Effects()
        effects.add(self._station.settle(command_id, Outcome.DONE))
        return effects


def _wish(command: c.AnyCommand, wish_no: int) -> w.AnyWish:
    """Return the wish for a command that goes straight to a charge point."""
    match command:
        case c.ReadConnector():
            return w.ReadNow(
                charge_point_no=command.charge_point_no, connector_no=command.connector_no
            )
        case c.RebootChargePoint():
            return w.Reboot(
                charge_point_no=command.charge_point_no, wish_no=wish_no, at_once=command.at_once
            )
        case c.UpdateFirmware():
            return w.Update(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                is_dc=command.is_dc,
                power_kw=command.power_kw,
                host=command.host,
                port=command.port,
                user=command.user,
                password=command.password,
                path=command.path,
                at_once=command.at_once,
                timeout_min=command.timeout_min,
            )
        case c.SetWorkParameters():
            return w.SetWorkParameters(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                in_service=command.in_service,
                power_max_percent=command.power_max_percent,
            )
        case c.SetQrPrefix():
            return w.SetQrPrefix(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                prefix=command.prefix,
                with_connector=command.with_connector,
            )
        case c.SyncClock():
            return w.SetClock(charge_point_no=command.charge_point_no, wish_no=wish_no)
        case c.SetOfflineCards():
            return w.StoreOfflineCards(
                charge_point_no=command.charge_point_no, wish_no=wish_no, cards=command.cards
            )
        case c.ClearOfflineCards():
            return w.ClearOfflineCards(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                physical_card_nos=command.physical_card_nos,
            )
        case c.QueryOfflineCards():
            return w.QueryOfflineCards(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                physical_card_nos=command.physical_card_nos,
            )
        case c.SetBayLock():
            return w.SetBayLock(
                charge_point_no=command.charge_point_no,
                wish_no=wish_no,
                connector_no=command.connector_no,
                raised=command.raised,
            )
        case _:
            raise CommandRejectedError("unknown_command")
