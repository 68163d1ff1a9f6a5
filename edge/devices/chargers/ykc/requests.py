"""The station's wishes as YKC frames. One function a wish; `WISHES` is the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Any, Final

from edge.devices.chargers import wishes
from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import FrameSent, Moment
from edge.devices.chargers.ykc import messages, tariffs, translate
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.peer import Exchange, Make, Peer
from shared.clock import from_ms
from shared.contracts.words import Outcome

CARDS_STORED_MAX: Final = 11  # more would pass the document's 200 bytes
CARDS_LISTED_MAX: Final = 23
_RAISE, _LOWER = 0x55, 0xFF
_AT_ONCE, _WHEN_IDLE = 1, 2
_DC, _AC = 1, 2
_UPDATE_SLACK_S = 60.0
_FEN_MAX = 0xFFFFFFFF


def _fen(balance_fen: int) -> int:
    """Return a balance that fits the wire; less than nothing is nothing."""
    return max(0, min(balance_fen, _FEN_MAX))


def answer_start(
    peer: Peer, wish: wishes.AnswerStart, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x32 or 0xA2, whichever answers what was asked."""
    del zone
    request = peer.requests.get(wish.request_no)
    if request is None:
        peer.settle(out, wish.wish_no, now, Outcome.REJECTED, "unknown_request")
        return
    common = (
        wish.transaction_no or translate.NO_TRANSACTION,
        peer.number,
        request.connector_no,
        wish.logical_card_no or translate.NO_CARD,
        _fen(wish.balance_fen),
        int(wish.accepted),
        0 if wish.accepted else translate.REFUSAL_CODES[wish.reason],
    )
    answer: messages.Message
    if request.kind == messages.ParallelStartRequest.KIND:
        answer = messages.ParallelStartRequestAnswer(*common, request.parallel_no)
    else:
        answer = messages.StartRequestAnswer(*common)
    peer.write_evidence(
        out, answer, now, request.connector_no, wish.transaction_no, request.sequence
    )
    del peer.requests[wish.request_no]
    if wish.accepted:
        peer.know_transaction(wish.transaction_no)
    peer.settle(out, wish.wish_no, now, Outcome.DONE)


def start_remotely(
    peer: Peer, wish: wishes.StartRemotely, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x34 or 0xA4, once: a repeated start could start twice."""
    del zone
    common = (
        wish.transaction_no,
        peer.number,
        wish.connector_no,
        wish.logical_card_no or translate.NO_CARD,
        wish.physical_card_no or translate.NO_CARD,
        _fen(wish.balance_fen),
    )
    answer: int
    message: messages.Message
    if wish.parallel_no:
        answer = messages.ParallelRemoteStartAnswer.KIND
        message = messages.ParallelRemoteStart(*common, wish.parallel_no)
    else:
        answer = messages.RemoteStartAnswer.KIND
        message = messages.RemoteStart(*common)
    exchange = Exchange(
        answer,
        lambda _: message,
        wait_s=peer.timing.start_wait_s,
        tries=1,
        connector_no=wish.connector_no,
        wish_no=wish.wish_no,
    )
    if peer.awaited(answer, wish.connector_no):
        # A start that waits behind another may run when nobody wants it any more.
        peer.settle(out, wish.wish_no, now, Outcome.REJECTED, "busy")
        return
    peer.ask(out, exchange, now)
    raw = out.writes[-1]
    out.reports.append(
        FrameSent(now, peer.number, wish.connector_no, wish.transaction_no, message.KIND, raw)
    )
    peer.know_transaction(wish.transaction_no)


def stop_remotely(
    peer: Peer, wish: wishes.StopRemotely, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x36: always written at once; whoever repeats it decides when."""
    del zone
    stop = messages.RemoteStop(peer.number, wish.connector_no)
    peer.write_evidence(out, stop, now, wish.connector_no, "")
    if not wish.wish_no:
        return
    answer = messages.RemoteStopAnswer.KIND
    if earlier := peer.awaited(answer, wish.connector_no):
        peer.settle(out, earlier.wish_no, now, Outcome.FAILED, "superseded")
    exchange = Exchange(
        answer,
        wait_s=peer.timing.answer_s,
        tries=0,
        connector_no=wish.connector_no,
        wish_no=wish.wish_no,
    )
    exchange.deadline_s = now.mono_s + exchange.wait_s
    peer.running[exchange.key] = exchange


def read_now(peer: Peer, wish: wishes.ReadNow, out: Received, now: Moment, zone: tzinfo) -> None:
    """0x12; with a wish number it is repeated until a 0x13 comes."""
    del zone
    message = messages.ReadRealtime(peer.number, wish.connector_no)
    if wish.wish_no:
        _ask(peer, messages.Realtime.KIND, [message], wish.wish_no, out, now, wish.connector_no)
    else:
        peer.write(out, message)


def hold_tariff(
    peer: Peer, wish: wishes.HoldTariff, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x58 as soon as the charge point is idle."""
    del zone
    tariffs.hold(peer, wish.tariff, wish.wish_no, out, now)


def set_clock(peer: Peer, wish: wishes.SetClock, out: Received, now: Moment, zone: tzinfo) -> None:
    """0x56 with the local time at the moment of each try."""
    number = peer.number

    def make(at: Moment) -> messages.Message:
        return messages.TimeSync(number, Cp56Time.from_utc(from_ms(at.wall_ms), zone))

    exchange = Exchange(
        messages.TimeSyncAnswer.KIND,
        make,
        wait_s=peer.timing.answer_s,
        tries=peer.timing.tries,
        wish_no=wish.wish_no,
    )
    peer.ask(out, exchange, now)


def set_balance(
    peer: Peer, wish: wishes.SetBalance, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x42; zeros as card: whoever charges there."""
    del zone
    card = wish.physical_card_no or translate.NO_CARD
    message = messages.BalanceUpdate(peer.number, wish.connector_no, card, _fen(wish.balance_fen))
    _ask(peer, messages.BalanceUpdateAnswer.KIND, [message], wish.wish_no, out, now)


def store_offline_cards(
    peer: Peer, wish: wishes.StoreOfflineCards, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x44, as many frames as it takes."""
    del zone
    cards = [
        messages.OfflineCard(card.logical_card_no, card.physical_card_no) for card in wish.cards
    ]
    frames = [
        messages.OfflineCardsSync(peer.number, tuple(part))
        for part in _parts(cards, CARDS_STORED_MAX)
    ]
    _ask(peer, messages.OfflineCardsSyncAnswer.KIND, frames, wish.wish_no, out, now)


def clear_offline_cards(
    peer: Peer, wish: wishes.ClearOfflineCards, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x46, as many frames as it takes."""
    del zone
    frames = [
        messages.OfflineCardsClear(peer.number, tuple(part))
        for part in _parts(wish.physical_card_nos, CARDS_LISTED_MAX)
    ]
    _ask(peer, messages.OfflineCardsClearAnswer.KIND, frames, wish.wish_no, out, now)


def query_offline_cards(
    peer: Peer, wish: wishes.QueryOfflineCards, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x48, as many frames as it takes."""
    del zone
    frames = [
        messages.OfflineCardsQuery(peer.number, tuple(part))
        for part in _parts(wish.physical_card_nos, CARDS_LISTED_MAX)
    ]
    _ask(peer, messages.OfflineCardsQueryAnswer.KIND, frames, wish.wish_no, out, now)


def set_work_parameters(
    peer: Peer, wish: wishes.SetWorkParameters, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x52."""
    del zone
    message = messages.WorkParameters(
        peer.number, 0 if wish.in_service else 1, wish.power_max_percent
    )
    _ask(peer, messages.WorkParametersAnswer.KIND, [message], wish.wish_no, out, now)


def set_qr_prefix(
    peer: Peer, wish: wishes.SetQrPrefix, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0xF0."""
    del zone
    message = messages.QrPrefix(peer.number, int(wish.with_connector), wish.prefix)
    _ask(peer, messages.QrPrefixAnswer.KIND, [message], wish.wish_no, out, now)


def reboot(peer: Peer, wish: wishes.Reboot, out: Received, now: Moment, zone: tzinfo) -> None:
    """0x92."""
    del zone
    message = messages.Reboot(peer.number, _AT_ONCE if wish.at_once else _WHEN_IDLE)
    _ask(peer, messages.RebootAnswer.KIND, [message], wish.wish_no, out, now)


def update(peer: Peer, wish: wishes.Update, out: Received, now: Moment, zone: tzinfo) -> None:
    """0x94, once; the answer may come only after the download."""
    del zone
    message = messages.Update(
        peer.number,
        _DC if wish.is_dc else _AC,
        wish.power_kw,
        wish.host,
        wish.port,
        wish.user,
        wish.password,
        wish.path,
        _AT_ONCE if wish.at_once else _WHEN_IDLE,
        wish.timeout_min,
    )
    exchange = Exchange(
        messages.UpdateAnswer.KIND,
        lambda _: message,
        wait_s=wish.timeout_min * 60 + _UPDATE_SLACK_S,
        tries=1,
        wish_no=wish.wish_no,
    )
    peer.ask(out, exchange, now)


def set_bay_lock(
    peer: Peer, wish: wishes.SetBayLock, out: Received, now: Moment, zone: tzinfo
) -> None:
    """0x62."""
    del zone
    message = messages.BayLockCommand(
        peer.number, wish.connector_no, _RAISE if wish.raised else _LOWER
    )
    kind = messages.BayLockAnswer.KIND
    _ask(peer, kind, [message], wish.wish_no, out, now, wish.connector_no)


def close_link(
    peer: Peer, wish: wishes.CloseLink, out: Received, now: Moment, zone: tzinfo
) -> None:
    """No frame: the charge point comes back and logs in again."""
    del zone
    out.close_reason = wish.reason or "closed"
    peer.settle(out, wish.wish_no, now, Outcome.DONE)


def _ask(
    peer: Peer,
    answer: int,
    frames: Sequence[messages.Message],
    wish_no: int,
    out: Received,
    now: Moment,
    connector_no: int = 0,
) -> None:
    """Send frames one after another, each repeated until it is answered."""
    if not frames:
        peer.settle(out, wish_no, now, Outcome.DONE)
        return
    exchange = Exchange(
        answer,
        *map(_constant, frames),
        wait_s=peer.timing.answer_s,
        tries=peer.timing.tries,
        connector_no=connector_no,
        wish_no=wish_no,
    )
    peer.ask(out, exchange, now)


def _constant(message: messages.Message) -> Make:
    message.build()  # a field that does not fit shows now, not in the middle of the exchange
    return lambda _: message


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[at : at + size] for at in range(0, len(items), size)]


WishHandler = Callable[[Peer, Any, Received, Moment, tzinfo], None]

WISHES: dict[type[wishes.Wish], WishHandler] = {
    wishes.AnswerStart: answer_start,
    wishes.StartRemotely: start_remotely,
    wishes.StopRemotely: stop_remotely,
    wishes.ReadNow: read_now,
    wishes.HoldTariff: hold_tariff,
    wishes.SetClock: set_clock,
    wishes.SetBalance: set_balance,
    wishes.StoreOfflineCards: store_offline_cards,
    wishes.ClearOfflineCards: clear_offline_cards,
    wishes.QueryOfflineCards: query_offline_cards,
    wishes.SetWorkParameters: set_work_parameters,
    wishes.SetQrPrefix: set_qr_prefix,
    wishes.Reboot: reboot,
    wishes.Update: update,
    wishes.SetBayLock: set_bay_lock,
    wishes.CloseLink: close_link,
}
