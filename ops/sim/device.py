"""The charge point as a machine: offline cards, parameters, bay locks, QR code, reboot, update."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edge.devices.chargers.ykc.messages import (
    BayLockAnswer,
    BayLockCommand,
    BayLockReport,
    ClearedCard,
    Message,
    OfflineCardsClear,
    OfflineCardsClearAnswer,
    OfflineCardsQuery,
    OfflineCardsQueryAnswer,
    OfflineCardsSync,
    OfflineCardsSyncAnswer,
    QrPrefix,
    QrPrefixAnswer,
    QueriedCard,
    Reboot,
    RebootAnswer,
    Update,
    UpdateAnswer,
    WorkParameters,
    WorkParametersAnswer,
)

if TYPE_CHECKING:
    from ops.sim.machine import Machine

RAISED, LOWERED = 0x55, 0xFF
_WHEN_IDLE = 2


class Device:
    """What is not about one charge."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.locked = False
        self.qr_prefix = ""
        self.down_for_s = 0.0  # how long the charge point stays off the line after a reboot
        self._new_version = ""
        self._reboot_when_idle = False

    def handlers(self) -> dict[type[Message], Callable[[Any, bytes], None]]:
        """Return who handles which frame."""
        return {
            OfflineCardsSync: self._on_cards,
            OfflineCardsClear: self._on_clear_cards,
            OfflineCardsQuery: self._on_query_cards,
            WorkParameters: self._on_work_parameters,
            BayLockCommand: self._on_bay_lock,
            Reboot: self._on_reboot,
            Update: self._on_update,
            QrPrefix: self._on_qr_prefix,
        }

    @property
    def program_version(self) -> str:
        """What the login says, at most eight characters."""
        machine = self._machine
        kept = machine.book.device(machine.no).program_version
        return kept or machine.spec.program_version

    def _cards(self) -> dict[str, str]:
        return dict(self._machine.book.device(self._machine.no).offline_cards)

    def _on_cards(self, message: OfflineCardsSync, sequence: bytes) -> None:
        machine = self._machine
        cards = self._cards() | {card.physical_card: card.logical_card for card in message.cards}
        machine.book.keep_device(machine.no, offline_cards=cards)
        machine.send(OfflineCardsSyncAnswer(charge_point_no=machine.no, result=1), sequence)
        machine.emit("cards_held", count=len(cards))

    def _on_clear_cards(self, message: OfflineCardsClear, sequence: bytes) -> None:
        machine = self._machine
        cards = self._cards()
        answers = []
        for card in message.physical_cards:
            found = cards.pop(card, None) is not None
            answers.append(ClearedCard(card, int(found), 0 if found else 1))
        machine.book.keep_device(machine.no, offline_cards=cards)
        answer = OfflineCardsClearAnswer(charge_point_no=machine.no, cards=tuple(answers))
        machine.send(answer, sequence)

    def _on_query_cards(self, message: OfflineCardsQuery, sequence: bytes) -> None:
        machine = self._machine
        cards = self._cards()
        found = tuple(QueriedCard(card, int(card in cards)) for card in message.physical_cards)
        machine.send(OfflineCardsQueryAnswer(charge_point_no=machine.no, cards=found), sequence)

    def _on_work_parameters(self, message: WorkParameters, sequence: bytes) -> None:
        machine = self._machine
        good = message.locked in (0, 1) and 30 <= message.power_max_percent <= 100
        if good:
            for number in machine.connectors:
                machine.charges.update(number)  # up to now at the old power
            self.locked = message.locked == 1
            machine.power_percent = message.power_max_percent
        machine.send(WorkParametersAnswer(charge_point_no=machine.no, result=int(good)), sequence)

    def report_bay_locks(self) -> None:
        """Send 0x61 for each bay, now and every 5 minutes."""
        machine = self._machine
        if not machine.spec.bay_locks:
            return
        period_s = machine.timing.bay_lock_report_s
        machine.timers.set("bay_locks", period_s, self.report_bay_locks)
        for number in machine.connectors:
            self.report_bay_lock(number)

    def report_bay_lock(self, number: int) -> None:
        """Send 0x61 for one bay."""
        machine = self._machine
        if not machine.session.ready or not machine.spec.bay_locks:
            return
        connector = machine.connectors[number]
        machine.send(
            BayLockReport(
                charge_point_no=machine.no,
                connector_no=number,
                lock_status=connector.bay_lock,
                bay_status=0xFF if connector.bay_occupied else 0,
                battery_percent=90,
                alarm=0,
            )
        )

    def _on_bay_lock(self, message: BayLockCommand, sequence: bytes) -> None:
        machine, number = self._machine, message.connector_no
        connector = machine.connectors.get(number)
        good = (
            machine.spec.bay_locks
            and connector is not None
            and message.command in (RAISED, LOWERED)
            and not (message.command == RAISED and connector.bay_occupied)
        )
        answer = BayLockAnswer(charge_point_no=machine.no, connector_no=number, result=int(good))
        machine.send(answer, sequence)
        if good and connector is not None:
            target = connector

            def moved() -> None:
                target.bay_lock = message.command
                self.report_bay_lock(number)
                machine.emit("bay_lock", connector_no=number, lock_status=message.command)

            machine.timers.set(f"bay_lock:{number}", machine.timing.bay_lock_s, moved)

    def _on_qr_prefix(self, message: QrPrefix, sequence: bytes) -> None:
        self.qr_prefix = message.prefix
        self._machine.send(QrPrefixAnswer(charge_point_no=self._machine.no, result=0), sequence)

    def _on_reboot(self, message: Reboot, sequence: bytes) -> None:
        self._machine.send(RebootAnswer(charge_point_no=self._machine.no, result=1), sequence)
        self._reboot_when_idle = message.when == _WHEN_IDLE
        if self._reboot_when_idle:
            self.maybe_reboot()
        else:
            self.reboot()

    def _on_update(self, message: Update, sequence: bytes) -> None:
        """Accept; the new program runs after the reboot. Nothing is really downloaded."""
        machine = self._machine
        self._new_version = PurePosixPath(message.path).stem[-8:] or "updated"
        machine.send(UpdateAnswer(charge_point_no=machine.no, result=0), sequence)

        def downloaded() -> None:
            self._reboot_when_idle = message.when == _WHEN_IDLE
            if self._reboot_when_idle:
                self.maybe_reboot()
            else:
                self.reboot()

        machine.timers.set("update", machine.timing.update_s, downloaded)

    def maybe_reboot(self) -> None:
        """Reboot if that waits for an idle charge point, and it is idle now."""
        charging = any(connector.charging for connector in self._machine.connectors.values())
        if self._reboot_when_idle and not charging:
            self.reboot()

    def reboot(self) -> None:
        """Lose everything that is not in the book, and come back after a while."""
        machine = self._machine
        self._reboot_when_idle = False
        machine.charges.lose_power()
        if self._new_version:
            machine.book.keep_device(machine.no, program_version=self._new_version)
            self._new_version = ""
        self.locked = False
        machine.power_percent = 100
        machine.clock_offset_set_ms = 0
        machine.session.stored.clear()
        self.down_for_s = machine.timing.reboot_s
        machine.emit("rebooting")
        machine.close("reboot")
