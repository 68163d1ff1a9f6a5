"""Starts: by card, account or VIN at the charge point, remotely, offline, and in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

from edge.devices.chargers.ykc.messages import (
    Message,
    ParallelRemoteStart,
    ParallelRemoteStartAnswer,
    ParallelStartRequest,
    ParallelStartRequestAnswer,
    RemoteStart,
    RemoteStartAnswer,
    StartRequest,
    StartRequestAnswer,
)
from ops.sim import wire
from ops.sim.connector import APP, CARD, OFFLINE_CARD, STOPPED_BY_HAND, VIN, Limits
from shared.clock import from_ms

if TYPE_CHECKING:
    from ops.sim.machine import Machine

BY_CARD, BY_ACCOUNT, BY_VIN = 1, 2, 3  # start modes of 0x31
_RECORD_MODE = {BY_CARD: CARD, BY_ACCOUNT: APP, BY_VIN: VIN}
_WRONG_NUMBER, _ALREADY_CHARGING, _DEVICE_FAULT, _NOT_PLUGGED = 1, 2, 3, 5  # 0x33


@dataclass(slots=True, kw_only=True)
class Request:
    """A 0x31 or 0xA1 that waits for its answer."""

    mode: int
    card: str
    limits: Limits
    parallel_no: str = ""
    answers: dict[int, ParallelStartRequestAnswer] = field(default_factory=dict)
    connectors: tuple[int, ...] = ()


class Starts:
    """Who may start what, and what still waits for an answer or a plug."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._requests: dict[int, Request] = {}
        self._unplugged: dict[int, RemoteStart] = {}
        self._parallel_main: dict[str, int] = {}

    def handlers(self) -> dict[type[Message], Callable[[Any, bytes], None]]:
        """Return who handles which frame."""
        return {
            StartRequestAnswer: self._on_answer,
            RemoteStart: self._on_remote_start,
            ParallelStartRequestAnswer: self._on_parallel_answer,
            ParallelRemoteStart: self._on_parallel_remote_start,
        }

    def link_lost(self) -> None:
        """Forget what waits for the platform."""
        self._requests.clear()
        self._machine.timers.cancel_all("answer:")

    # At the charge point

    def request(
        self, number: int, mode: int, card: str, password: str = "", limits: Limits | None = None
    ) -> None:
        """Ask for a start by card, account or VIN; a card that charges here stops instead."""
        machine = self._machine
        connector = machine.connectors[number]
        charge = connector.charge
        if charge is not None:
            if mode == BY_CARD and charge.physical_card == card:
                machine.charges.stop(number, STOPPED_BY_HAND)
            else:
                self._refuse(number, "already charging")
            return
        if (obstacle := self._obstacle(number)) or connector.car is None:
            self._refuse(number, obstacle)
            return
        if not machine.session.logged_in:
            self._start_offline(number, mode, card, limits or Limits())
            return
        self._requests[number] = Request(mode=mode, card=card, limits=limits or Limits())
        machine.send(
            StartRequest(
                charge_point_no=machine.no,
                connector_no=number,
                start_mode=mode,
                password_needed=int(bool(password)),
                physical_card=wire.NO_CARD if mode == BY_VIN else card,
                password=_middle_md5(password) if password else "",
                vin=connector.car.vin if mode == BY_VIN else "",
            )
        )
        machine.emit("start_requested", connector_no=number, mode=mode)
        self._await_answer(number)

    def _await_answer(self, number: int) -> None:
        machine = self._machine

        def give_up() -> None:
            if self._requests.pop(number, None) is not None:
                self._refuse(number, "no answer")

        machine.timers.set(f"answer:{number}", machine.timing.start_answer_s, give_up)

    def _refuse(self, number: int, why: str, reason: int = -1) -> None:
        self._machine.emit("start_refused", connector_no=number, why=why, reason=reason)

    def _obstacle(self, number: int) -> str:
        """Return why nothing can start at a connector, "" if it can."""
        machine = self._machine
        if machine.session.model is None:
            return "no tariff"
        if machine.device.locked:
            return "out of service"
        if machine.faults.fault_bits or machine.connectors[number].isolated:
            return "fault"
        return "" if machine.connectors[number].car is not None else "not plugged in"

    def _start(
        self,
        number: int,
        transaction_no: str,
        start_mode: int,
        card: str,
        balance_fen: int | None,
        limits: Limits | None = None,
        parallel_no: str = "",
    ) -> None:
        machine = self._machine
        connector, model = machine.connectors[number], machine.session.model
        if connector.car is None or model is None or connector.charge is not None:
            self._refuse(number, "not startable any more")
            return
        machine.charges.start(
            connector,
            connector.car,
            model,
            transaction_no=transaction_no,
            start_mode=start_mode,
            physical_card=card,
            balance_fen=balance_fen,
            limits=limits,
            parallel_no=parallel_no,
        )

    def _start_offline(self, number: int, mode: int, card: str, limits: Limits) -> None:
        machine = self._machine
        if mode != BY_CARD or card not in machine.book.device(machine.no).offline_cards:
            self._refuse(number, "offline and not listed")
            return
        local = from_ms(machine.device_ms()).astimezone(machine.zone)
        counter = machine.book.contents.starts % 10_000
        made_at = f"{local.year % 100:02d}{local:%m%d%H%M%S}"
        transaction_no = f"{machine.no}{number:02d}{made_at}{counter:04d}"
        self._start(number, transaction_no, OFFLINE_CARD, card, None, limits)

    def _on_answer(self, answer: StartRequestAnswer, _sequence: bytes) -> None:
        number = answer.connector_no
        request = self._requests.get(number)
        if request is None or answer.charge_point_no != self._machine.no or request.parallel_no:
            self._machine.emit("unexpected_answer", transaction_no=answer.transaction_no)
            return
        del self._requests[number]
        self._machine.timers.cancel(f"answer:{number}")
        if answer.authorized != 1:
            self._refuse(number, "refused", answer.reason)
            return
        mode = _RECORD_MODE[request.mode]
        card = "" if request.mode == BY_VIN else request.card
        self._start(number, answer.transaction_no, mode, card, answer.balance_fen, request.limits)

    # Remotely

    def _on_remote_start(self, message: RemoteStart, sequence: bytes) -> None:
        machine, number = self._machine, message.connector_no
        reason = self._remote_reason(message.charge_point_no, number, message.transaction_no)
        if reason is None:  # the same start again: it runs already
            self._answer_remote(message, 0, sequence)
            return
        machine.emit(
            "remote_start",
            connector_no=number if number in machine.connectors else 0,
            transaction_no=message.transaction_no,
            reason=reason,
        )
        self._answer_remote(message, reason, sequence)
        if reason == _NOT_PLUGGED:
            self._unplugged[number] = message
            machine.timers.set(
                f"plug:{number}",
                machine.timing.plug_wait_s,
                lambda: self._forget_unplugged(number),
            )
        elif reason == 0:
            self._start_remotely(message)

    def _forget_unplugged(self, number: int) -> None:
        self._unplugged.pop(number, None)

    def _remote_reason(self, no: str, number: int, transaction_no: str) -> int | None:
        machine = self._machine
        connector = machine.connectors.get(number)
        if no != machine.no or connector is None:
            return _WRONG_NUMBER
        if connector.charge is not None:
            same = connector.charge.transaction_no == transaction_no
            return None if same else _ALREADY_CHARGING
        obstacle = self._obstacle(number)
        if obstacle == "not plugged in":
            return _NOT_PLUGGED
        return _DEVICE_FAULT if obstacle else 0

    def _answer_remote(self, message: RemoteStart, reason: int, sequence: bytes | None) -> None:
        self._machine.send(
            RemoteStartAnswer(
                transaction_no=message.transaction_no,
                charge_point_no=self._machine.no,
                connector_no=message.connector_no,
                result=int(reason == 0),
                reason=reason,
            ),
            sequence,
        )

    def _start_remotely(self, message: RemoteStart) -> None:
        card = "" if message.physical_card == wire.NO_CARD else message.physical_card
        self._start(message.connector_no, message.transaction_no, APP, card, message.balance_fen)

    def plugged_in(self, number: int) -> None:
        """A plug came: a remote start may have waited for it."""
        message = self._unplugged.pop(number, None)
        self._machine.timers.cancel(f"plug:{number}")
        if message is None or self._obstacle(number) or not self._machine.session.logged_in:
            return
        self._answer_remote(message, 0, None)
        self._start_remotely(message)

    # In parallel

    def request_parallel(self, numbers: Sequence[int], card: str) -> None:
        """Ask for one charge over several connectors; it starts only when all are allowed."""
        machine = self._machine
        for number in numbers:
            if obstacle := self._obstacle(number):
                self._refuse(number, obstacle)
                return
        local = from_ms(machine.device_ms()).astimezone(machine.zone)
        parallel_no = f"{local.year % 100:02d}{local:%m%d%H%M%S}"
        request = Request(
            mode=BY_CARD,
            card=card,
            limits=Limits(),
            parallel_no=parallel_no,
            connectors=tuple(numbers),
        )
        for role, number in enumerate(numbers):
            self._requests[number] = request
            machine.send(
                ParallelStartRequest(
                    charge_point_no=machine.no,
                    connector_no=number,
                    start_mode=BY_CARD,
                    password_needed=0,
                    physical_card=card,
                    password="",
                    vin="",
                    role=min(role, 1),
                    parallel_no=parallel_no,
                )
            )
            self._await_answer(number)

    def _on_parallel_answer(self, answer: ParallelStartRequestAnswer, _sequence: bytes) -> None:
        machine, number = self._machine, answer.connector_no
        request = self._requests.get(number)
        if request is None or request.parallel_no != answer.parallel_no:
            machine.emit("unexpected_answer", transaction_no=answer.transaction_no)
            return
        machine.timers.cancel(f"answer:{number}")
        if answer.authorized != 1:
            for other in request.connectors:
                self._requests.pop(other, None)
                machine.timers.cancel(f"answer:{other}")
                self._refuse(other, "refused", answer.reason)
            return
        request.answers[number] = answer
        if len(request.answers) < len(request.connectors):
            return
        for other, allowed in request.answers.items():
            self._requests.pop(other, None)
            self._start(
                other,
                allowed.transaction_no,
                CARD,
                request.card,
                allowed.balance_fen,
                parallel_no=request.parallel_no,
            )

    def _on_parallel_remote_start(self, message: ParallelRemoteStart, sequence: bytes) -> None:
        machine, number = self._machine, message.connector_no
        found = self._remote_reason(message.charge_point_no, number, message.transaction_no)
        reason = found or 0
        main = self._parallel_main.setdefault(message.parallel_no, number)
        machine.send(
            ParallelRemoteStartAnswer(
                transaction_no=message.transaction_no,
                charge_point_no=machine.no,
                connector_no=number,
                result=int(reason == 0),
                reason=reason,
                role=int(number != main),
                parallel_no=message.parallel_no,
            ),
            sequence,
        )
        if found != 0:
            return
        card = "" if message.physical_card == wire.NO_CARD else message.physical_card
        self._start(
            number,
            message.transaction_no,
            APP,
            card,
            message.balance_fen,
            parallel_no=message.parallel_no,
        )


def _middle_md5(password: str) -> str:
    """Return the 16 hex characters that 16位MD5 means, in lower case."""
    return md5(password.encode(), usedforsecurity=False).hexdigest()[8:24]
