"""HQ's emergency stop trips like any other cause; only who ordered it may take it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.sound.player import RecordingPlayer
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts import protection as p
from shared.contracts.words import Outcome
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

CODE = "emergency_stop"
SIREN_A = output("siren_a", zones=("A",))
SIREN_B = output("siren_b", zones=("B",))
K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1), (CP, 2)))
TOGETHER = "7" * 17
PIN = "274913"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    pin = p.Pin(name="Wang", role="staff", hash=hash_pin(PIN))
    await site.command(c.PublishPins(version=1, pins=(pin,)))
    yield site
    await site.close()


def plant(site: Site, **more: object) -> Field:
    field = Field(site)
    field.install(document(SIREN_A, SIREN_B, K1, **more))
    field.pass_s(1.0, field.calm)
    field.writes.clear()
    return field


def order(connector_no: int = 1) -> c.EmergencyStop:
    return c.EmergencyStop(charge_point_no=CP, connector_no=connector_no)


def lift(connector_no: int = 1) -> c.ResetEmergencyStop:
    return c.ResetEmergencyStop(charge_point_no=CP, connector_no=connector_no)


async def charge_together(site: Site) -> dict[int, str]:
    numbers = {n: await site.start(connector_no=n, parallel_no=TOGETHER) for n in (1, 2)}
    for connector_no, number in numbers.items():
        site.charging(number, 100, connector_no=connector_no)
    site.points.wishes.clear()
    return numbers


def blocked(site: Site) -> set[tuple[str, int]]:
    connectors = [(number, n) for number in (CP, CP2) for n in (1, 2)]
    return {each for each in connectors if site.station.latches.blocks(each) is not None}


async def test_the_sirens_of_the_place_sound_and_no_others(site: Site) -> None:
    field = plant(site)
    await site.command(order())
    field.pass_s(0.2, field.calm)
    assert field.coils.get("siren_a")
    assert not field.coils.get("siren_b")
    await site.command(lift())
    field.pass_s(0.2, field.calm)
    assert not field.coils["siren_a"]


async def test_a_document_may_have_it_sound_nothing(site: Site) -> None:
    quiet = p.Interlock(cause=CODE, stop=p.Reach.STATION, sirens=False)
    field = plant(site, interlocks=(quiet,))
    await site.command(order())
    field.pass_s(0.2, field.calm)
    assert not field.coils.get("siren_a")
    assert blocked(site) == {(CP, 1)}, "it stops what HQ named, however far the row reaches"


async def test_sirens_sound_on_after_a_restart_and_a_silence_holds(site: Site) -> None:
    plant(site)
    await site.command(order())
    await site.crash()
    field = plant(site)
    field.pass_s(70.0, field.calm)
    assert field.coils["siren_a"]
    (alarm,) = site.station.alarms.open_alarms()
    assert alarm.active, "no rule ends what HQ ordered"
    assert site.points.of(w.StopRemotely) == [], "it trips no second time"
    site.station.perform(site.station.alarms.silence(alarm.alarm_id, "li", site.clock.now_ms()))
    site.station.guard.on_silenced(alarm)
    await site.settle()
    await site.crash()
    again = plant(site)
    again.pass_s(1.0, again.calm)
    assert not again.coils.get("siren_a")


async def test_its_figures_are_told_and_shown(site: Site) -> None:
    field = plant(site)
    number = await site.run()
    await site.command(order())
    field.pass_s(1.0, field.calm)
    site.sample(plugged_in=True, transaction_no=number)
    await site.settle()
    trips = site.told(e.SafetyTripped)
    assert {(trip.trip_id, trip.cause) for trip in trips} == {(trips[0].trip_id, CODE)}
    assert trips[-1].object == f"connector:{CP}:1"
    assert trips[-1].zone == "A"
    assert trips[-1].connectors == ((CP, 1),)
    assert trips[-1].stop_sent_us is not None
    assert trips[-1].siren_us is not None
    assert trips[-1].zero_current_ms == 1000
    (alarm,) = site.station.alarms.open_alarms()
    assert alarm.trip is not None
    assert alarm.trip.zero_ms == 1000


async def test_a_partner_is_blocked_over_a_crash_and_reset_with_it(site: Site) -> None:
    await charge_together(site)
    await site.command(order())
    assert blocked(site) == {(CP, 1), (CP, 2)}
    await site.crash()
    site.log_in()
    assert blocked(site) == {(CP, 1), (CP, 2)}
    settled = await site.command(lift())
    assert [(each.outcome, each.reason) for each in settled] == [(Outcome.DONE, "")]
    assert blocked(site) == set()
    assert site.station.alarms.open_alarms() == []


async def test_a_partner_is_reset_with_it_on_site_too(site: Site) -> None:
    await charge_together(site)
    await site.command(order())
    request = {"number": CP, "connector": 1, "reason": "looked", "pin": PIN}
    await SiteActions(site.station).reset(request)
    assert blocked(site) == set()
    assert site.station.alarms.open_alarms() == []


async def test_what_hq_did_not_order_stays_blocked_when_hq_resets(site: Site) -> None:
    field = plant(site)
    await charge_together(site)
    field.point("d1", 1.0)
    await site.command(order())
    await site.command(lift())
    assert {latch.cause for latch in site.station.latches.all()} >= {"smoke"}
    assert blocked(site) == {(CP, 1), (CP, 2)}
    assert not site.station.alarms.is_open(CODE, f"connector:{CP}:1")


async def test_ordered_once_more_it_stops_and_sounds_once_more(site: Site) -> None:
    field = plant(site)
    site.station.safety.speaker.connect(RecordingPlayer())
    await site.command(order())
    (alarm,) = site.station.alarms.open_alarms()
    site.station.perform(site.station.alarms.silence(alarm.alarm_id, "li", site.clock.now_ms()))
    site.station.guard.on_silenced(alarm)
    field.pass_s(0.2, field.calm)
    assert not field.coils["siren_a"]
    site.points.wishes.clear()
    await site.command(order())
    field.pass_s(0.2, field.calm)
    assert field.coils["siren_a"]
    assert [wish.connector_no for wish in site.points.of(w.StopRemotely)][:1] == [1]
    assert len({trip.trip_id for trip in site.told(e.SafetyTripped)}) == 2
    assert [each.alarm_id for each in site.station.alarms.open_alarms()] == [alarm.alarm_id]


@pytest.mark.parametrize("smoke_first", [True, False])
async def test_who_is_in_the_smoke_is_told_of_it_whatever_hq_orders(
    site: Site, smoke_first: bool
) -> None:
    field = Field(site)
    speaker = p.Output(name="voice", kind=p.OutputKind.SPEAKER)
    field.install(document(SIREN_A, speaker))
    player = RecordingPlayer()
    site.station.safety.speaker.connect(player)
    if smoke_first:
        field.point("d1", 1.0)
    await site.command(order())
    site.clock.advance(1.0)
    field.point("d1", 1.0)
    field.pass_s(0.2)
    assert player.wanted == ("fire", "both")


async def test_a_charge_point_that_is_away_is_cut_off_until_somebody_looked(site: Site) -> None:
    field = plant(site)
    site.lose()
    await site.command(order())
    assert field.coils["k1"]
    await site.command(lift())
    field.pass_s(0.2, field.calm)
    assert field.coils["k1"], "HQ closes no contactor"
    assert blocked(site) == {(CP, 1)}


async def test_what_a_document_has_opened_at_once_hq_does_not_close(site: Site) -> None:
    at_once = p.Interlock(
        cause=CODE, stop=p.Reach.STATION, contactor=p.OpenContactor.AT_ONCE, sirens=True
    )
    field = plant(site, interlocks=(at_once,))
    await site.command(order())
    assert field.coils["k1"]
    assert site.told(e.SafetyTripped)[-1].contactor_us is not None
    await site.command(lift())
    field.pass_s(0.2, field.calm)
    assert field.coils["k1"]
    request = {"number": CP, "connector": 1, "reason": "looked", "pin": PIN}
    await SiteActions(site.station).reset(request)
    field.pass_s(0.2, field.calm)
    assert not field.coils["k1"]


async def test_what_a_later_document_opens_hq_does_not_close_either(site: Site) -> None:
    field = plant(site)
    await site.command(order())
    field.pass_s(1.0, field.calm)
    assert not field.coils.get("k1")
    at_once = p.Interlock(
        cause=CODE, stop=p.Reach.STATION, contactor=p.OpenContactor.AT_ONCE, sirens=True
    )
    field.install(document(SIREN_A, SIREN_B, K1, interlocks=(at_once,)))
    field.pass_s(0.2, field.calm)
    assert field.coils["k1"]
    assert field.coils["siren_a"]
    await site.command(lift())
    field.pass_s(0.2, field.calm)
    assert field.coils["k1"]
    request = {"number": CP, "connector": 1, "reason": "looked", "pin": PIN}
    await SiteActions(site.station).reset(request)
    field.pass_s(0.2, field.calm)
    assert not field.coils["k1"]


async def test_what_a_rule_has_found_too_is_not_hqs_alone_after_a_restart(site: Site) -> None:
    rule = p.Threshold(
        rule_id="hot",
        code=CODE,
        select=p.Select(quantity=p.Quantity.BATTERY_TEMP_MAX_C),
        above=45.0,
    )
    plant(site, rules=(rule,))
    numbers = await charge_together(site)
    await site.command(order())
    site.charging(numbers[1], 100, battery_temp_max_c=50)
    await site.tick()
    await site.crash()
    plant(site, rules=(rule,))
    site.facts.clear()
    site.log_in()
    site.charging(numbers[1], 100, battery_temp_max_c=50)
    await site.tick()
    assert site.told(e.SafetyTripped) == [], "it stands, and trips no second time"


async def test_ordered_once_more_it_stops_a_charge_point_that_is_new_here(site: Site) -> None:
    plant(site)
    await site.command(c.EmergencyStop())
    new = "32010600019238"
    configs = [*site.station.registry.all().values(), c.ChargePointConfig(charge_point_no=new)]
    await site.command(c.PublishRegistry(version=1, charge_points=tuple(configs)))
    site.log_in(new)
    site.points.wishes.clear()
    await site.command(c.EmergencyStop())
    assert new in {wish.charge_point_no for wish in site.points.of(w.StopRemotely)}


async def test_what_a_rule_finds_where_hq_has_ordered_is_not_hqs_to_lift(site: Site) -> None:
    rule = p.Threshold(
        rule_id="hot",
        code=CODE,
        select=p.Select(quantity=p.Quantity.BATTERY_TEMP_MAX_C),
        above=45.0,
    )
    field = plant(site, rules=(rule,))
    number = await site.run()
    await site.command(order())
    site.charging(number, 100, battery_temp_max_c=50)
    field.pass_s(1.0, field.calm)
    site.charging(number, 100, battery_temp_max_c=50)
    (alarm,) = [each for each in site.station.alarms.open_alarms() if each.code == CODE]
    assert alarm.object == f"connector:{CP}:1"
    await site.command(lift())
    assert [latch.by_hq for latch in site.station.latches.all()] == [False]
    assert len(blocked(site)) == 4, "as far as the row reaches"
    assert site.station.alarms.is_open(CODE, alarm.object)


async def test_what_hq_orders_where_a_rule_has_tripped_is_not_lifted_by_the_rule(
    site: Site,
) -> None:
    rule = p.Threshold(
        rule_id="hot",
        code=CODE,
        select=p.Select(quantity=p.Quantity.BATTERY_TEMP_MAX_C),
        above=45.0,
    )
    field = plant(site, rules=(rule,))
    number = await site.run()
    site.charging(number, 100, battery_temp_max_c=50)
    await site.command(order())
    site.charging(number, 100, battery_temp_max_c=20, current_da=0)
    field.pass_s(1.0, field.calm)
    site.sample()  # the vehicle is gone, and what was hot with it
    field.pass_s(1.0, field.calm)
    assert len(blocked(site)) == 4
    await site.command(lift())
    assert len(blocked(site)) == 4, "nor by HQ"
    assert site.station.alarms.is_open(CODE, f"connector:{CP}:1")


async def test_what_blocks_a_charge_point_that_is_gone_is_shown_and_can_be_lifted(
    tmp_path: Path,
) -> None:
    one, two = (c.ChargePointConfig(charge_point_no=number) for number in (CP, CP2))
    site = await Site.make(tmp_path, configs=(one,))
    await site.command(c.PublishRegistry(version=1, charge_points=(one, two)))
    field = plant(site)
    await site.command(c.EmergencyStop(charge_point_no=CP2, connector_no=1))
    assert field.coils["siren_b"]
    await site.command(c.PublishRegistry(version=2, charge_points=(one,)))
    field.pass_s(0.5, field.calm)
    subject = f"connector:{CP2}:1"
    assert field.coils["siren_b"] is site.station.alarms.is_open(CODE, subject), "no siren for none"
    (settled,) = await site.command(c.ResetEmergencyStop(charge_point_no=CP2, connector_no=1))
    field.pass_s(0.5, field.calm)
    assert settled.outcome is Outcome.DONE
    assert not field.coils["siren_b"]
    assert not site.station.alarms.is_open(CODE, subject)
    assert site.station.latches.all() == []
    await site.close()
