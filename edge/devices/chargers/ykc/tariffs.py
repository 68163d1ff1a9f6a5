"""The tariff's way into a charge point: 0x05/0x06, 0x09/0x0A, 0x58/0x57.

0x0A has no answer. It is confirmed by the next 0x05 with its number; when none comes within one
wait, 0x58 follows as soon as no connector charges, and 0x57 confirms.
"""

from __future__ import annotations

from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import Moment, TariffHeld, TariffNotHeld
from edge.devices.chargers.wishes import HeldTariff
from edge.devices.chargers.ykc import messages
from edge.devices.chargers.ykc.peer import Exchange, Peer
from edge.devices.chargers.ykc.translate import tariff_body, tariff_no
from shared.contracts.words import Outcome

_SAME, _DIFFERENT = 0, 1
_SET_ANSWER = 0x57


def begin(peer: Peer, tariff: HeldTariff | None, confirmed_hash: str, now: Moment) -> None:
    """Take over what the station knows at a login; the charge point asks first, if it asks."""
    peer.tariff = tariff
    peer.confirmed_hash = confirmed_hash
    if tariff is not None and confirmed_hash != tariff.content_hash:
        peer.push_at_s = now.mono_s + peer.timing.answer_s * peer.timing.tries


def hold(peer: Peer, tariff: HeldTariff, wish_no: int, out: Received, now: Moment) -> None:
    """Have the charge point hold this tariff: at once when idle, else as soon as it is."""
    peer.settle(out, peer.tariff_wish_no, now, Outcome.FAILED, "superseded")
    peer.tariff = tariff
    peer.tariff_refusals = 0
    peer.tariff_wish_no = wish_no
    if tariff.content_hash == peer.confirmed_hash:
        _held(peer, tariff, out, now)
        return
    peer.push_at_s = now.mono_s
    push_if_due(peer, out, now)


def checked(
    peer: Peer, message: messages.TariffCheck, sequence: bytes, out: Received, now: Moment
) -> None:
    """Answer 0x05: *same* only if this charge point confirmed exactly this content."""
    tariff = peer.tariff
    same = False
    if tariff is not None and message.tariff_no == tariff_no(tariff.model_no):
        same = tariff.content_hash in (peer.confirmed_hash, peer.offered_hash)
    else:
        peer.confirmed_hash = ""  # it holds another one now, whatever it once confirmed
    answer = messages.TariffCheckAnswer(
        peer.number, message.tariff_no, _SAME if same else _DIFFERENT
    )
    peer.write(out, answer, sequence)
    if tariff is None:
        return
    if same:
        _held(peer, tariff, out, now)
    elif peer.push_at_s is None:
        peer.push_at_s = now.mono_s + peer.timing.answer_s * peer.timing.tries


def requested(peer: Peer, sequence: bytes, out: Received, now: Moment) -> None:
    """Answer 0x09 with the tariff; without one there is nothing to say and it asks again."""
    if peer.replaying:
        peer.end_replay(out)
    if peer.tariff is None:
        return
    peer.write(out, tariff_body(messages.TariffAnswer, peer.number, peer.tariff), sequence)
    peer.offered_hash = peer.tariff.content_hash
    if peer.tariff.content_hash != peer.confirmed_hash:
        peer.push_at_s = now.mono_s + peer.timing.answer_s


def push_if_due(peer: Peer, out: Received, now: Moment) -> None:
    """Send 0x58 if it is due, none is under way and no connector charges."""
    tariff = peer.tariff
    if tariff is None or peer.push_at_s is None or now.mono_s < peer.push_at_s:
        return
    if peer.awaited(_SET_ANSWER) or not peer.is_idle(now):
        return
    peer.push_at_s = None
    number = peer.number
    exchange = Exchange(
        _SET_ANSWER,
        lambda _: tariff_body(messages.TariffSet, number, tariff),
        wait_s=peer.timing.answer_s,
        tries=peer.timing.tries,
        tariff=tariff,
    )
    try:
        peer.ask(out, exchange, now)
    except ValueError as error:
        _not_held(peer, tariff, str(error), out, now)


def answered(peer: Peer, message: messages.TariffSetAnswer, out: Received, now: Moment) -> None:
    """Take 0x57: the tariff that was sent is held, or was refused."""
    exchange = peer.awaited(_SET_ANSWER)
    if exchange is None or exchange.tariff is None:
        return
    peer.finish(out, exchange, now, Outcome.DONE)
    if message.result == 1:
        _held(peer, exchange.tariff, out, now)
    else:
        _refused(peer, exchange.tariff, out, now)


def _refused(peer: Peer, tariff: HeldTariff, out: Received, now: Moment) -> None:
    """Ask again when all connectors are idle: one may have begun since its last 0x13."""
    peer.tariff_refusals += 1
    if peer.tariff is tariff and peer.tariff_refusals < peer.timing.tries:
        peer.push_at_s = now.mono_s + peer.timing.answer_s
        return
    peer.tariff_refusals = 0
    _not_held(peer, tariff, "refused", out, now)


def given_up(peer: Peer, tariff: HeldTariff, reason: str, out: Received, now: Moment) -> None:
    """Take note that a 0x58 got no answer after all tries."""
    _not_held(peer, tariff, reason, out, now)


def _held(peer: Peer, tariff: HeldTariff, out: Received, now: Moment) -> None:
    peer.confirmed_hash = tariff.content_hash
    peer.offered_hash = ""
    peer.tariff_refusals = 0
    out.reports.append(TariffHeld(now, peer.number, tariff.model_no, tariff.content_hash))
    if peer.tariff is tariff or (
        peer.tariff is not None and peer.tariff.content_hash == tariff.content_hash
    ):
        peer.push_at_s = None
        peer.settle(out, peer.tariff_wish_no, now, Outcome.DONE)
        peer.tariff_wish_no = 0
    else:
        _push_newer(peer, out, now)


def _not_held(peer: Peer, tariff: HeldTariff, reason: str, out: Received, now: Moment) -> None:
    out.reports.append(TariffNotHeld(now, peer.number, tariff.model_no, reason))
    if peer.tariff is tariff:
        peer.settle(out, peer.tariff_wish_no, now, Outcome.FAILED, reason)
        peer.tariff_wish_no = 0
    else:
        _push_newer(peer, out, now)


def _push_newer(peer: Peer, out: Received, now: Moment) -> None:
    """Push what became the tariff while an older one was on its way."""
    peer.push_at_s = now.mono_s
    push_if_due(peer, out, now)
