"""Who may charge: decided here in no time, answered always, and never before it is durable."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.station.open_transaction import Stage
from edge.station.starts import NO_LIMIT_FEN
from edge.station.timing import NORMAL
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.events import Token
from shared.contracts.words import Outcome, RefusalReason, TokenKind
from tests.fakes.station_site import CARD, CP, CP2, VERSION, Site

OTHER = "00000000FFFFFFFF"


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


async def answer(site: Site, **changes: Any) -> w.AnswerStart:
    request_no = site.ask(**changes)
    await site.settle()
    (found,) = [a for a in site.points.take(w.AnswerStart) if a.request_no == request_no]
    return found


def entry(**changes: Any) -> c.PublishAccessList:
    values: dict[str, Any] = {"token": e.Token(TokenKind.CARD, CARD), "limit_fen": 50_000}
    return c.PublishAccessList(version=2, entries=(c.AccessEntry(**{**values, **changes}),))


async def test_a_listed_token_starts_with_what_is_left_of_its_limit(site: Site) -> None:
    site.hq_up = True
    await site.command(entry(exposure_fen=20_000, logical_card_no="55"))
    found = await answer(site)
    assert (found.accepted, found.balance_fen, found.logical_card_no) == (True, 30_000, "55")
    assert len(found.transaction_no) == 32
    assert found.transaction_no.isdigit()
    assert found.transaction_no.startswith(f"{CP}01261122")


async def test_a_limit_of_zero_is_none(site: Site) -> None:
    site.hq_up = True
    await site.command(entry(limit_fen=0, exposure_fen=20_000))
    found = await answer(site)
    assert (found.accepted, found.balance_fen) == (True, NO_LIMIT_FEN)


async def test_without_hq_nobody_is_without_limit(site: Site) -> None:
    await site.command(entry(limit_fen=0))
    assert (await answer(site)).balance_fen == 30_000  # the cap of trust


async def test_no_start_is_answered_before_it_is_durable(site: Site) -> None:
    def must_be_stored(wish: w.AnyWish) -> None:
        if isinstance(wish, w.AnswerStart):
            files = sorted((site._root / "0").glob("*.db"))
            with sqlite3.connect(files[0]) as db:
                query = "SELECT count(*) FROM state WHERE kind = 'transaction' AND key = ?"
                assert db.execute(query, (wish.transaction_no,)).fetchone() == (1,)

    site.points.on_wish = must_be_stored
    request_no = site.ask()
    assert site.points.of(w.AnswerStart) == []
    await site.settle()
    assert [a.request_no for a in site.points.of(w.AnswerStart)] == [request_no]


@pytest.mark.parametrize(
    ("published", "request_", "reason"),
    [
        (entry(frozen=True), {}, RefusalReason.TOKEN_FROZEN),
        (entry(expires_at=from_ms(1)), {}, RefusalReason.NOT_ALLOWED_HERE),
        (entry(exposure_fen=50_000), {}, RefusalReason.LIMIT_REACHED),
        (entry(), {"password": "0123456789abcdef"}, RefusalReason.WRONG_PASSWORD),
        (entry(password_md5="00aa"), {"password": "00ab"}, RefusalReason.WRONG_PASSWORD),
        (entry(password_md5="00aa"), {}, RefusalReason.WRONG_PASSWORD),
        (entry(), {"token": OTHER}, RefusalReason.UNKNOWN_TOKEN),
        (
            entry(),
            {"token": "LSVAA4182E2123456", "token_kind": TokenKind.VIN},
            RefusalReason.UNKNOWN_VIN,
        ),
    ],
)
async def test_refusals_say_why(
    site: Site, published: c.PublishAccessList, request_: dict[str, Any], reason: RefusalReason
) -> None:
    await site.command(published)
    found = await answer(site, **request_)
    assert (found.accepted, found.reason) == (False, reason)
    (told,) = site.told(e.AuthorizationRefused)
    assert told.reason is reason


async def test_the_right_password_is_let_in(site: Site) -> None:
    await site.command(entry(password_md5="00aa"))
    assert (await answer(site, password="00aa")).accepted


async def test_without_a_tariff_nobody_starts(tmp_path: Path) -> None:
    site = await Site.make(tmp_path, tariff=None)
    found = await answer(site)
    assert (found.accepted, found.reason) == (False, RefusalReason.OUT_OF_SERVICE)
    await site.tick()
    assert [alarm.code for alarm in site.told(e.AlarmRaised)] == ["tariff_missing"]
    await site.command(c.PublishTariff(tariff=VERSION))
    assert (await answer(site)).accepted
    await site.close()


@pytest.mark.parametrize("connector_no", [0, 9])
async def test_nobody_starts_at_a_connector_that_is_not_there(
    site: Site, connector_no: int
) -> None:
    await site.command(entry())
    found = await answer(site, connector_no=connector_no)
    assert (found.accepted, found.reason) == (False, RefusalReason.OUT_OF_SERVICE)
    assert (await answer(site)).accepted


async def test_a_connector_that_charges_is_not_started_again(site: Site) -> None:
    await site.command(entry(limit_fen=0))
    site.hq_up = True
    await site.run()
    assert not (await answer(site)).accepted
    assert (await answer(site, connector_no=2)).accepted


async def test_a_transaction_that_nobody_hears_of_blocks_nobody(site: Site) -> None:
    await site.run()
    site.clock.advance(61)
    site.hq_up = True
    assert (await answer(site)).accepted


async def test_offline_exposure_is_capped_over_open_and_closed_ones(site: Site) -> None:
    number = await site.start()
    site.charging(number, 200_000)
    found = await answer(site, connector_no=2)  # 300 yuan may be spent already, of 300
    assert (found.accepted, found.reason) == (False, RefusalReason.LIMIT_REACHED)
    site.record(number, 200_000, minutes=30)
    assert (await answer(site)).balance_fen == 28_000  # closed, but HQ has not counted it
    site.hq_up = True
    site.record("", 10_000, meter_start_dwh=77)
    await site.journal.commit([])
    site.clock.advance(1)
    site.station.tick()
    site.hq_up = False
    assert (await answer(site)).balance_fen == 28_000  # a bill is on its way: HQ may lack any
    site.hq_up = True
    await site.settle()
    await site.tick()
    site.hq_up = False
    assert (await answer(site)).balance_fen == 30_000  # now it has


async def test_all_that_is_permitted_at_once_stays_within_the_caps(site: Site) -> None:
    entries = tuple(
        c.AccessEntry(token=e.Token(TokenKind.CARD, f"{n:016X}"), limit_fen=90_000)
        for n in range(5)
    )
    await site.command(c.PublishAccessList(version=2, entries=entries))
    site.log_in(CP2)
    given = []
    for n in range(4):  # 300 yuan for each token, 1000 for the station
        place = {"charge_point_no": (CP, CP2)[n // 2], "connector_no": n % 2 + 1}
        given.append((await answer(site, token=f"{n:016X}", **place)).balance_fen)
    assert given == [30_000, 30_000, 30_000, 10_000]


async def test_who_swipes_again_has_the_whole_limit_again(site: Site) -> None:
    assert (await answer(site)).balance_fen == 30_000
    assert (await answer(site)).balance_fen == 30_000  # in place of the first, not beside it


async def test_what_ended_counts_as_what_it_came_to(site: Site) -> None:
    number = await site.start()
    site.charging(number, 200_000)
    site.clock.advance(5)
    site.sample(plugged_in=True, transaction_no=number, energy_dwh=200_000)
    assert (await answer(site)).balance_fen == 28_000


async def test_a_charge_point_that_counts_no_money_stops_at_the_limit_too(site: Site) -> None:
    await site.command(entry(limit_fen=500))  # 5 yuan
    number = await site.start()
    site.charging(number, 49_000, amount_e4=0)
    assert site.points.of(w.StopRemotely) == []
    site.charging(number, 50_000, amount_e4=0)  # 5 kWh at 1 yuan
    assert len(site.points.of(w.StopRemotely)) == 1
    site.hq_up = True
    await site.tick()
    site.hq_up = False
    site.clock.advance(5)
    site.sample(plugged_in=True, transaction_no=number, energy_dwh=50_000)
    assert not (await answer(site)).accepted  # nothing of the 5 yuan is left


async def test_an_unknown_token_is_asked_about(site: Site) -> None:
    site.hq_up = True
    request_no = site.ask(OTHER)
    await site.settle()
    (asked,) = site.told(e.AuthorizationAsked)
    assert (asked.token.value, site.points.of(w.AnswerStart)) == (OTHER, [])
    settled = await site.command(
        c.AnswerAuthorization(request_id=asked.request_id, accepted=True, limit_fen=1_000)
    )
    assert [each.outcome for each in settled] == [Outcome.DONE]
    (found,) = site.points.of(w.AnswerStart)
    assert (found.request_no, found.accepted, found.balance_fen) == (request_no, True, 1_000)


async def test_hqs_yes_starts_nothing_where_somebody_charges_by_now(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER)
    await site.settle()
    (asked,) = site.told(e.AuthorizationAsked)
    await site.run()
    site.points.wishes.clear()
    await site.command(c.AnswerAuthorization(request_id=asked.request_id, accepted=True))
    (found,) = site.points.of(w.AnswerStart)
    assert (found.accepted, found.reason) == (False, RefusalReason.OUT_OF_SERVICE)
    assert len(site.station.book.open_transactions()) == 1


async def test_a_password_that_nobody_can_check_starts_nothing(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER, password="0123456789abcdef")
    await site.settle()
    (asked,) = site.told(e.AuthorizationAsked)
    await site.command(c.AnswerAuthorization(request_id=asked.request_id, accepted=True))
    (found,) = site.points.of(w.AnswerStart)
    assert (found.accepted, found.reason) == (False, RefusalReason.WRONG_PASSWORD)
    assert site.station.book.open_transactions() == []


async def test_a_dead_hq_has_three_seconds(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER)
    await site.tick(2)
    assert site.points.of(w.AnswerStart) == []
    await site.tick(2)
    (found,) = site.points.of(w.AnswerStart)
    assert (found.accepted, found.reason) == (False, RefusalReason.UNKNOWN_TOKEN)
    (asked,) = site.told(e.AuthorizationAsked)
    late = await site.command(c.AnswerAuthorization(request_id=asked.request_id, accepted=True))
    assert [(each.outcome, each.reason) for each in late] == [(Outcome.REJECTED, "request_is_over")]
    assert len(site.points.of(w.AnswerStart)) == 1


async def test_an_answer_for_a_link_that_is_gone_starts_nothing(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER)
    await site.settle()
    site.lose()
    (asked,) = site.told(e.AuthorizationAsked)
    late = await site.command(c.AnswerAuthorization(request_id=asked.request_id, accepted=True))
    assert late[0].outcome is Outcome.REJECTED
    assert site.station.book.open_transactions() == []


async def test_a_disk_that_fails_refuses_at_once(site: Site, monkeypatch: Any) -> None:
    def broken(*_: Any) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("edge.journal.store.Store.apply", broken)
    request_no = site.ask()
    while not site.points.of(w.AnswerStart):
        await site.station._journal.commit([])
    (found,) = site.points.of(w.AnswerStart)
    assert (found.request_no, found.accepted) == (request_no, False)
    assert found.reason is RefusalReason.OUT_OF_SERVICE
    site.station.on_hq_connected()  # a report of the whole state must not fail either
    site.station.tick()
    assert site.station.alarms.is_open("storage_failed", "station")
    monkeypatch.undo()
    await site.tick()
    assert not site.station.alarms.is_open("storage_failed", "station")


async def test_limits_stop_the_charge(site: Site) -> None:
    await site.command(entry(limit_fen=10))
    number = await site.run((0, 500))
    assert site.points.of(w.StopRemotely) == []
    site.charging(number, 1000)
    site.charging(number, 1100)
    assert len(site.points.of(w.StopRemotely)) == 1
    site.lose()
    site.log_in()
    site.charging(number, 1200)  # what a lost link swallowed is sent again
    assert len(site.points.of(w.StopRemotely)) == 2


async def test_a_charge_that_goes_on_beyond_its_limit_is_stopped_again(site: Site) -> None:
    await site.command(entry(limit_fen=10))
    number = await site.run((0, 500, 1000))
    assert len(site.points.take(w.StopRemotely)) == 1
    site.clock.advance(1)
    site.charging(number, 1000, current_da=0)  # the proof, but it is no end
    await site.tick()
    assert site.points.take(w.StopRemotely) == []
    site.charging(number, 1010)
    assert len(site.points.take(w.StopRemotely)) == 1


async def test_a_limit_survives_a_restart(site: Site) -> None:
    await site.command(entry(limit_fen=10))
    number = await site.run((0, 500, 1000))
    await site.tick()
    await site.crash()
    site.log_in()
    site.charging(number, 1100)
    assert len(site.points.of(w.StopRemotely)) == 1


@pytest.mark.parametrize(
    ("limits", "sample"),
    [
        ({"limit_dwh": 900}, {}),
        ({"limit_soc_percent": 80}, {"soc_percent": 80}),
        ({"limit_min": 10}, {"charged_min": 10}),
        ({"limit_fen": 10}, {}),
    ],
)
async def test_every_limit_of_an_order(
    site: Site, limits: dict[str, int], sample: dict[str, int]
) -> None:
    order = c.StartTransaction(
        order_id=VERSION.tariff_version_id, charge_point_no=CP, connector_no=1, **limits
    )
    await site.command(order)
    (start,) = site.points.of(w.StartRemotely)
    site.charging(start.transaction_no, 100)
    assert site.points.of(w.StopRemotely) == []
    site.charging(start.transaction_no, 1000, **sample)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_connectors_that_feed_one_vehicle_go_together(site: Site) -> None:
    first = await site.start(parallel_no="0001")
    site.ask(OTHER, connector_no=2, parallel_no="0001")
    await site.settle()
    (failed,) = site.told(e.TransactionStartFailed)
    assert (failed.transaction_no, failed.reason) == (first, "parallel_refused")
    assert [stop.connector_no for stop in site.points.of(w.StopRemotely)] == [1]


async def test_one_permission_for_one_vehicle_is_spent_once_on_two_connectors(site: Site) -> None:
    entry = c.AccessEntry(token=Token(TokenKind.CARD, CARD), limit_fen=1_000)
    await site.command(c.PublishAccessList(version=99, entries=(entry,)))
    numbers = [await site.start(connector_no=n, parallel_no="0001") for n in (1, 2)]
    for connector_no, number in enumerate(numbers, 1):
        site.charging(number, 100, connector_no=connector_no, amount_e4=49_000)
    assert site.points.of(w.StopRemotely) == []
    site.charging(numbers[0], 110, connector_no=1, amount_e4=52_000)
    assert sorted(stop.connector_no for stop in site.points.of(w.StopRemotely)) == [1, 2]


async def test_hq_allots_each_of_its_parallel_orders_a_limit_of_its_own(site: Site) -> None:
    for connector_no in (1, 2):
        order = c.StartTransaction(
            order_id=uuid4(),
            charge_point_no=CP,
            connector_no=connector_no,
            limit_fen=1_000,
            parallel_no="000000000001",
        )
        await site.command(order)
    starts = site.points.of(w.StartRemotely)
    for start in starts:
        site.charging(start.transaction_no, 100, connector_no=start.connector_no, amount_e4=90_000)
    assert site.points.of(w.StopRemotely) == []


@pytest.mark.parametrize(
    "entries",
    [
        (c.AccessEntry(token=Token(TokenKind.CARD, CARD), frozen=True),),
        (c.AccessEntry(token=Token(TokenKind.CARD, CARD), expires_at=from_ms(1)),),
        (c.AccessEntry(token=Token(TokenKind.CARD, CARD), limit_fen=1),),
        (),
    ],
    ids=["frozen", "expired", "no limit left", "unknown"],
)
async def test_whoever_started_may_stop_whatever_became_of_the_token(
    site: Site, entries: tuple[c.AccessEntry, ...]
) -> None:
    number = await site.run()
    await site.command(c.PublishAccessList(version=99, entries=entries))
    assert not (await answer(site, connector_no=2)).accepted
    site.charging(number, 1000)
    assert site.points.of(w.StopRemotely) == [], "what was permitted goes on"
    running = site.station.book.by_number(number)
    assert running is not None
    await site.command(c.StopTransaction(transaction_id=running.transaction_id))
    assert [stop.connector_no for stop in site.points.of(w.StopRemotely)] == [1]
    confirm = site.record(number, 1000)  # as after a stop with the card at the device itself
    await site.settle()
    assert (CP, confirm) in site.points.confirmed
    assert [ended.transaction_id for ended in site.told(e.TransactionEnded)] == [
        running.transaction_id
    ]


async def test_stopping_one_of_a_group_stops_all(site: Site) -> None:
    numbers = [await site.start(connector_no=n, parallel_no="0001") for n in (1, 2)]
    for connector_no, number in enumerate(numbers, 1):
        site.charging(number, 100, connector_no=connector_no)
    running = site.station.book.by_number(numbers[0])
    assert running is not None
    await site.command(c.StopTransaction(transaction_id=running.transaction_id))
    assert sorted(stop.connector_no for stop in site.points.of(w.StopRemotely)) == [1, 2]
    for connector_no, number in enumerate(numbers, 1):
        site.record(number, 150, connector_no=connector_no, minutes=1)
    await site.settle()
    assert [ended.parallel_no for ended in site.told(e.TransactionEnded)] == ["0001", "0001"]


async def test_a_refused_0x33_fails_and_one_without_a_plug_may_come_again(site: Site) -> None:
    def order(number: int) -> c.StartTransaction:
        return c.StartTransaction(order_id=from_order(number), charge_point_no=CP, connector_no=1)

    await site.command(order(1))
    (start,) = site.points.take(w.StartRemotely)
    at = site.at()
    site.bus.publish(r.StartAnswered(at, CP, 1, start.transaction_no, False, 3, b"\x33"))
    await site.settle()
    assert [each.reason for each in site.told(e.TransactionStartFailed)] == ["refused_3"]
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.FAILED

    settled = await site.command(order(2))
    (start,) = site.points.take(w.StartRemotely)
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, start.transaction_no, False, 5, b"\x33"))
    await site.tick(60)
    assert settled == []
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, "", True, 0, b"\x33"))  # zeros as number
    await site.settle()
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.DONE
    assert len(site.station.book.open_transactions()) == 1


async def test_who_has_a_minute_to_plug_in_has_it_from_the_answer_on(site: Site) -> None:
    command = c.StartTransaction(order_id=from_order(1), charge_point_no=CP, connector_no=1)
    await site.command(command)
    (start,) = site.points.take(w.StartRemotely)
    await site.tick(NORMAL.start_s - 10)
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, start.transaction_no, False, 5, b"\x33"))
    await site.tick(60)
    assert site.told(e.TransactionStartFailed) == []
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, start.transaction_no, True, 0, b"\x33"))
    site.charging(start.transaction_no, 100)
    await site.settle()
    assert site.told(e.CommandSettled)[-1].outcome is Outcome.DONE
    # Late, or sent again: it charges by now.
    site.bus.publish(r.StartAnswered(site.at(), CP, 1, start.transaction_no, False, 3, b"\x33"))
    await site.settle()
    assert site.told(e.TransactionStartFailed) == []
    (running,) = site.station.book.open_transactions()
    assert running.stage is Stage.CHARGING


def from_order(number: int) -> UUID:

    return UUID(int=number)


async def test_accounts_that_differ_in_case_are_two(site: Site) -> None:
    site.hq_up = True
    entries = tuple(
        c.AccessEntry(token=e.Token(TokenKind.ACCOUNT, name), limit_fen=limit)
        for name, limit in (("abc", 10_000), ("ABC", 20_000))
    )
    await site.command(c.PublishAccessList(version=2, entries=entries))
    found = await answer(site, token_kind=TokenKind.ACCOUNT, token="abc")
    assert found.balance_fen == 10_000


async def test_an_account_is_known_by_the_digits_that_were_typed(site: Site) -> None:
    entry = c.AccessEntry(token=Token(TokenKind.ACCOUNT, "13800138000"), limit_fen=9_000)
    await site.command(c.PublishAccessList(version=2, entries=(entry,)))
    found = await answer(site, token_kind=TokenKind.ACCOUNT, token="0000013800138000")
    assert (found.accepted, found.balance_fen) == (True, 9_000)


async def test_a_token_spends_one_limit_whoever_started_and_however_it_is_written(
    site: Site,
) -> None:
    entry = c.AccessEntry(token=Token(TokenKind.CARD, CARD.upper()), limit_fen=10_000)
    await site.command(c.PublishAccessList(version=2, entries=(entry,)))
    order = c.StartTransaction(
        order_id=uuid4(),
        charge_point_no=CP,
        connector_no=2,
        token=Token(TokenKind.CARD, CARD.upper()),
        limit_fen=6_000,
    )
    await site.command(order)
    found = await answer(site, token=CARD.lower())
    assert found.balance_fen == 4_000


async def test_a_listed_token_without_room_is_asked_about_since_orders_settle(site: Site) -> None:
    site.hq_up = True
    await site.command(entry(exposure_fen=50_000))  # published while an order was open
    request_no = site.ask()
    await site.settle()
    assert site.points.take(w.AnswerStart) == []
    [asked] = [fact for fact in site.facts if isinstance(fact, e.AuthorizationAsked)]
    await site.command(
        c.AnswerAuthorization(request_id=asked.request_id, accepted=True, limit_fen=50_000)
    )
    [found] = site.points.take(w.AnswerStart)
    assert (found.request_no, found.accepted, found.balance_fen) == (request_no, True, 50_000)


async def test_a_listed_token_without_room_is_refused_when_hq_does_not_answer(site: Site) -> None:
    site.hq_up = True
    await site.command(entry(exposure_fen=50_000))
    site.ask()
    await site.settle()
    await site.tick(4)
    [found] = site.points.take(w.AnswerStart)
    assert (found.accepted, found.reason) == (False, RefusalReason.LIMIT_REACHED)
