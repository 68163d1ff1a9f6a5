"""Answers of a charge point to what the station sent: each ends an exchange or one step of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import msgspec

from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import ClockRead, Moment, StartAnswered, StopAnswered
from edge.devices.chargers.ykc import codes, messages, tariffs, translate
from edge.devices.chargers.ykc.frames import Frame
from edge.devices.chargers.ykc.peer import Exchange, Peer
from shared.contracts.words import Outcome

Answer = Any  # one of the messages below; each function names its own


def start_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x33 or 0xA3. *Not plugged in* may be followed by a success within the start's wait."""
    del zone
    answered: messages.RemoteStartAnswer | messages.ParallelRemoteStartAnswer = message
    number = translate.transaction_no(answered.transaction_no)
    started = answered.result == 1
    out.reports.append(
        StartAnswered(
            now, peer.number, answered.connector_no, number, started, answered.reason, frame.raw
        )
    )
    exchange = peer.awaited(frame.kind, answered.connector_no)
    if exchange is None or not _is_for(exchange, number, now):
        return
    if started:
        peer.finish(out, exchange, now, Outcome.DONE)
    elif answered.reason == codes.NOT_PLUGGED_IN:
        exchange.reason = "not_plugged_in"
    else:
        reason = codes.REMOTE_START_FAILURES.get(answered.reason) or codes.unknown_text(
            answered.reason
        )
        peer.finish(out, exchange, now, Outcome.FAILED, reason.en)


def _is_for(exchange: Exchange, transaction_no: str, now: Moment) -> bool:
    """Return whether an answer names the transaction that was asked for (zeros: some send none)."""
    asked = getattr(exchange.makes[0](now), "transaction_no", "")
    return transaction_no in ("", asked)


def stop_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x35."""
    del zone
    answered: messages.RemoteStopAnswer = message
    stopped = answered.result == 1
    out.reports.append(
        StopAnswered(now, peer.number, answered.connector_no, stopped, answered.reason)
    )
    if exchange := peer.awaited(frame.kind, answered.connector_no):
        text = codes.REMOTE_STOP_FAILURES.get(answered.reason) or codes.unknown_text(
            answered.reason
        )
        _finish(peer, exchange, stopped, text.en, out, now)


def clock_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x55."""
    answered: messages.TimeSyncAnswer = message
    offset_ms = translate.clock_offset_ms(answered.current_time, zone, now)
    exchange = peer.awaited(frame.kind)
    if exchange is not None and offset_ms is not None and offset_ms < 0:
        # It was read before its answer came, and is behind by what that does not explain.
        offset_ms = min(offset_ms + int(exchange.waited_s(now) * 1000), 0)
    out.reports.append(ClockRead(now, peer.number, offset_ms))
    if exchange is not None:
        peer.finish(out, exchange, now, Outcome.DONE)


def tariff_set_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x57."""
    del frame, zone
    tariffs.answered(peer, message, out, now)


def balance_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x41: 0 is success."""
    del zone
    answered: messages.BalanceUpdateAnswer = message
    if exchange := peer.awaited(frame.kind):
        text = codes.BALANCE_UPDATE_RESULTS.get(answered.result) or codes.unknown_text(
            answered.result
        )
        _finish(peer, exchange, answered.result == 0, text.en, out, now)


def cards_stored(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x43: on to the next frame of cards, or the end."""
    del zone
    answered: messages.OfflineCardsSyncAnswer = message
    exchange = peer.awaited(frame.kind)
    if exchange is None:
        return
    if answered.result != 1:
        text = codes.CARD_SYNC_FAILURES.get(answered.reason) or codes.unknown_text(answered.reason)
        peer.finish(out, exchange, now, Outcome.FAILED, text.en)
    elif not peer.advance(out, exchange, now):
        peer.finish(out, exchange, now, Outcome.DONE)


def cards_listed(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x45 or 0x47: results card by card; the whole list answers the wish."""
    del zone
    answered: messages.OfflineCardsClearAnswer | messages.OfflineCardsQueryAnswer = message
    exchange = peer.awaited(frame.kind)
    if exchange is None:
        return
    for card in answered.cards:
        exchange.answers.append(card._asdict())
    if not peer.advance(out, exchange, now):
        answer = msgspec.json.encode(exchange.answers)
        peer.finish(out, exchange, now, Outcome.DONE, answer=answer)


def one_is_success(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x51, 0x91."""
    del zone
    if exchange := peer.awaited(frame.kind):
        _finish(peer, exchange, message.result == 1, "refused", out, now)


def bay_lock_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x63."""
    del zone
    answered: messages.BayLockAnswer = message
    if exchange := peer.awaited(frame.kind, answered.connector_no):
        _finish(peer, exchange, answered.result == 1, "refused", out, now)


def update_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x93: 0 is success; some send it before the download, so it only means *accepted*."""
    del zone
    answered: messages.UpdateAnswer = message
    exchange = peer.awaited(frame.kind)
    if exchange is None:
        return
    if answered.result == 0:
        peer.finish(out, exchange, now, Outcome.ACCEPTED)
    else:
        text = codes.UPDATE_RESULTS.get(answered.result) or codes.unknown_text(answered.result)
        peer.finish(out, exchange, now, Outcome.FAILED, text.en)


def qr_answered(
    peer: Peer, message: Answer, frame: Frame, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0xF1: which value means success depends on the vendor."""
    del zone
    if exchange := peer.awaited(frame.kind):
        success = message.result == peer.dialect.qr_success
        _finish(peer, exchange, success, "refused", out, now)


def _finish(
    peer: Peer, exchange: Exchange, success: bool, reason: str, out: Received, now: Moment
) -> None:
    if success:
        peer.finish(out, exchange, now, Outcome.DONE)
    else:
        peer.finish(out, exchange, now, Outcome.FAILED, reason)


AnswerHandler = Callable[[Peer, Any, Frame, Received, Moment, tzinfo], None]

ANSWERS: dict[int, AnswerHandler] = {
    0x33: start_answered,
    0xA3: start_answered,
    0x35: stop_answered,
    0x41: balance_answered,
    0x43: cards_stored,
    0x45: cards_listed,
    0x47: cards_listed,
    0x51: one_is_success,
    0x55: clock_answered,
    0x57: tariff_set_answered,
    0x63: bay_lock_answered,
    0x91: one_is_success,
    0x93: update_answered,
    0xF1: qr_answered,
}
