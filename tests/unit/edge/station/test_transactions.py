"""Transactions at the station: closed once, by their record, whatever goes wrong before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.station.export import export_lines
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.words import EndKind, StartMeans, TokenKind
from tests.fakes.station_site import CARD, CP, CP2, Site

NO = "32010600019236012611221403229999"


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def ends(site: Site) -> list[e.TransactionEnded]:
    return site.told(e.TransactionEnded)


async def test_a_charge_from_card_to_bill(site: Site) -> None:
    number = await site.run()
    site.clock.advance(10)
    site.sample(plugged_in=True, transaction_no=number, energy_dwh=2050)
    token = site.record(number, 2050, minutes=1)
    assert site.points.confirmed == []  # nothing is durable yet
    await site.settle()
    assert site.points.confirmed == [(CP, token)]
    (authorized,) = site.told(e.TransactionAuthorized)
    (started,) = site.told(e.TransactionStarted)
    (ended,) = ends(site)
    assert ended.ended_by is EndKind.RECORD
    assert authorized.transaction_id == started.transaction_id == ended.transaction_id
    assert ended.flags == ()
    assert ended.token is not None
    assert ended.token.value == CARD
    assert ended.station_bill is not None
    assert ended.station_bill.payable_fen == 21  # 0.205 kWh at 1 yuan: 20.5 fen, half up
    assert site.station.book.open_transactions() == []


async def test_a_record_that_comes_twice_counts_once(site: Site) -> None:
    number = await site.run()
    started = from_ms(site.clock.now_ms() - 60_000)
    tokens = [site.record(number, 2000, started=started, minutes=1) for _ in range(5)]
    await site.settle()
    assert len(ends(site)) == 1
    assert [token for _, token in site.points.confirmed] == tokens


async def test_other_content_is_a_dispute_kept_once(site: Site) -> None:
    number = await site.run()
    started = from_ms(site.clock.now_ms() - 60_000)
    site.record(number, 2000, started=started, minutes=1)
    for _ in range(3):
        site.record(number, 90_000, started=started, minutes=1)
    await site.settle()
    first, second = ends(site)
    assert (first.ended_by, second.ended_by) == (EndKind.RECORD, EndKind.DISPUTED)
    assert first.transaction_id == second.transaction_id
    assert second.record is not None
    assert second.record.energy_dwh == 90_000
    assert len(site.points.confirmed) == 4
    assert [alarm.code for alarm in site.told(e.AlarmRaised)] == ["record_disputed"]
    (line,) = export_lines(site.station.book.closed.all())
    assert '"disputes": 1' in line


async def test_records_that_are_invented_without_end_are_only_counted(site: Site) -> None:
    number = await site.run()
    started = from_ms(site.clock.now_ms() - 60_000)
    for n in range(101):
        site.record(number, 2000 + n, started=started, minutes=1)
    await site.settle()
    assert len(ends(site)) == 21
    assert len(site.points.confirmed) == 101
    (line,) = export_lines(site.station.book.closed.all())
    assert '"disputes": 100' in line


async def test_a_record_without_a_start_makes_a_transaction(site: Site) -> None:
    site.record(NO, 3000, start_flag=4)
    site.record(NO, 3000, start_flag=4)
    await site.settle()
    (ended,) = ends(site)
    assert ended.means is StartMeans.OFFLINE_CARD
    assert "start_unseen" in ended.flags
    assert ended.station_bill is not None
    assert ended.station_bill.energy_dwh == 3000


@pytest.mark.parametrize(
    ("record", "token"),
    [
        ({"start_flag": 4, "physical_card_no": CARD}, e.Token(TokenKind.CARD, CARD)),
        ({"start_flag": 2, "physical_card_no": CARD}, e.Token(TokenKind.CARD, CARD)),
        ({"start_flag": 4, "physical_card_no": "0" * 16}, None),
        (
            {"start_flag": 5, "vin": "LSVAM4187C2184847"},
            e.Token(TokenKind.VIN, "LSVAM4187C2184847"),
        ),
        ({"start_flag": 5, "vin": ""}, None),
        ({"start_flag": 1, "physical_card_no": CARD}, None),
    ],
)
async def test_who_started_what_nobody_saw_stands_in_the_record(
    site: Site, record: dict[str, Any], token: e.Token | None
) -> None:
    site.record(NO, 3000, **record)
    await site.settle()
    (ended,) = ends(site)
    assert ended.token == token


@pytest.mark.parametrize("connector_no", [0, 256 + 0xFF])
async def test_a_record_is_matched_by_its_number_whatever_connector_it_names(
    site: Site, connector_no: int
) -> None:
    number = await site.run()
    site.record(number, 2000, minutes=1, connector_no=connector_no)
    site.record("", 3000, connector_no=connector_no, meter_start_dwh=1)
    await site.settle()
    ended, other = ends(site)
    assert (ended.transaction_no, ended.connector_no) == (number, 1)
    assert "connector_implausible" in ended.flags
    assert "connector_implausible" in other.flags
    assert len(other.transaction_no) == 32
    assert len(site.points.confirmed) == 2


async def test_an_unreadable_record_is_an_alarm(site: Site) -> None:
    site.bus.publish(r.Complained(site.at(), CP, 1, "record_unreadable", "too short"))
    await site.settle()
    assert [alarm.code for alarm in site.told(e.AlarmRaised)] == ["record_unreadable"]


async def test_numberless_records_without_a_start_are_told_apart(site: Site) -> None:
    early = from_ms(site.clock.now_ms() - 7_200_000)
    site.record("", 3000, started=early)
    site.record("", 4000, meter_start_dwh=8000)
    site.record("", 3000, started=early)
    await site.settle()
    assert [ended.record.energy_dwh for ended in ends(site) if ended.record] == [3000, 4000]
    assert len({ended.transaction_no for ended in ends(site)}) == 2


@pytest.mark.parametrize("wrong", ["", NO])
async def test_a_lost_number_is_matched_by_its_connector(site: Site, wrong: str) -> None:
    number = await site.run()
    site.clock.advance(15)
    site.sample(plugged_in=True)
    started = from_ms(site.clock.now_ms() - 60_000)
    for _ in range(2):
        site.record(wrong, 2010, started=started, minutes=1)
    site.record(number, 2010, started=started, minutes=1)
    await site.settle()
    assert [ended.transaction_no for ended in ends(site)][:1] == [number]
    assert "number_mismatch" in ends(site)[0].flags
    assert {ended.transaction_id for ended in ends(site)} == {ends(site)[0].transaction_id}
    assert [ended.ended_by for ended in ends(site)].count(EndKind.RECORD) == 1
    assert len(list(export_lines(site.station.book.closed.all()))) == 1
    assert len(site.points.confirmed) == 3


async def test_a_lost_number_and_a_lost_clock_are_matched_by_energy(site: Site) -> None:
    number = await site.run()
    site.clock.advance(15)
    site.sample(plugged_in=True)
    site.record("", 2010, no_times=True)
    await site.settle()
    (ended,) = ends(site)
    assert ended.transaction_no == number
    assert "clock_suspect" in ended.flags


async def test_one_number_for_two_transactions_makes_two_bills(site: Site) -> None:
    early = from_ms(site.clock.now_ms() - 86_400_000)
    for _ in range(2):
        site.record(NO, 3000, started=early, meter_start_dwh=100)
        site.record(NO, 4000, meter_start_dwh=9000)
    await site.settle()
    assert [ended.record.energy_dwh for ended in ends(site) if ended.record] == [3000, 4000]
    assert len({ended.transaction_id for ended in ends(site)}) == 2
    assert "number_reused" in ends(site)[1].flags


async def test_nobody_ends_or_feeds_another_charge_points_transaction(site: Site) -> None:
    number = await site.run()
    site.charging(number, 99_999, number=CP2)
    site.record(number, 99_999, number=CP2)
    await site.settle()
    (open_one,) = site.station.book.open_transactions()
    assert (open_one.transaction_no, open_one.last_dwh) == (number, 2000)
    (foreign,) = ends(site)
    assert foreign.charge_point_no == CP2
    assert foreign.transaction_no != number
    assert "number_foreign" in foreign.flags


async def test_a_record_that_never_comes_is_estimated_then_corrected(site: Site) -> None:
    number = await site.run()
    heard: list[e.TransactionEnded] = []
    site.station.on_ended = heard.append
    site.clock.advance(15)
    site.sample(plugged_in=True)
    for _ in range(12):
        await site.tick(60)
    assert len(site.points.of(w.CloseLink)) == 1
    (estimated,) = ends(site)
    assert (estimated.ended_by, estimated.record) == (EndKind.ESTIMATED, None)
    assert estimated.readings[-1].meter_dwh == 2000
    started = from_ms(site.clock.now_ms() - 15 * 60_000)
    for _ in range(2):
        site.record(number, 2040, started=started, minutes=1)
    await site.settle()
    _, corrected = ends(site)
    assert corrected.ended_by is EndKind.CORRECTED
    assert corrected.transaction_id == estimated.transaction_id
    assert heard == [estimated, corrected]  # whoever looks for the frames of an end


async def test_nothing_is_estimated_while_the_charge_point_is_away(site: Site) -> None:
    number = await site.run()
    site.lose()
    await site.tick(3600)
    assert ends(site) == []
    assert len(site.told(e.TransactionUnreachable)) == 1
    site.log_in()
    site.charging(number, 9000)
    await site.settle()
    assert len(site.told(e.TransactionResumed)) == 1
    site.lose()
    await site.tick(86_401)
    assert [ended.ended_by for ended in ends(site)] == [EndKind.ESTIMATED]


@pytest.mark.parametrize("idle_first", [False, True])
async def test_restarts_do_not_prolong_the_wait_for_who_stays_away(
    site: Site, idle_first: bool
) -> None:
    number = await site.run()
    if idle_first:
        site.clock.advance(15)
        site.sample(plugged_in=True, transaction_no=number, energy_dwh=2050)
    await site.settle()
    for _ in range(9):
        await site.restart()
        await site.tick(3 * 3600)
    await site.tick(60)
    assert [ended.ended_by for ended in ends(site)] == [EndKind.ESTIMATED]


async def test_a_clock_that_jumps_over_a_restart_leaves_time_to_come_back(site: Site) -> None:
    await site.run()
    site.lose()
    await site.settle()
    site.clock.jump(20 * 365 * 86_400)
    await site.restart()
    await site.tick(60)
    assert ends(site) == []


async def test_an_ended_one_whose_link_is_lost_waits_for_its_return(site: Site) -> None:
    await site.run()
    site.clock.advance(15)
    site.sample(plugged_in=True)
    site.lose()
    await site.tick(3000)
    assert ends(site) == []
    site.log_in()
    await site.tick(200)
    assert ends(site) == []  # what it stored comes after the login
    await site.tick(200)
    assert [ended.ended_by for ended in ends(site)] == [EndKind.ESTIMATED]
    assert site.points.of(w.CloseLink) == []


async def test_charging_that_went_on_without_us_is_no_clock_error(site: Site) -> None:
    number = await site.run()
    started = from_ms(site.clock.now_ms() - 45_000)
    site.lose()
    site.clock.advance(3600)
    site.log_in()
    site.sample(plugged_in=True, transaction_no=number, energy_dwh=200_000)
    site.clock.advance(5)
    site.record(number, 200_000, started=started, minutes=40)
    await site.settle()
    (ended,) = ends(site)
    assert ended.flags == ()
    assert ended.ended_at == from_ms(int(started.timestamp() * 1000) + 40 * 60_000)


async def test_1970_clocks_use_our_own_times(site: Site) -> None:
    number = await site.run()
    last_ms = site.clock.now_ms()
    site.clock.advance(5)
    site.record(number, 2000, started=from_ms(1_000_000), minutes=1, suspect=True)
    await site.settle()
    (ended,) = ends(site)
    assert "clock_suspect" in ended.flags
    assert ended.ended_at == from_ms(last_ms)
    assert ended.started_at.year == 2026


async def test_a_wrong_clock_is_flagged_and_its_offset_kept(site: Site) -> None:
    number = await site.run()
    late = from_ms(site.clock.now_ms() + 3_500_000)
    site.record(number, 2000, started=late, minutes=1)
    await site.settle()
    (ended,) = ends(site)
    assert "clock_suspect" in ended.flags
    assert ended.clock_offset_ms > 3_000_000


async def test_a_meter_that_steps_back_never_lowers_the_energy(site: Site) -> None:
    number = await site.run((0, 1000, 2000, 0, 1500))
    (running,) = site.station.book.open_transactions()
    assert running.last_dwh == 2000
    site.record(number, 2000, minutes=1)
    await site.settle()
    assert "meter_back_step" in ends(site)[0].flags


async def test_an_absurd_total_is_flagged(site: Site) -> None:
    number = await site.run()
    site.record(number, 9_100_000, minutes=1)
    site.record(NO, 9_100_000, minutes=1)
    await site.settle()
    assert ["total_implausible" in ended.flags for ended in ends(site)] == [True, True]


async def test_an_unknown_running_transaction_is_adopted(site: Site) -> None:
    site.charging(NO, 500)
    await site.settle()
    (started,) = site.told(e.TransactionStarted)
    assert (started.transaction_no, started.means) == (NO, StartMeans.UNKNOWN)


@pytest.mark.parametrize("state", list(r.WireState))
async def test_no_state_ends_a_transaction_while_current_flows(
    site: Site, state: r.WireState
) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    site.clock.advance(15)
    site.charging(number, 2500, state=state)
    assert (running.stage, running.last_dwh) == ("charging", 2500)
    running.limit_dwh = 3000
    site.charging(number, 3000, state=state)
    assert len(site.points.of(w.StopRemotely)) == 1
    assert not await _may_start(site)


@pytest.mark.parametrize("state", [s for s in r.WireState if s is not r.WireState.CHARGING])
async def test_only_idle_without_current_is_an_end(site: Site, state: r.WireState) -> None:
    number = await site.run()
    running = site.station.book.by_number(number)
    assert running is not None
    site.clock.advance(15)
    site.sample(plugged_in=True, state=state, transaction_no=number, energy_dwh=2050)
    assert running.stage == ("ended" if state is r.WireState.IDLE else "charging")


async def test_a_fault_without_current_starts_nothing(site: Site) -> None:
    number = await site.start()
    site.sample(state=r.WireState.FAULT, transaction_no=number)
    site.sample(state=r.WireState.FAULT, transaction_no=NO, connector_no=2)
    await site.settle()
    assert site.told(e.TransactionStarted) == []


async def _may_start(site: Site) -> bool:
    request_no = site.ask()
    await site.settle()
    (answer,) = [a for a in site.points.of(w.AnswerStart) if a.request_no == request_no]
    return answer.accepted


async def test_samples_without_a_number_belong_to_what_runs_there(site: Site) -> None:
    number = await site.run()
    site.charging("", 2500)
    (running,) = site.station.book.open_transactions()
    assert (running.transaction_no, running.last_dwh, running.stage) == (number, 2500, "charging")


async def test_a_late_sample_does_not_reopen_what_has_its_record(site: Site) -> None:
    number = await site.run()
    site.record(number, 2000, minutes=1)
    site.charging(number, 2000)
    await site.settle()
    assert site.station.book.open_transactions() == []


async def test_a_late_sample_reopens_an_estimate_under_its_id(site: Site) -> None:
    number = await site.run()
    site.sample(plugged_in=True)
    for _ in range(12):
        await site.tick(60)
    site.log_in()
    site.charging(number, 4000)
    site.clock.advance(60)
    site.record(number, 4100, minutes=15)
    await site.settle()
    estimated, corrected = ends(site)
    assert corrected.ended_by is EndKind.CORRECTED
    assert corrected.transaction_id == estimated.transaction_id


async def test_a_failed_start_that_charges_after_all_keeps_its_id(site: Site) -> None:
    number = await site.start()
    await site.tick(151)
    (failed,) = site.told(e.TransactionStartFailed)
    assert failed.reason == "no_start"
    site.charging(number, 100)
    site.clock.advance(20)
    site.record(number, 200, minutes=1)
    await site.settle()
    (ended,) = ends(site)
    assert (ended.transaction_id, ended.ended_by) == (failed.transaction_id, EndKind.RECORD)


async def test_the_record_of_a_failed_start_still_counts(site: Site) -> None:
    number = await site.start()
    await site.tick(151)
    site.record(number, 0, minutes=0)
    await site.settle()
    (ended,) = ends(site)
    assert ended.ended_by is EndKind.RECORD
    assert ended.transaction_id == site.told(e.TransactionStartFailed)[0].transaction_id


async def test_a_new_transaction_ends_the_one_before(site: Site) -> None:
    first = await site.run()
    site.charging(NO, 10)
    await site.settle()
    stages = {t.transaction_no: t.stage for t in site.station.book.open_transactions()}
    assert stages == {first: "ended", NO: "charging"}


async def test_a_swipe_that_is_repeated_supersedes_the_first(site: Site) -> None:
    first = await site.start()
    second = await site.start()
    (failed,) = site.told(e.TransactionStartFailed)
    assert (failed.transaction_no, failed.reason) == (first, "superseded")
    assert [t.transaction_no for t in site.station.book.open_transactions()] == [second]


async def test_replayed_samples_count_for_totals_only(site: Site) -> None:
    number = await site.run()
    site.charging(number, 3000, replayed=True)
    (running,) = site.station.book.open_transactions()
    assert (running.last_dwh, running.last_ms) == (3000, site.clock.now_ms())
    before = site.station.live.get((CP, 2)).sample
    site.charging("", 3000, connector_no=2, replayed=True)
    assert site.station.live.get((CP, 2)).sample is before


async def test_stored_samples_of_what_runs_say_how_much_but_not_when(site: Site) -> None:
    """An hour away; then what was stored comes at once, and after it what is."""
    number = await site.run()
    last_ms = site.clock.now_ms()
    site.clock.advance(3600)
    for energy_dwh in (2_100, 200_000, 400_000):
        site.charging(number, energy_dwh, dated=False)
    (running,) = site.station.book.open_transactions()
    assert (running.last_dwh, running.last_ms) == (400_000, last_ms)
    assert (running.stage, running.readings[1:]) == ("charging", [])
    site.clock.advance(1)
    site.charging(number, 402_000)
    cuts = running.readings[1:]
    assert [cut.gap_dwh for cut in cuts] == [400_000] * 2
    for cut in cuts:
        even_dwh = 2_000 + 400_000 * (cut.at_ms - last_ms) // 3_601_000
        assert cut.meter_dwh == even_dwh
    site.charging(number, 300_000, dated=False)
    assert (running.last_dwh, running.flags) == (402_000, ["replayed_samples"])


async def test_a_stored_sample_revives_nothing_that_has_ended(site: Site) -> None:
    number = await site.run()
    site.sample()
    site.charging(number, 3_000, dated=False)
    (ended,) = site.station.book.open_transactions()
    assert (ended.stage, ended.last_dwh) == ("ended", 3_000)
    site.charging(number, 3_100)
    assert ended.stage == "charging"


@pytest.mark.parametrize("days", [1, -1, 400, -20_000])
async def test_our_own_clock_may_jump(site: Site, days: int) -> None:
    number = await site.run()
    site.clock.jump(days * 86_400)
    await site.tick(15)
    site.charging(number, 3000)
    assert ends(site) == []
    assert site.points.of(w.CloseLink) == []
    site.clock.advance(15)
    site.record(number, 3010, minutes=1)
    await site.settle()
    (ended,) = ends(site)
    assert ended.station_bill is not None
    assert ended.station_bill.energy_dwh == 3010
    assert ended.flags  # somebody looks at it


async def test_what_the_vehicle_says_goes_to_hq_and_into_the_bill(site: Site) -> None:
    number = await site.run()
    at = site.at()
    site.bus.publish(r.BatteryIdentified(at, CP, 1, number, "LSVAA4182E2123456", 3, 1200, 3500))
    site.bus.publish(r.BatteryLimits(at, CP, 1, number, 365, 60, 2000, 4200, 600, 500))
    site.record(number, 2000, minutes=1)
    await site.settle()
    (told,) = site.told(e.BatteryIdentified)
    assert (told.vin, told.temperature_max_c) == ("LSVAA4182E2123456", 60)
    assert ends(site)[0].vin == "LSVAA4182E2123456"


async def test_frames_that_prove_the_bill_travel_with_it(site: Site) -> None:
    number = await site.run()
    at = site.at()
    site.bus.publish(r.FrameSent(at, CP, 1, number, 0x32, b"\x32"))
    site.bus.publish(r.FrameSent(at, CP, 1, "", 0x36, b"\x36"))
    site.record(number, 2000, minutes=1)
    await site.settle()
    assert ends(site)[0].raw_frames == (b"\x31", b"\x32", b"\x36")


async def test_the_memory_of_closed_ones_has_an_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.station.closed._MAX", 3)
    for n in range(5):
        site.record(f"{n:032d}"[:31] + str(n + 1), 10 + n, minutes=1)
        site.clock.advance(60)
    await site.settle()
    assert len(site.station.book.closed.all()) == 3
    await site.restart()
    assert len(site.station.book.closed.all()) == 3
