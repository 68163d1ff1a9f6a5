"""The conversation on one YKC connection: bytes and moments in, reports and frames out.

A link may carry several numbers, each after a login of its own. Everything is keyed by the
number in the frame, never by the link alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

from edge.devices.chargers import wishes
from edge.devices.chargers.protocol import Logged, Received
from edge.devices.chargers.reports import (
    AnyReport,
    Complained,
    LinkLost,
    LoggedIn,
    LoginRequested,
    Moment,
    RecordReceived,
)
from edge.devices.chargers.timing import NORMAL, Timing
from edge.devices.chargers.ykc import messages, requests, tariffs, translate
from edge.devices.chargers.ykc.answers import ANSWERS
from edge.devices.chargers.ykc.dialect import DIALECTS
from edge.devices.chargers.ykc.evidence import redact
from edge.devices.chargers.ykc.fields import clean_text
from edge.devices.chargers.ykc.frames import Frame, FrameReader, Garbage
from edge.devices.chargers.ykc.peer import OpenRequest, Peer
from shared.contracts.words import Outcome
from shared.errors import MalformedMessageError

_LOGIN = 0x01
_RECORD = 0x3B
# In these the transaction number comes first.
_NUMBER_BEHIND_TRANSACTION = frozenset(
    {0x13, 0x15, 0x17, 0x19, 0x1B, 0x1D, 0x21, 0x23, 0x25, 0x33, 0x3B, 0xA3}
)
# Reports that take nothing but the frame.
_FACTS: dict[int, Callable[[Any, Moment], AnyReport]] = {
    0x15: translate.battery_identified,
    0x17: translate.battery_limits,
    0x19: translate.charging_stopped,
    0x1B: translate.charging_stopped,
    0x1D: translate.charging_stopped,
    0x21: translate.charging_stopped,
    0x23: translate.bms_demanded,
    0x25: translate.bms_sampled,
    0x61: translate.bay_lock_reported,
}
_NUMBER_SIZE = 7
_CONNECTORS_MAX: Final = 99
_NUMBERS_MAX: Final = 64
_PENDING_RECORDS_MAX: Final = 1000
_COMPLAINT_KINDS_MAX: Final = 64
_MINUTE_S: Final = 60.0


_Handler = Callable[[Any, Peer, Any, Frame, Received, Moment], None]


class _PendingLogin:
    """A 0x01 that waits for the station's decision."""

    __slots__ = ("frame", "message")

    def __init__(self, frame: Frame, message: messages.Login) -> None:
        self.frame = frame
        self.message = message


class YkcConnection:
    """Protocol state of one TCP connection. Pure: time comes with each call.

    Memory is bounded: one incomplete frame, 64 numbers, 1000 unconfirmed records.
    """

    def __init__(self, link_id: int, address: str, zone: ZoneInfo, timing: Timing = NORMAL) -> None:
        """Begin a conversation; `link_id` is unique in this process, `address` is the peer's."""
        self._link_id = link_id
        self._address = address
        self._zone = zone
        self._timing = timing
        self._reader = FrameReader()
        self._peers: dict[str, Peer] = {}
        self._logins: dict[str, _PendingLogin] = {}
        self._records: dict[int, tuple[str, str, bytes]] = {}
        self._last_no = link_id << 32  # so that no other link's token can be confirmed here
        self._opened_s: float | None = None
        self._bad: deque[float] = deque(maxlen=timing.bad_frames_per_min)
        self._complaints: dict[tuple[str, str], tuple[float, int]] = {}

    # -- protocol.Connection ---------------------------------------------------------------

    def receive(self, data: bytes, now: Moment) -> Received:
        """Take in bytes that arrived now; never raises on what a peer sent."""
        out = Received()
        if self._opened_s is None:
            self._opened_s = now.mono_s
        for item in self._reader.feed(data, now.mono_s):
            if type(item) is Frame:
                self._frame(item, now, out)
            elif isinstance(item, Garbage):
                self._garbage(item, now, out)
        return out

    def wish(self, wish: wishes.AnyWish, now: Moment) -> Received:
        """Carry out a wish for a number that has logged in here."""
        out = Received()
        if isinstance(wish, wishes.DecideLogin):
            self._decide_login(wish, now, out)
            return out
        peer = self._peers.get(wish.charge_point_no)
        if peer is None:
            return out
        try:
            requests.WISHES[type(wish)](peer, wish, out, now, self._zone)
        except ValueError as error:  # what was wished for does not fit the wire
            peer.settle(out, wish.wish_no, now, Outcome.REJECTED, str(error))
        return out

    def tick(self, now: Moment) -> Received:
        """Do what time demands: half a frame, silence, retries, a login that never comes."""
        out = Received()
        if self._opened_s is None:
            self._opened_s = now.mono_s
        if self._reader.pending:
            for item in self._reader.expire(now.mono_s):
                if isinstance(item, Frame):
                    self._frame(item, now, out)
                else:
                    self._garbage(item, now, out)
        for peer in list(self._peers.values()):
            if now.mono_s - peer.heard_s > peer.silence_limit_s:
                self._silent(peer, now, out)
                continue
            if peer.replaying and now.mono_s - peer.logged_in_s > peer.silence_limit_s:
                peer.end_replay(out)  # it sends no heartbeats; its state must not stay unseen
            for exchange in peer.overdue(out, now):
                peer.finish(out, exchange, now, Outcome.FAILED, exchange.reason)
                if exchange.tariff is not None:
                    tariffs.given_up(peer, exchange.tariff, exchange.reason, out, now)
            tariffs.push_if_due(peer, out, now)
        if (
            not self._peers
            and not out.close_reason
            and now.mono_s - self._opened_s >= self._timing.login_s
        ):
            out.close_reason = "no_login"
        return out

    def committed(self, token: int, now: Moment) -> Received:
        """Confirm the record that `token` named (0x40, result 0): it is durable now."""
        out = Received()
        pending = self._records.pop(token, None)
        if pending is not None:
            number, transaction_no, sequence = pending
            peer = self._peers.get(number)
            if peer is not None:
                confirm = messages.RecordConfirm(transaction_no, 0)
                peer.write_evidence(out, confirm, now, 0, transaction_no, sequence)
        return out

    def lost(self, reason: str, now: Moment) -> Received:
        """The peer is gone: report every number that was logged in here as lost."""
        out = Received()
        for login in self._logins.values():
            out.frames.append(("", Logged.IN, login.frame.raw))
        self._logins.clear()
        for peer in list(self._peers.values()):
            self._drop(peer, reason, now, out)
        return out

    def charge_point_nos(self) -> tuple[str, ...]:
        """Return the numbers that are logged in here."""
        return tuple(self._peers)

    # -- frames ----------------------------------------------------------------------------

    def _frame(self, frame: Frame, now: Moment, out: Received) -> None:
        kind = frame.kind
        at = 16 if kind in _NUMBER_BEHIND_TRANSACTION else 0
        number = frame.body[at : at + _NUMBER_SIZE].hex()
        peer = self._peers.get(number)
        if kind == _LOGIN and frame.encryption == 0:
            self._login(frame, now, out)
            return
        if peer is None:
            out.frames.append(("", Logged.IN, frame.raw))
            self._complain_of_stranger(frame, number, now, out)
            return
        out.frames.append((peer.number, Logged.IN, frame.raw))
        peer.heard_s = now.mono_s
        if frame.encryption:
            # Neither key nor mode is defined anywhere: nothing can be read, nothing is answered.
            self._complain(number, "encrypted", f"0x{kind:02X}", now, out)
            return
        handled = self._HANDLED.get(kind)
        if handled is None or kind in peer.dialect.foreign_kinds:
            self._complain(number, "unknown_kind", f"0x{kind:02X}", now, out)
            return
        try:
            message = handled[0].parse(frame.body, peer.dialect)
        except MalformedMessageError as error:
            code = "record_unreadable" if kind == _RECORD else "malformed"
            self._bad_frame(number, code, str(error), now, out)
            return
        handled[1](self, peer, message, frame, out, now)

    def _complain_of_stranger(self, frame: Frame, number: str, now: Moment, out: Received) -> None:
        if frame.encryption:
            self._complain("", "encrypted", f"0x{frame.kind:02X}", now, out)
        elif frame.kind == _RECORD and self._peers:
            # Several may share a link, and who of them sent it is not known: the first is named.
            holder = next(iter(self._peers))
            self._complain(holder, "record_foreign", f"names {number}", now, out)
        else:
            detail = f"0x{frame.kind:02X} for {number or 'nobody'}"
            self._complain("", "not_logged_in", detail, now, out)

    def _garbage(self, garbage: Garbage, now: Moment, out: Received) -> None:
        number = next(iter(self._peers)) if len(self._peers) == 1 else ""
        out.frames.append((number, Logged.GARBAGE, garbage.data))
        detail = f"{len(garbage.data)} bytes, {garbage.reason}"
        self._bad_frame(number, "garbage", detail, now, out)

    def _bad_frame(self, number: str, code: str, detail: str, now: Moment, out: Received) -> None:
        """Count a bad frame; too many within a minute end the link."""
        self._complain(number, code, detail, now, out)
        full = len(self._bad) == self._bad.maxlen
        if full and now.mono_s - self._bad[0] <= _MINUTE_S:
            out.close_reason = out.close_reason or "garbage"
            self._complain(number, "too_many_bad_frames", detail, now, out)
        self._bad.append(now.mono_s)

    def _complain(self, number: str, code: str, detail: str, now: Moment, out: Received) -> None:
        """Report the first complaint of its kind, then once a minute with how many there were."""
        key = (number, code)
        since_s, count = self._complaints.get(key, (float("-inf"), 0))
        if now.mono_s - since_s < _MINUTE_S:
            self._complaints[key] = (since_s, count + 1)
            return
        if key not in self._complaints and len(self._complaints) >= _COMPLAINT_KINDS_MAX:
            del self._complaints[next(iter(self._complaints))]
        self._complaints[key] = (now.mono_s, 0)
        if count:
            detail = f"{detail} ({count} more before)"
        out.reports.append(Complained(now, number, self._link_id, code, detail))

    # -- login and loss --------------------------------------------------------------------

    def _login(self, frame: Frame, now: Moment, out: Received) -> None:
        try:
            message = messages.Login.parse(frame.body)
        except MalformedMessageError as error:
            out.frames.append(("", Logged.IN, frame.raw))
            self._bad_frame("", "malformed", str(error), now, out)
            return
        number = message.charge_point_no
        if number in self._logins:
            # Asked again before it was answered: answer the latest, ask the station once.
            out.frames.append(("", Logged.IN, self._logins[number].frame.raw))
            self._logins[number] = _PendingLogin(frame, message)
            return
        if len(self._logins) + len(self._peers) >= _NUMBERS_MAX:
            out.frames.append(("", Logged.IN, frame.raw))
            self._complain("", "too_many_numbers", number, now, out)
            return
        self._logins[number] = _PendingLogin(frame, message)
        out.reports.append(
            LoginRequested(
                now,
                number,
                self._link_id,
                self._address,
                message.connector_count,
                message.charge_point_type == 0,
                _version(message.protocol_version),
                clean_text(message.program_version),
                message.sim_no,
                message.network_type,
                message.operator,
            )
        )

    def _decide_login(self, wish: wishes.DecideLogin, now: Moment, out: Received) -> None:
        login = self._logins.pop(wish.charge_point_no, None)
        if login is None:
            return
        number = wish.charge_point_no
        config = wish.config
        dialect = DIALECTS.get(config.dialect) if config is not None else None
        if not wish.accepted or config is None or dialect is None:
            out.frames.append(("", Logged.IN, login.frame.raw))
            answer = messages.LoginAnswer(number, 1)
            raw = Frame(answer.KIND, answer.build(), login.frame.sequence).build()
            out.writes.append(raw)
            out.frames.append(("", Logged.OUT, raw))
            if wish.accepted:
                name = config.dialect if config is not None else ""
                self._complain("", "unknown_dialect", f"{number}: {name!r}", now, out)
            if not self._peers:
                out.close_reason = "refused"
            return
        if earlier := self._peers.get(number):
            earlier.abandon(out, now, "logged_in_again")
        told = login.message.connector_count
        count = told if 1 <= told <= _CONNECTORS_MAX else config.connector_count
        # The registry's own word, which every table of the station is keyed by: found the quickest.
        peer = Peer(
            config.charge_point_no, self._link_id, config, dialect, self._timing, count, now
        )
        self._peers[number] = peer
        out.frames.append((number, Logged.IN, login.frame.raw))
        peer.write(out, messages.LoginAnswer(number, 0), login.frame.sequence)
        out.reports.append(
            LoggedIn(
                now,
                number,
                self._link_id,
                self._address,
                count,
                login.message.charge_point_type == 0,
                _version(login.message.protocol_version),
                clean_text(login.message.program_version),
            )
        )
        self._set_up(peer, wish, now, out)

    def _set_up(self, peer: Peer, wish: wishes.DecideLogin, now: Moment, out: Received) -> None:
        """Do the same after every login: time, tariff, QR code, and ask what runs."""
        for transaction_no in wish.open_transaction_nos:
            peer.know_transaction(transaction_no)
        tariffs.begin(peer, wish.tariff, wish.confirmed_hash, now)
        first: list[wishes.AnyWish] = []
        if wish.set_clock:
            first.append(wishes.SetClock(charge_point_no=peer.number))
        if peer.config.qr_prefix:
            prefix = peer.config.qr_prefix
            first.append(
                wishes.SetQrPrefix(charge_point_no=peer.number, prefix=prefix, with_connector=True)
            )
        first += [
            wishes.ReadNow(charge_point_no=peer.number, connector_no=connector_no)
            for connector_no in range(1, peer.connector_count + 1)
        ]
        for each in first:
            try:
                requests.WISHES[type(each)](peer, each, out, now, self._zone)
            except ValueError as error:
                self._complain(peer.number, "set_up", str(error), now, out)

    def _silent(self, peer: Peer, now: Moment, out: Received) -> None:
        """Give up a silent number; the link with it, unless others live on it."""
        if len(self._peers) == 1:
            out.close_reason = "silent"
        else:
            self._drop(peer, "silent", now, out)

    def _drop(self, peer: Peer, reason: str, now: Moment, out: Received) -> None:
        peer.abandon(out, now, "link_lost")
        del self._peers[peer.number]
        out.reports.append(LinkLost(now, peer.number, self._link_id, reason))

    # -- what a charge point says of itself ------------------------------------------------

    def _heartbeat(
        self, peer: Peer, message: messages.Heartbeat, frame: Frame, out: Received, now: Moment
    ) -> None:
        del now
        answer = messages.HeartbeatAnswer(peer.number, message.connector_no)
        peer.write(out, answer, frame.sequence)
        if peer.replaying:
            peer.end_replay(out)

    def _tariff_check(
        self, peer: Peer, message: messages.TariffCheck, frame: Frame, out: Received, now: Moment
    ) -> None:
        tariffs.checked(peer, message, frame.sequence, out, now)

    def _tariff_request(
        self, peer: Peer, message: messages.TariffRequest, frame: Frame, out: Received, now: Moment
    ) -> None:
        del message
        try:
            tariffs.requested(peer, frame.sequence, out, now)
        except ValueError as error:
            self._complain(peer.number, "tariff", str(error), now, out)

    def _realtime(
        self, peer: Peer, message: messages.Realtime, frame: Frame, out: Received, now: Moment
    ) -> None:
        del frame
        may_be_stored = peer.replaying
        replayed = may_be_stored and (
            message.transaction_no != translate.NO_TRANSACTION
            and not peer.knows_transaction(message.transaction_no)
        )
        if not 1 <= message.connector_no <= _CONNECTORS_MAX:
            self._bad_connector(peer, message, now, out)
            return
        report = translate.connector_sampled(
            message, now, peer.number, peer.dialect, replayed=replayed, dated=not may_be_stored
        )
        out.reports.append(report)
        if replayed:
            return
        if may_be_stored and not report.plugged_in:
            peer.unsure.add(message.connector_no)
        busy = message.status == 3 or report.transaction_no != ""
        peer.busy[message.connector_no] = busy
        if peer.push_at_s is not None and not busy:
            tariffs.push_if_due(peer, out, now)
        if peer.running and (exchange := peer.awaited(0x13, message.connector_no)):
            peer.finish(out, exchange, now, Outcome.DONE)

    def _bad_connector(self, peer: Peer, message: Any, now: Moment, out: Received) -> None:
        """A connector that cannot be: a bad frame."""
        detail = f"0x{message.KIND:02X}: connector {message.connector_no}"
        self._bad_frame(peer.number, "connector_no", detail, now, out)

    def _fact(self, peer: Peer, message: Any, frame: Frame, out: Received, now: Moment) -> None:
        if not 1 <= message.connector_no <= _CONNECTORS_MAX:
            self._bad_connector(peer, message, now, out)
            return
        out.reports.append(_FACTS[frame.kind](message, now))

    def _start_request(
        self,
        peer: Peer,
        message: messages.StartRequest | messages.ParallelStartRequest,
        frame: Frame,
        out: Received,
        now: Moment,
    ) -> None:
        if not 1 <= message.connector_no <= _CONNECTORS_MAX:
            self._bad_connector(peer, message, now, out)
            return
        request_no = self._next_no()
        # HQ is shown the frame as proof, and nobody the password in it.
        raw = redact(frame.raw) or frame.raw
        report = translate.start_requested(message, now, request_no, raw)
        request = OpenRequest(frame.kind, frame.sequence, message.connector_no, report.parallel_no)
        peer.keep_request(request_no, request)
        out.reports.append(report)

    def _record(
        self,
        peer: Peer,
        message: messages.TransactionRecord,
        frame: Frame,
        out: Received,
        now: Moment,
    ) -> None:
        # Whatever connector it names: it is money, and known by its number.
        record, suspect = translate.record(message, self._zone, now)
        token = self._next_no()
        if len(self._records) >= _PENDING_RECORDS_MAX:
            # The charge point sends it again, as it does whenever no 0x40 comes.
            del self._records[next(iter(self._records))]
        self._records[token] = (peer.number, message.transaction_no, frame.sequence)
        out.reports.append(RecordReceived(now, peer.number, record, frame.raw, token, suspect))

    def _answer(
        self, peer: Peer, message: messages.Message, frame: Frame, out: Received, now: Moment
    ) -> None:
        ANSWERS[frame.kind](peer, message, frame, out, now, self._zone)

    def _next_no(self) -> int:
        self._last_no += 1
        return self._last_no

    _HANDLERS: ClassVar[dict[int, _Handler]] = {
        0x03: _heartbeat,
        0x05: _tariff_check,
        0x09: _tariff_request,
        0x13: _realtime,
        0x31: _start_request,
        0xA1: _start_request,
        0x3B: _record,
        **dict.fromkeys(_FACTS, _fact),
        **dict.fromkeys(ANSWERS, _answer),
    }
    _HANDLED: ClassVar[dict[int, tuple[type[messages.Message], _Handler]]] = {
        kind: (messages.MESSAGES[kind], handle) for kind, handle in _HANDLERS.items()
    }


def _version(raw: int) -> str:
    """Return a protocol version, which the wire carries ten times as large."""
    return f"{raw // 10}.{raw % 10}"
