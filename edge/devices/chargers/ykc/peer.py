"""One charge point number on one connection: what it was told, what it still owes an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from edge.devices.chargers.protocol import Logged, Received
from edge.devices.chargers.reports import FrameSent, Moment, WishSettled
from edge.devices.chargers.timing import Timing
from edge.devices.chargers.wishes import HeldTariff
from edge.devices.chargers.ykc.dialect import Dialect
from edge.devices.chargers.ykc.frames import Frame
from edge.devices.chargers.ykc.messages import Message, ReadRealtime
from shared.contracts.commands import ChargePointConfig
from shared.contracts.words import Outcome

Make = Callable[[Moment], Message]

NO_ANSWER: Final = "no_answer"
_WAITING_MAX: Final = 32
_KNOWN_TRANSACTIONS_MAX: Final = 256
_OPEN_REQUESTS_MAX: Final = 64


class Exchange:
    """One frame that awaits an answer; sent again, with a new sequence, while tries are left.

    Attributes:
        answer: frame type of the answer.
        connector_no: that the answer names, 0 where it names none.
        makes: the frames to send one after another; each is made at the moment of sending,
            because 0x56 carries the time.
        wish_no: whose outcome it is, 0 for nobody's.
        reason: why it failed, when nothing (more) comes.
        answers: what came so far, for the wish's answer.
        tariff: what a 0x58 brought.
    """

    __slots__ = (
        "answer",
        "answers",
        "connector_no",
        "deadline_s",
        "makes",
        "reason",
        "tariff",
        "tries",
        "tries_left",
        "wait_s",
        "wish_no",
    )

    def __init__(
        self,
        answer: int,
        *makes: Make,
        wait_s: float,
        tries: int,
        connector_no: int = 0,
        wish_no: int = 0,
        tariff: HeldTariff | None = None,
    ) -> None:
        self.answer = answer
        self.connector_no = connector_no
        self.makes = deque(makes)
        self.wait_s = wait_s
        self.tries = tries
        self.tries_left = tries
        self.wish_no = wish_no
        self.tariff = tariff
        self.deadline_s = 0.0
        self.reason = NO_ANSWER
        self.answers: list[Any] = []

    @property
    def key(self) -> tuple[int, int]:
        """What an answer is matched by: never by its sequence, which many do not copy."""
        return self.answer, self.connector_no

    def waited_s(self, now: Moment) -> float:
        """Return how long ago the present frame was sent first."""
        return now.mono_s - self.deadline_s + self.wait_s * (self.tries - self.tries_left)


class OpenRequest:
    """A 0x31 or 0xA1 that waits for the station's decision."""

    __slots__ = ("connector_no", "kind", "parallel_no", "sequence")

    def __init__(self, kind: int, sequence: bytes, connector_no: int, parallel_no: str) -> None:
        self.kind = kind
        self.sequence = sequence
        self.connector_no = connector_no
        self.parallel_no = parallel_no


class Peer:
    """State of one number that has logged in here. Pure; time comes with each call."""

    __slots__ = (
        "_known",
        "_sequence",
        "_waiting",
        "busy",
        "config",
        "confirmed_hash",
        "connector_count",
        "dialect",
        "heard_s",
        "link_id",
        "logged_in_s",
        "number",
        "offered_hash",
        "push_at_s",
        "replaying",
        "requests",
        "running",
        "silence_limit_s",
        "tariff",
        "tariff_refusals",
        "tariff_wish_no",
        "timing",
        "unsure",
    )

    def __init__(
        self,
        number: str,
        link_id: int,
        config: ChargePointConfig,
        dialect: Dialect,
        timing: Timing,
        connector_count: int,
        now: Moment,
    ) -> None:
        self.number = number
        self.link_id = link_id
        self.config = config
        self.dialect = dialect
        self.timing = timing
        self.connector_count = connector_count
        self.logged_in_s = self.heard_s = now.mono_s
        limit_s = max(config.silence_limit_s, timing.silence_min_s)
        self.silence_limit_s = min(limit_s, timing.silence_max_s)
        self.replaying = True  # until 0x09 or a heartbeat: stored 0x13 come behind 0x05
        self.unsure: set[int] = set()  # connectors whose 0x13 meanwhile said that they are free
        self.busy: dict[int, bool] = {}  # connector -> charging, as its last 0x13 said
        self.tariff: HeldTariff | None = None
        self.confirmed_hash = ""
        self.offered_hash = ""  # sent with 0x0A, to be confirmed by the next 0x05
        self.push_at_s: float | None = None  # from when 0x58 is due
        self.tariff_refusals = 0  # 0x57 that said no to the present tariff
        self.tariff_wish_no = 0
        self.requests: dict[int, OpenRequest] = {}
        self.running: dict[tuple[int, int], Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._known: dict[str, None] = {}
        self._sequence = 0

    # -- sending ---------------------------------------------------------------------------

    def write(self, out: Received, message: Message, sequence: bytes | None = None) -> bytes:
        """Add a frame for this number: an answer with its request's sequence, else with ours.

        Raises:
            ValueError: A field does not fit the wire; nothing was added.
        """
        body = message.build()
        if sequence is None:
            sequence = self._sequence.to_bytes(2, "little")
            self._sequence = (self._sequence + 1) & 0xFFFF
        raw = Frame(message.KIND, body, sequence, crc_order=self.dialect.crc_send).build()
        out.writes.append(raw)
        out.frames.append((self.number, Logged.OUT, raw))
        return raw

    def write_evidence(
        self,
        out: Received,
        message: Message,
        now: Moment,
        connector_no: int,
        transaction_no: str,
        sequence: bytes | None = None,
    ) -> None:
        """Add a frame of which a transaction keeps a copy.

        Raises:
            ValueError: A field does not fit the wire; nothing was added.
        """
        raw = self.write(out, message, sequence)
        out.reports.append(
            FrameSent(now, self.number, connector_no, transaction_no, message.KIND, raw)
        )

    def ask(self, out: Received, exchange: Exchange, now: Moment) -> None:
        """Send a frame and await its answer; behind another one that has the same answer.

        Raises:
            ValueError: The frame cannot be made.
        """
        if exchange.key not in self.running:
            self._send(out, exchange, now)
            self.running[exchange.key] = exchange
        elif len(self._waiting) < _WAITING_MAX:
            self._waiting.append(exchange)
        else:
            self.settle(out, exchange.wish_no, now, Outcome.REJECTED, "busy")

    def _send(self, out: Received, exchange: Exchange, now: Moment) -> None:
        self.write(out, exchange.makes[0](now))
        exchange.tries_left -= 1
        exchange.deadline_s = now.mono_s + exchange.wait_s

    # -- answers ---------------------------------------------------------------------------

    def awaited(self, answer: int, connector_no: int = 0) -> Exchange | None:
        """Return the exchange that this answer belongs to, if any is under way."""
        return self.running.get((answer, connector_no))

    def advance(self, out: Received, exchange: Exchange, now: Moment) -> bool:
        """Send the next of several frames; return False when there is none left."""
        exchange.makes.popleft()
        if not exchange.makes:
            return False
        exchange.tries_left = exchange.tries
        self._send(out, exchange, now)
        return True

    def finish(
        self,
        out: Received,
        exchange: Exchange,
        now: Moment,
        outcome: Outcome,
        reason: str = "",
        answer: bytes = b"",
    ) -> None:
        """End an exchange, tell who wished for it, and send what waited behind it."""
        if self.running.get(exchange.key) is exchange:
            del self.running[exchange.key]
        self.settle(out, exchange.wish_no, now, outcome, reason, answer)
        for waiting in self._waiting:
            if waiting.key == exchange.key:
                self._waiting.remove(waiting)
                try:
                    self.ask(out, waiting, now)
                except ValueError as error:
                    self.settle(out, waiting.wish_no, now, Outcome.REJECTED, str(error))
                return

    def settle(
        self,
        out: Received,
        wish_no: int,
        now: Moment,
        outcome: Outcome,
        reason: str = "",
        answer: bytes = b"",
    ) -> None:
        """Report how a wish ended, if anybody asked."""
        if wish_no:
            out.reports.append(WishSettled(now, self.number, wish_no, outcome, reason, answer))

    def overdue(self, out: Received, now: Moment) -> list[Exchange]:
        """Send again what got no answer; return what has used all its tries."""
        given_up = []
        for exchange in list(self.running.values()):
            if now.mono_s < exchange.deadline_s:
                continue
            if exchange.tries_left > 0:
                self._send(out, exchange, now)
            else:
                given_up.append(exchange)
        return given_up

    def abandon(self, out: Received, now: Moment, reason: str) -> None:
        """Settle everything under way: the link is gone."""
        for exchange in (*self.running.values(), *self._waiting):
            self.settle(out, exchange.wish_no, now, Outcome.FAILED, reason)
        self.settle(out, self.tariff_wish_no, now, Outcome.FAILED, reason)
        self.running.clear()
        self._waiting.clear()
        self.tariff_wish_no = 0

    # -- what it knows ---------------------------------------------------------------------

    def know_transaction(self, transaction_no: str) -> None:
        """Remember that this number was given to the charge point, so it is no replay."""
        if transaction_no:
            if len(self._known) >= _KNOWN_TRANSACTIONS_MAX:
                del self._known[next(iter(self._known))]
            self._known[transaction_no] = None

    def end_replay(self, out: Received) -> None:
        """Take a 0x13 as live from now on; ask for what decides only when it surely is."""
        self.replaying = False
        for connector_no in sorted(self.unsure):
            self.write(out, ReadRealtime(self.number, connector_no))
        self.unsure.clear()

    def knows_transaction(self, transaction_no: str) -> bool:
        """Return whether the charge point was told this number on this connection."""
        return transaction_no in self._known

    def keep_request(self, request_no: int, request: OpenRequest) -> None:
        """Keep a start request until it is answered; the oldest gives way."""
        if len(self.requests) >= _OPEN_REQUESTS_MAX:
            del self.requests[next(iter(self.requests))]
        self.requests[request_no] = request

    def is_idle(self, now: Moment) -> bool:
        """Return whether no connector charges; one that never reports counts as idle at last."""
        if any(self.busy.values()):
            return False
        patience_s = self.timing.answer_s * self.timing.tries
        return len(self.busy) >= self.connector_count or now.mono_s >= self.logged_in_s + patience_s
