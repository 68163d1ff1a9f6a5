"""The YKC conversation without sockets: what is answered, retried, believed and refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import pytest
from msgspec import structs

from edge.devices.chargers import reports, wishes
from edge.devices.chargers.protocol import Received
from edge.devices.chargers.reports import Moment
from edge.devices.chargers.timing import NORMAL
from edge.devices.chargers.ykc import evidence, messages, translate
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.dialect import Dialect
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.frames import Frame
from shared.clock import from_ms, to_ms
from shared.contracts.commands import ChargePointConfig, OfflineCard
from shared.contracts.words import Outcome, RefusalReason, TokenKind
from shared.tariff import Period, PeriodPrice, Tariff
from tests.component.gateway_support import (
    HELD,
    NUMBER,
    OTHER,
    TARIFF,
    TX,
    ZONE,
    frame,
    login,
    realtime,
    record,
)

R = TypeVar("R")
WALL_MS = 1_795_332_202_000  # 2026-11-22T15:23:22+08:00
CARD = "00000000d14b0a54"


class Talk:
    """One connection and a clock that stands still until it is told otherwise."""

    def __init__(self, **config: Any) -> None:
        self.connection = YkcConnection(3, "10.0.0.9", ZONE)
        self.now_s = 100.0
        self.config = ChargePointConfig(charge_point_no=NUMBER, connector_count=2, **config)
        self.out = Received()

    @property
    def now(self) -> Moment:
        return Moment(WALL_MS + int(self.now_s * 1000) - 100_000, self.now_s)

    def hear(self, *parts: messages.Message | bytes) -> Received:
        data = b"".join(p if isinstance(p, bytes) else frame(p) for p in parts)
        self.out = self.connection.receive(data, self.now)
        return self.out

    def wish(self, wish: wishes.AnyWish) -> Received:
        self.out = self.connection.wish(wish, self.now)
        return self.out

    def after(self, seconds: float) -> Received:
        """Let time pass, with a tick a second; returns what the ticks brought, together."""
        total = Received()
        end = self.now_s + seconds
        while self.now_s < end:
            self.now_s += 1
            out = self.connection.tick(self.now)
            total.reports += out.reports
            total.writes += out.writes
            total.close_reason = total.close_reason or out.close_reason
        self.out = total
        return total

    def log_in(self, number: str = NUMBER, **decision: Any) -> Received:
        self.hear(login(number))
        values: dict[str, Any] = {"tariff": HELD, "confirmed_hash": HELD.content_hash}
        values.update(decision)
        config = structs.replace(self.config, charge_point_no=number)
        return self.wish(
            wishes.DecideLogin(
                charge_point_no=number, link_id=3, accepted=True, config=config, **values
            )
        )

    def alive(self, seconds: float) -> Received:
        """Let time pass with a heartbeat every five seconds."""
        total = Received()
        for _ in range(int(seconds // 5)):
            out = self.after(5)
            total.reports += out.reports
            total.writes += out.writes
            total.close_reason = total.close_reason or out.close_reason
            self.hear(messages.Heartbeat(NUMBER, 1, 0))
        self.out = total
        return total

    def written(self, kind: type[messages.Message] | None = None) -> list[Any]:
        return [
            messages.parse(raw[5], raw[6:-2])
            for raw in self.out.writes
            if kind is None or raw[5] == kind.KIND
        ]

    def of(self, kind: type[R]) -> list[R]:
        return [each for each in self.out.reports if isinstance(each, kind)]


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.log_in()
    return talk


# -- login -----------------------------------------------------------------------------------


def test_every_login_is_set_up_alike() -> None:
    talk = Talk(qr_prefix="https://a.example/")
    for _ in range(2):
        talk.log_in()
        kinds = [type(message) for message in talk.written()]
        assert kinds == [
            messages.LoginAnswer,
            messages.TimeSync,
            messages.QrPrefix,
            messages.ReadRealtime,
            messages.ReadRealtime,
        ]
        (logged_in,) = talk.of(reports.LoggedIn)
        assert (logged_in.connector_count, logged_in.is_dc) == (2, True)
    (sync,) = talk.written(messages.TimeSync)
    assert sync.current_time.to_utc(ZONE).timestamp() * 1000 == talk.now.wall_ms


def test_own_sequence_counts_in_little_endian_from_zero(talk: Talk) -> None:
    own = [raw[2:4] for raw in talk.out.writes if raw[5] != 0x02]
    assert own == [b"\x00\x00", b"\x01\x00", b"\x02\x00"]


def test_nothing_is_answered_before_login() -> None:
    talk = Talk()
    talk.hear(messages.Heartbeat(NUMBER, 1, 0), realtime(), record())
    assert not talk.out.writes
    assert {each.code for each in talk.of(reports.Complained)} == {"not_logged_in"}
    assert {number for number, _, _ in talk.out.frames} == {""}


def test_a_link_without_login_is_closed_within_15_s() -> None:
    talk = Talk()
    talk.connection.tick(talk.now)
    assert not talk.after(13).close_reason
    assert talk.after(1).close_reason == "no_login"


def test_a_refused_number_does_not_take_others_along(talk: Talk) -> None:
    talk.hear(login(OTHER))
    talk.wish(wishes.DecideLogin(charge_point_no=OTHER, link_id=3, accepted=False))
    (answer,) = talk.written(messages.LoginAnswer)
    assert answer.result == 1
    assert not talk.out.close_reason


def test_login_frames_stand_in_the_numbers_own_log_once_it_is_in() -> None:
    talk = Talk()
    talk.log_in()
    assert [(number, way, raw[5]) for number, way, raw in talk.out.frames][:2] == [
        (NUMBER, "<", 0x01),
        (NUMBER, ">", 0x02),
    ]


def test_silence_closes_the_link(talk: Talk) -> None:
    talk.after(29)
    talk.hear(messages.Heartbeat(NUMBER, 2, 0))
    assert not talk.after(30).close_reason
    assert talk.after(1).close_reason == "silent"
    talk.out = talk.connection.lost("silent", talk.now)
    (lost,) = talk.of(reports.LinkLost)
    assert (lost.charge_point_no, lost.link_id, lost.reason) == (NUMBER, 3, "silent")


def test_an_absurd_silence_limit_is_bounded() -> None:
    for limit_s, lost_after_s in ((0.0, 7), (1e9, 601)):
        talk = Talk(silence_limit_s=limit_s)
        talk.log_in()
        assert not talk.after(lost_after_s - 1).close_reason
        assert talk.after(1).close_reason == "silent"


def test_a_silent_number_leaves_a_shared_link_alone(talk: Talk) -> None:
    talk.log_in(OTHER)
    for _ in range(7):
        talk.after(5)
        lost = talk.of(reports.LinkLost)
        talk.hear(messages.Heartbeat(NUMBER, 1, 0))
    assert [each.charge_point_no for each in lost] == [OTHER]
    assert talk.connection.charge_point_nos() == (NUMBER,)


def test_frames_of_a_number_that_has_not_logged_in_are_dropped(talk: Talk) -> None:
    talk.hear(realtime(OTHER), realtime(OTHER))
    assert [each.code for each in talk.of(reports.Complained)] == ["not_logged_in"]
    assert not talk.of(reports.ConnectorSampled)


# -- samples ---------------------------------------------------------------------------------


def test_a_sample_in_our_words(talk: Talk) -> None:
    talk.hear(realtime(tx=TX, state=3, cable_temp_raw=0, faults_raw=0x0082, loss_adjusted_dwh=9))
    (sample,) = talk.of(reports.ConnectorSampled)
    assert sample.transaction_no == TX
    assert sample.state is reports.WireState.CHARGING
    assert (sample.cable_temp_c, sample.battery_temp_max_c) == (None, 30)
    assert (sample.faults, sample.loss_energy_dwh) == (0x82, 9)


def test_fault_bits_are_counted_as_the_vendor_does() -> None:
    other = Dialect("other", fault_bit_base=1)
    message = realtime(faults_raw=0x0041)
    report = translate.connector_sampled(
        message, Moment(0, 0.0), NUMBER, other, replayed=False, dated=True
    )
    assert report.faults == 0x0082


def test_an_unknown_state_is_unknown(talk: Talk) -> None:
    talk.hear(realtime(state=9))
    assert talk.of(reports.ConnectorSampled)[0].state is reports.WireState.UNKNOWN


def test_stored_samples_are_marked_until_the_first_heartbeat() -> None:
    talk = Talk()
    talk.log_in(open_transaction_nos=("1" * 32,))
    talk.hear(realtime(tx=TX), realtime(tx="1" * 32), realtime())
    assert [each.replayed for each in talk.of(reports.ConnectorSampled)] == [True, False, False]
    # Of what runs, stored and live ones look alike: they are live, but nobody knows from when.
    assert [each.dated for each in talk.of(reports.ConnectorSampled)] == [False] * 3
    # Stored ones come behind the tariff check (V1.6 figure 5.1), live ones behind a heartbeat.
    talk.hear(messages.TariffCheck(NUMBER, "0007"), realtime(tx=TX))
    assert [each.replayed for each in talk.of(reports.ConnectorSampled)] == [True]
    talk.hear(messages.Heartbeat(NUMBER, 1, 0), realtime(tx=TX))
    (live,) = talk.of(reports.ConnectorSampled)
    assert (live.replayed, live.dated) == (False, True)


def test_without_heartbeats_samples_are_live_after_a_while() -> None:
    talk = Talk()
    talk.log_in()
    for _ in range(6):
        talk.after(5)
        talk.hear(realtime(tx=TX))
        assert [each.replayed for each in talk.of(reports.ConnectorSampled)] == [True]
    talk.after(1)
    talk.hear(realtime(tx=TX))
    (live,) = talk.of(reports.ConnectorSampled)
    assert (live.replayed, live.dated) == (False, True)


@pytest.mark.parametrize("end", ["heartbeat", "tariff", "time"])
def test_what_was_said_to_be_free_among_stored_samples_is_asked_again(end: str) -> None:
    talk = Talk()
    talk.log_in(open_transaction_nos=(TX,))
    talk.hear(realtime(), realtime(connector_no=2, plugged_in=0))
    assert talk.written(messages.ReadRealtime) == []
    if end == "heartbeat":
        talk.hear(messages.Heartbeat(NUMBER, 1, 0))
    elif end == "tariff":
        talk.hear(messages.TariffRequest(NUMBER))
    else:
        for _ in range(6):
            talk.after(5)
            talk.hear(realtime())
        talk.after(1)
    assert [each.connector_no for each in talk.written(messages.ReadRealtime)] == [2]
    talk.hear(messages.Heartbeat(NUMBER, 1, 0), realtime(connector_no=2, plugged_in=0))
    assert talk.written(messages.ReadRealtime) == []


def test_battery_reports(talk: Talk) -> None:
    talk.hear(
        messages.Parameters(TX, NUMBER, 1, 420, 1500, 800, 7500, 105, 400, 0, 0, 0, 0, 0),
        messages.Parameters(TX, NUMBER, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        messages.BmsDemand(TX, NUMBER, 1, 7000, 568, 2, 7008, 611, 0x1159, 95, 9, 7008, 566, 5),
        messages.BmsStatus(TX, NUMBER, 1, 11, 105, 2, 0, 0, 0x40, 0x10),
        messages.BmsAbort(TX, NUMBER, 1, 0x01, 0x0100, 0),
        messages.ChargingEnd(TX, NUMBER, 1, 95, 330, 345, 70, 80, 30, 200, 0),
        messages.ChargingEnd(TX, NUMBER, 1, 95, 0, 345, 70, 80, 30, 200, 0),
    )
    given, absent = talk.of(reports.BatteryLimits)
    assert (given.temperature_max_c, given.current_max_da, given.soc_permille) == (55, 2500, 400)
    assert (absent.temperature_max_c, absent.current_max_da, absent.voltage_max_dv) == (None,) * 3
    (demand,) = talk.of(reports.BmsDemanded)
    assert (demand.current_demand_da, demand.current_da, demand.output_current_da) == (
        3432, 3389, 3434,
    )  # fmt: skip
    assert (demand.cell_voltage_max_cv, demand.cell_group) == (345, 1)
    (sampled,) = talk.of(reports.BmsSampled)
    assert (sampled.battery_temp_max_c, sampled.battery_temp_min_c) == (55, None)
    stopped, ended, unknown = talk.of(reports.ChargingStopped)
    assert stopped.detail == "required SOC reached; battery over-temperature"
    assert stopped.cell_voltage_max_cv is None
    assert (ended.cell_voltage_min_cv, ended.cell_voltage_max_cv) == (330, 345)
    assert (unknown.cell_voltage_min_cv, unknown.cell_voltage_max_cv) == (None, 345)


def test_a_connector_that_cannot_be_is_a_bad_frame(talk: Talk) -> None:
    raw = bytearray(realtime().build())
    raw[23] = 0xFA
    talk.hear(Frame(0x13, bytes(raw)).build())
    assert [each.code for each in talk.of(reports.Complained)] == ["connector_no"]


# -- bad input -------------------------------------------------------------------------------


def test_unknown_kinds_and_encryption_are_counted_and_the_link_stays(talk: Talk) -> None:
    for _ in range(50):
        talk.hear(Frame(0x71, bytes.fromhex(NUMBER) + b"\x01").build())
        assert not talk.out.close_reason
    talk.hear(Frame(0x13, realtime().build(), encryption=1).build())
    assert [each.code for each in talk.of(reports.Complained)] == ["encrypted"]
    assert not talk.out.writes
    talk.now_s += 60
    talk.hear(Frame(0x71, bytes.fromhex(NUMBER) + b"\x01").build())
    assert "49 more" in talk.of(reports.Complained)[0].detail


def test_20_bad_frames_a_minute_are_borne_and_no_more(talk: Talk) -> None:
    bad = frame(realtime())[:-1] + b"\x00"
    for _ in range(20):
        assert not talk.hear(bad, messages.Heartbeat(NUMBER, 1, 0)).close_reason
    assert talk.hear(bad, messages.Heartbeat(NUMBER, 1, 0)).close_reason == "garbage"


def test_a_short_body_is_malformed(talk: Talk) -> None:
    talk.hear(Frame(0x03, bytes.fromhex(NUMBER)).build())
    assert [each.code for each in talk.of(reports.Complained)] == ["malformed"]


# -- tariff ----------------------------------------------------------------------------------


def test_same_only_for_the_content_that_was_confirmed(talk: Talk) -> None:
    talk.hear(messages.TariffCheck(NUMBER, "0007"))
    assert talk.written(messages.TariffCheckAnswer)[0].result == 0
    assert talk.of(reports.TariffHeld)[0].content_hash == HELD.content_hash

    talk.log_in(confirmed_hash="another")
    talk.hear(messages.TariffCheck(NUMBER, "0007"))
    assert talk.written(messages.TariffCheckAnswer)[0].result == 1

    talk.log_in()
    talk.hear(messages.TariffCheck(NUMBER, "0006"))
    assert talk.written(messages.TariffCheckAnswer)[0].result == 1
    assert not talk.of(reports.TariffHeld)


def test_a_requested_tariff_is_confirmed_by_the_next_check(talk: Talk) -> None:
    talk.log_in(confirmed_hash="")
    talk.hear(messages.TariffRequest(NUMBER))
    (answer,) = talk.written(messages.TariffAnswer)
    assert (answer.tariff_no, answer.valley_energy_price_e5, answer.slots[0]) == ("0007", 30000, 3)
    talk.hear(messages.TariffCheck(NUMBER, "0007"))
    assert talk.written(messages.TariffCheckAnswer)[0].result == 0
    assert len(talk.of(reports.TariffHeld)) == 1
    assert 0x58 not in [raw[5] for raw in talk.alive(60).writes]


def test_a_requested_tariff_without_a_check_is_set_again_when_idle(talk: Talk) -> None:
    talk.log_in(confirmed_hash="")
    talk.hear(realtime(tx=TX, state=3), realtime(connector_no=2))
    talk.hear(messages.TariffRequest(NUMBER))
    talk.alive(20)
    assert not talk.written(messages.TariffSet)  # connector 1 charges
    talk.hear(realtime())
    assert len(talk.written(messages.TariffSet)) == 1
    talk.hear(messages.TariffSetAnswer(NUMBER, 1))
    assert talk.of(reports.TariffHeld)[0].model_no == 7


def test_a_tariff_that_is_not_taken_is_reported_after_three_tries(talk: Talk) -> None:
    newer = wishes.HeldTariff(8, TARIFF, "other content")
    talk.hear(realtime(), realtime(connector_no=2))
    talk.wish(wishes.HoldTariff(charge_point_no=NUMBER, wish_no=4, tariff=newer))
    first = talk.out.writes
    talk.alive(35)
    sent = [raw for raw in (*first, *talk.out.writes) if raw[5] == 0x58]
    assert len(sent) == NORMAL.tries
    assert len({raw[2:4] for raw in sent}) == NORMAL.tries  # each with a sequence of its own
    assert [each.reason for each in talk.of(reports.TariffNotHeld)] == ["no_answer"]
    assert [(each.wish_no, each.outcome) for each in talk.of(reports.WishSettled)] == [
        (4, Outcome.FAILED)
    ]


def test_a_refused_tariff_and_one_that_is_held_already(talk: Talk) -> None:
    talk.wish(wishes.HoldTariff(charge_point_no=NUMBER, wish_no=1, tariff=HELD))
    assert talk.of(reports.TariffHeld)
    assert not talk.out.writes
    newer = wishes.HeldTariff(8, TARIFF, "other content")
    talk.hear(messages.Heartbeat(NUMBER, 1, 0), realtime(), realtime(connector_no=2))
    talk.wish(wishes.HoldTariff(charge_point_no=NUMBER, tariff=newer))
    for _ in range(NORMAL.tries - 1):
        # A car may begin between the last report and the tariff: it is asked again when idle.
        talk.hear(realtime(state=3, tx=TX), messages.TariffSetAnswer(NUMBER, 0))
        assert not talk.of(reports.TariffNotHeld)
        talk.alive(30)
        assert not talk.written(messages.TariffSet)
        talk.hear(realtime())
        assert len(talk.written(messages.TariffSet)) == 1
    talk.hear(messages.TariffSetAnswer(NUMBER, 0))
    assert [each.reason for each in talk.of(reports.TariffNotHeld)] == ["refused"]


def test_without_a_tariff_the_charge_point_is_told_that_it_differs(talk: Talk) -> None:
    talk.log_in(tariff=None)
    talk.hear(messages.TariffCheck(NUMBER, "0007"), messages.TariffRequest(NUMBER))
    assert [type(each) for each in talk.written()] == [messages.TariffCheckAnswer]


def test_an_impossible_tariff_is_not_sent(talk: Talk) -> None:
    price = dict.fromkeys(Period, PeriodPrice(1 << 40, 0))
    tariff = wishes.HeldTariff(8, Tariff("F" * 48, price), "x")
    talk.hear(realtime(), realtime(connector_no=2))
    talk.wish(wishes.HoldTariff(charge_point_no=NUMBER, tariff=tariff))
    assert not talk.out.writes
    assert talk.of(reports.TariffNotHeld)


# -- starting, stopping, wishes --------------------------------------------------------------


def test_starts_by_card_vin_and_in_parallel(talk: Talk) -> None:
    talk.hear(
        messages.StartRequest(NUMBER, 1, 3, 0, CARD, "", "LSVAA4182E2123456"),
        messages.ParallelStartRequest(
            NUMBER, 2, 1, 1, CARD, "0123456789abcdef", "", 1, "261122140000"
        ),
    )
    vin, card = talk.of(reports.StartRequested)
    assert (vin.token_kind, vin.token) == (TokenKind.VIN, "LSVAA4182E2123456")
    assert (card.token_kind, card.token, card.password) == (
        TokenKind.CARD, CARD, "0123456789abcdef",
    )  # fmt: skip
    assert (card.is_main, card.parallel_no) == (False, "261122140000")
    for request in (vin, card):
        talk.wish(
            wishes.AnswerStart(
                charge_point_no=NUMBER,
                request_no=request.request_no,
                connector_no=request.connector_no,
                accepted=True,
                reason=RefusalReason.NONE,
                transaction_no=TX,
                balance_fen=-3,
            )
        )
        (sent,) = talk.of(reports.FrameSent)
        assert sent.raw == talk.out.writes[0]
    (answer,) = talk.written()
    assert isinstance(answer, messages.ParallelStartRequestAnswer)
    assert (answer.authorized, answer.reason, answer.balance_fen) == (1, 0, 0)
    assert answer.parallel_no == "261122140000"


def _start(**changes: Any) -> wishes.StartRemotely:
    values: dict[str, Any] = {
        "charge_point_no": NUMBER, "wish_no": 9, "connector_no": 1, "transaction_no": TX,
        "balance_fen": 100,
    }  # fmt: skip
    values.update(changes)
    return wishes.StartRemotely(**values)


def test_a_start_accepts_a_second_answer(talk: Talk) -> None:
    talk.wish(_start())
    assert talk.of(reports.FrameSent)[0].code == 0x34
    talk.hear(messages.RemoteStartAnswer(TX, NUMBER, 1, 0, 5))
    assert not talk.of(reports.StartAnswered)[0].started
    assert not talk.of(reports.WishSettled)
    talk.alive(55)
    talk.hear(messages.RemoteStartAnswer(TX, NUMBER, 1, 1, 0))
    assert talk.of(reports.StartAnswered)[0].started
    assert talk.of(reports.WishSettled)[0].outcome is Outcome.DONE


def test_a_late_word_about_another_start_settles_nothing(talk: Talk) -> None:
    talk.wish(_start())
    talk.hear(messages.RemoteStartAnswer("9" * 32, NUMBER, 1, 1, 0))
    talk.hear(messages.RemoteStartAnswer("9" * 32, NUMBER, 1, 0, 3))
    assert not talk.of(reports.WishSettled)
    talk.hear(messages.RemoteStartAnswer(TX, NUMBER, 1, 1, 0))
    assert talk.of(reports.WishSettled)[0].outcome is Outcome.DONE


def test_a_start_is_never_repeated_and_fails_after_90_s(talk: Talk) -> None:
    talk.wish(_start())
    talk.alive(95)
    assert not talk.written(messages.RemoteStart)
    assert [(each.outcome, each.reason) for each in talk.of(reports.WishSettled)] == [
        (Outcome.FAILED, "no_answer")
    ]


def test_a_stop_never_waits_for_anything(talk: Talk) -> None:
    for wish_no in (0, 1, 2):
        talk.wish(wishes.StopRemotely(charge_point_no=NUMBER, wish_no=wish_no, connector_no=2))
        assert [each.connector_no for each in talk.written(messages.RemoteStop)] == [2]
    talk.hear(messages.RemoteStopAnswer(NUMBER, 2, 0, 2))
    assert talk.of(reports.StopAnswered)[0].reason == 2
    (settled,) = talk.of(reports.WishSettled)
    assert (settled.wish_no, settled.outcome) == (2, Outcome.FAILED)
    assert settled.reason == "connector not charging"


def test_a_frame_is_repeated_with_a_new_sequence_until_it_is_answered(talk: Talk) -> None:
    talk.wish(wishes.SetBalance(charge_point_no=NUMBER, wish_no=6, connector_no=1, balance_fen=1))
    first = talk.out.writes[0]
    talk.alive(15)
    (again,) = [raw for raw in talk.out.writes if raw[5] == 0x42]
    assert again[2:4] != first[2:4]
    assert again[6:-2] == first[6:-2]
    talk.hear(messages.BalanceUpdateAnswer(NUMBER, CARD, 0))
    assert talk.of(reports.WishSettled)[0].outcome is Outcome.DONE
    assert not [raw for raw in talk.alive(40).writes if raw[5] == 0x42]


def test_wishes_with_one_kind_of_answer_take_turns(talk: Talk) -> None:
    for wish_no in (1, 2):
        talk.wish(
            wishes.SetBalance(
                charge_point_no=NUMBER, wish_no=wish_no, connector_no=wish_no, balance_fen=1
            )
        )
    assert not talk.out.writes
    talk.hear(messages.BalanceUpdateAnswer(NUMBER, CARD, 0))
    assert [each.connector_no for each in talk.written(messages.BalanceUpdate)] == [2]


def test_many_offline_cards_go_in_several_frames(talk: Talk) -> None:
    cards = tuple(OfflineCard(f"{n:016d}", f"{n:016x}") for n in range(25))
    talk.wish(wishes.StoreOfflineCards(charge_point_no=NUMBER, wish_no=3, cards=cards))
    sizes = []
    for _ in range(3):
        (sync,) = talk.written(messages.OfflineCardsSync)
        sizes.append(len(sync.cards))
        talk.hear(messages.OfflineCardsSyncAnswer(NUMBER, 1, 0))
    assert sizes == [11, 11, 3]
    assert talk.of(reports.WishSettled)[0].outcome is Outcome.DONE
    numbers = tuple(card.physical_card_no for card in cards[:2])
    talk.wish(
        wishes.QueryOfflineCards(charge_point_no=NUMBER, wish_no=4, physical_card_nos=numbers)
    )
    found = tuple(messages.QueriedCard(number, 1) for number in numbers)
    talk.hear(messages.OfflineCardsQueryAnswer(NUMBER, found))
    assert b'"present":1' in talk.of(reports.WishSettled)[0].answer


@pytest.mark.parametrize(
    ("wish", "answer", "outcome"),
    [
        (wishes.Reboot(charge_point_no=NUMBER, wish_no=1, at_once=True),
         messages.RebootAnswer(NUMBER, 1), Outcome.DONE),
        (wishes.SetWorkParameters(charge_point_no=NUMBER, wish_no=1, in_service=False,
                                  power_max_percent=50),
         messages.WorkParametersAnswer(NUMBER, 0), Outcome.FAILED),
        (wishes.SetBayLock(charge_point_no=NUMBER, wish_no=1, connector_no=1, raised=True),
         messages.BayLockAnswer(NUMBER, 1, 1), Outcome.DONE),
        (wishes.SetQrPrefix(charge_point_no=NUMBER, wish_no=1, prefix="x", with_connector=True),
         messages.QrPrefixAnswer(NUMBER, 0), Outcome.DONE),
        (wishes.ReadNow(charge_point_no=NUMBER, wish_no=1, connector_no=1),
         realtime(), Outcome.DONE),
        (wishes.ClearOfflineCards(charge_point_no=NUMBER, wish_no=1, physical_card_nos=(CARD,)),
         messages.OfflineCardsClearAnswer(NUMBER, (messages.ClearedCard(CARD, 1, 0),)),
         Outcome.DONE),
        (wishes.Update(charge_point_no=NUMBER, wish_no=1, is_dc=True, power_kw=120, host="h",
                       port=21, user="u", password="p", path="/f", at_once=True, timeout_min=5),
         messages.UpdateAnswer(NUMBER, 0), Outcome.ACCEPTED),
    ],
)  # fmt: skip
def test_answers_settle_wishes(
    talk: Talk, wish: wishes.AnyWish, answer: messages.Message, outcome: Outcome
) -> None:
    assert talk.wish(wish).writes
    talk.hear(answer)
    assert [(each.wish_no, each.outcome) for each in talk.of(reports.WishSettled)] == [(1, outcome)]


def test_what_does_not_fit_the_wire_is_rejected(talk: Talk) -> None:
    talk.wish(_start(transaction_no="short"))
    assert not talk.out.writes
    assert talk.of(reports.WishSettled)[0].outcome is Outcome.REJECTED


def test_open_wishes_fail_with_the_link(talk: Talk) -> None:
    talk.wish(_start())
    talk.out = talk.connection.lost("closed", talk.now)
    assert [each.outcome for each in talk.of(reports.WishSettled)] == [Outcome.FAILED]


def test_the_clock_of_a_charge_point_is_compared(talk: Talk) -> None:
    fast = Cp56Time.from_utc(from_ms(talk.now.wall_ms + 90_000), ZONE)
    talk.hear(messages.TimeSyncAnswer(NUMBER, fast))
    assert talk.of(reports.ClockRead)[0].offset_ms == 90_000
    talk.hear(messages.TimeSyncAnswer(NUMBER, Cp56Time(0, 0, 0, 0, 0, 70)))
    assert talk.of(reports.ClockRead)[0].offset_ms is None


@pytest.mark.parametrize("ours", ["2026-12-31T23:59:45+08:00", "2026-11-22T23:59:45+08:00"])
@pytest.mark.parametrize("off_s", [30, -30, 86_400, -31_536_000])
def test_a_clock_is_compared_with_its_date_across_midnight_and_new_year(
    talk: Talk, ours: str, off_s: int
) -> None:
    talk.hear(messages.TimeSyncAnswer(NUMBER, Cp56Time.from_utc(from_ms(talk.now.wall_ms), ZONE)))
    talk.now_s = (to_ms(datetime.fromisoformat(ours)) - WALL_MS) / 1000 + 100
    theirs = Cp56Time.from_utc(from_ms(talk.now.wall_ms + off_s * 1000), ZONE)
    talk.hear(messages.TimeSyncAnswer(NUMBER, theirs))
    assert talk.of(reports.ClockRead)[0].offset_ms == off_s * 1000


# -- records ---------------------------------------------------------------------------------


def test_a_record_is_confirmed_with_its_sequence_only_when_committed(talk: Talk) -> None:
    talk.hear(frame(record(), b"\x0a\x0b"), frame(record(), b"\x0c\x0d"))
    first, second = talk.of(reports.RecordReceived)
    assert not talk.out.writes
    assert first.record.started_at is not None
    assert to_ms(first.record.started_at) == 1_795_327_380_000
    assert first.record.periods[2].energy_dwh == 10000
    assert first.raw == frame(record(), b"\x0a\x0b")
    talk.out = talk.connection.committed(second.token, talk.now)
    assert talk.out.writes[0][2:4] == b"\x0c\x0d"
    assert talk.of(reports.FrameSent)[0].code == 0x40
    assert talk.connection.committed(first.token, talk.now).writes
    assert not talk.connection.committed(first.token, talk.now).writes


def test_another_links_token_confirms_nothing(talk: Talk) -> None:
    talk.hear(record())
    other = YkcConnection(4, "10.0.0.9", ZONE)
    (received,) = talk.of(reports.RecordReceived)
    assert not other.committed(received.token, talk.now).writes


@pytest.mark.parametrize(
    "start",
    [
        Cp56Time(0, 0, 0, 1, 1, 0),
        Cp56Time(0, 3, 14, 22, 11, 26, invalid=True),
        Cp56Time(0, 0, 0, 31, 2, 26),
        Cp56Time(0, 3, 14, 22, 11, 19),
    ],
)
def test_times_that_make_no_sense_are_none(talk: Talk, start: Cp56Time) -> None:
    talk.hear(record(started_at=start))
    (received,) = talk.of(reports.RecordReceived)
    assert received.record.started_at is None
    assert received.clock_suspect


@pytest.mark.parametrize("connector_no", [0, 256 + 0xFF])  # 0xFF is no BCD
def test_a_record_counts_whatever_connector_it_names(talk: Talk, connector_no: int) -> None:
    talk.hear(structs.replace(record(), connector_no=connector_no))
    (received,) = talk.of(reports.RecordReceived)
    assert received.record.connector_no == connector_no
    assert not talk.of(reports.Complained)


def test_a_record_that_cannot_be_read_is_more_than_a_bad_frame(talk: Talk) -> None:
    raw = Frame(0x3B, record().build()[:60], b"\x01\x00").build()
    talk.hear(raw)
    assert [each.code for each in talk.of(reports.Complained)] == ["record_unreadable"]


def test_what_proves_a_start_shows_no_password(talk: Talk) -> None:
    password = "5f4dcc3b5aa765d6"
    asked = messages.StartRequest(NUMBER, 1, 1, 1, "00000000d14b0a54", password, "0" * 17)
    talk.hear(asked)
    (report,) = talk.of(reports.StartRequested)
    assert report.password == password
    assert password.encode() not in report.raw
    assert report.raw[:24] == frame(asked)[:24]


@pytest.mark.parametrize("cut", [0, 2])
def test_garbage_shows_no_password_either(cut: int) -> None:
    password = "5f4dcc3b5aa765d6"
    asked = messages.StartRequest(NUMBER, 1, 1, 1, "00000000d14b0a54", password, "0" * 17)
    raw = frame(asked)
    broken = b"\x00\x68" + raw[: len(raw) - cut][:-1] + b"\x99"
    clean = evidence.redact(broken)
    assert clean is not None
    assert password.encode() not in clean
    assert len(clean) == len(broken)
    assert evidence.redact(b"\x68" * 400) is None


def test_a_foreign_record_is_no_bill(talk: Talk) -> None:
    talk.hear(record(OTHER))
    assert [each.code for each in talk.of(reports.Complained)] == ["record_foreign"]
    assert not talk.of(reports.RecordReceived)
    assert not talk.out.writes


@pytest.mark.parametrize(("dialect", "heard"), [("ykc16", 1), ("ykc15", 0), ("ylc", 1)])
def test_what_a_dialect_has_not_is_not_read(dialect: str, heard: int) -> None:
    talk = Talk(dialect=dialect)
    talk.log_in()
    talk.hear(
        messages.ParallelStartRequest(
            NUMBER, 1, 1, 0, "00000000d14b0a54", "", "", 0, "261122140000"
        )
    )
    assert len(talk.of(reports.StartRequested)) == heard
    assert [each.code for each in talk.of(reports.Complained)] == ["unknown_kind"] * (1 - heard)
