"""Smoke stops, sounds and isolates in one call, once, and stays so until a person looked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts import protection as p
from shared.contracts.words import ConnectorStatus
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren", zones=("A",))
STROBE = output("strobe", p.OutputKind.STROBE, zones=("A",))
ELSEWHERE = output("far", zones=("B",))
CONTACTOR = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1), (CP, 2)))
PLANT = document(SIREN, STROBE, ELSEWHERE, CONTACTOR)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    field = Field(site)
    field.install(PLANT)
    field.calm()
    field.pass_s(1.0)
    site.points.wishes.clear()
    field.writes.clear()
    await site.settle()
    site.facts.clear()
    return field


def stopped(site: Site) -> set[tuple[str, int]]:
    return {(wish.charge_point_no, wish.connector_no) for wish in site.points.of(w.StopRemotely)}


async def test_smoke_stops_its_zone_sounds_and_isolates_before_the_journal_hears(
    site: Site, field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def fails(*_: Any, **__: Any) -> None:
        order.append("journal")
        raise OSError("no space left on device")

    field.order = order
    site.points.on_wish = lambda wish: order.append(type(wish).__name__)
    monkeypatch.setattr(site.journal, "append", fails)
    monkeypatch.setattr(site.station, "add_sample", fails)
    field.point("d1", 1.0)
    first = order.index("journal")
    assert order[:first] == ["StopRemotely", "StopRemotely", "siren", "strobe", "k1"]
    assert field.coils["siren"]
    assert field.coils["k1"]
    assert not field.coils["far"]
    assert stopped(site) == {(CP, 1), (CP, 2)}
    # The next trip does not suffer from what could not be written of this one.
    field.point("d3", 1.0)
    assert stopped(site) == {(CP, 1), (CP, 2), (CP2, 1), (CP2, 2)}
    site.points.wishes.clear()
    field.pass_s(11.0)  # nor do the ladders, which have more to tell by now
    assert stopped(site) == {(CP, 1), (CP, 2), (CP2, 1), (CP2, 2)}


async def test_a_trip_is_one_fact_whose_figures_come_in(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    await site.settle()
    first = site.told(e.SafetyTripped)[0]
    assert (first.cause, first.object, first.zone) == ("smoke", "sensor:d1/smoke", "A")
    assert first.connectors == ((CP, 1), (CP, 2))
    assert first.zero_current_ms is None
    site.clock.advance(1.0)
    site.sample(connector_no=1, plugged_in=True)
    site.clock.advance(0.5)
    site.sample(connector_no=2, plugged_in=True)
    await site.settle()
    last = site.told(e.SafetyTripped)[-1]
    assert {trip.trip_id for trip in site.told(e.SafetyTripped)} == {first.trip_id}
    assert last.zero_current_ms == 1500
    assert last.siren_us == 0
    assert (last.contactors, last.contactor_us) == (("k1",), 0)
    (raised,) = site.told(e.AlarmRaised)
    assert (raised.code, raised.object) == ("smoke", "sensor:d1/smoke")


async def test_what_was_read_in_the_moment_of_the_stop_proves_nothing(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no, plugged_in=True)
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms is None


async def test_a_trip_that_could_tell_nobody_claims_no_figures(site: Site, field: Field) -> None:
    site.lose(CP)
    field.point("d1", 1.0)
    await site.settle()
    trip = site.told(e.SafetyTripped)[-1]
    assert (trip.stop_sent_us, trip.zero_current_ms) == (None, None)
    alarm = next(a for a in site.station.screen.alarms() if a.code == "smoke")
    assert alarm.trip_stop_ms is None


async def test_a_connector_that_was_without_current_has_no_time_to_zero(
    site: Site, field: Field
) -> None:
    number = await site.run()
    site.sample(connector_no=2)
    field.point("d1", 1.0)
    field.pass_s(1.5)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no, transaction_no=number, plugged_in=True)
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms == 1500
    # Another cause, and nothing flows any more: that the answer takes a while says nothing.
    field.point("d1", 1.0, quantity=p.Quantity.HEAT, point="heat")
    await site.settle()
    first = site.told(e.SafetyTripped)[-1]
    assert (first.cause, first.zero_current_ms) == ("heat", None), "nobody has looked yet"
    field.pass_s(0.5)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no, plugged_in=True)
    await site.settle()
    last = site.told(e.SafetyTripped)[-1]
    assert (last.trip_id, last.zero_current_ms) == (first.trip_id, 0)


def charging_begins(site: Site) -> None:
    site.bus.publish(r.BatteryLimits(site.at(), CP, 1, "", None, 55, None, None, None, None))


def battery_is_named(site: Site) -> None:
    site.bus.publish(r.BatteryIdentified(site.at(), CP, 1, "", "VIN", 3, 1000, 3500))


def vehicle_asks(site: Site) -> None:
    asked = (4000, 100, 1, 3990, 5, 400, 1, 50, 60, 3990, 5, 1)
    site.bus.publish(r.BmsDemanded(site.at(), CP, 1, "", *asked))


def vehicle_reports(site: Site) -> None:
    site.bus.publish(r.BmsSampled(site.at(), CP, 1, "", 1, 30, 1, 20, 1, 0, 0b01 << 4))


def link_comes_back(site: Site) -> None:
    site.lose(CP)
    site.log_in(CP)


def current_is_seen(site: Site) -> None:
    site.charging("", 0)


def current_is_seen_though_it_calls_itself_faulty(site: Site) -> None:
    site.charging("", 0, state=r.WireState.FAULT)


def nothing_flows_yet(site: Site) -> None:
    site.charging("", 0, current_da=0)


@pytest.mark.parametrize(
    "happens",
    [
        charging_begins,
        battery_is_named,
        vehicle_asks,
        vehicle_reports,
        link_comes_back,
        current_is_seen,
        current_is_seen_though_it_calls_itself_faulty,
        nothing_flows_yet,
    ],
)
async def test_it_is_not_without_current_because_it_once_was(
    site: Site, field: Field, happens: Callable[[Site], None]
) -> None:
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no)
    happens(site)
    field.point("d1", 1.0)
    field.pass_s(0.5)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no, plugged_in=True)
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms == 500


async def test_what_flows_after_the_stop_was_not_without_current(site: Site, field: Field) -> None:
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no)
    field.point("d1", 1.0)
    field.pass_s(0.5)
    site.charging("", 0)
    field.pass_s(0.5)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no, plugged_in=True)
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms == 1000


async def test_zero_is_not_claimed_for_a_connector_that_could_not_be_told(
    site: Site, field: Field
) -> None:
    zones = (p.Zone(name="A", connectors=((CP, 1), (CP2, 1))), p.Zone(name="B"))
    field.install(document(SIREN, zones=zones))
    site.lose(CP2)
    field.point("d1", 1.0)
    site.clock.advance(1.0)
    site.sample(CP, 1, plugged_in=True)
    await site.settle()
    trip = site.told(e.SafetyTripped)[-1]
    assert trip.stop_sent_us is not None
    assert trip.zero_current_ms is None, "at the other one it may still flow"


async def test_smoke_that_flaps_is_one_trip_until_somebody_resets_it(
    site: Site, field: Field
) -> None:
    for value in (1.0, 0.0, 1.0, 0.0) * 3:
        field.point("d1", value)
        field.pass_s(6.0)
    await site.settle()
    assert len({trip.trip_id for trip in site.told(e.SafetyTripped)}) == 1
    assert [raised.code for raised in site.told(e.AlarmRaised)].count("smoke") == 1
    assert field.coils["siren"], "nobody silenced or reset it"
    assert not site.station.safety.is_dangerous((CP, 1), site.at())
    effects = site.station.guard.release(
        site.station.latches.at((CP, 1))[0], site.at(), "looked", "chief"
    )
    site.station.perform(effects)
    assert [latch for latch in site.station.latches.all() if latch.cause == "smoke"] == []
    assert not field.coils["siren"]
    assert not field.coils["k1"]
    await site.settle()
    assert "smoke" in [cleared.code for cleared in site.told(e.AlarmCleared)]
    field.point("d1", 1.0)
    await site.settle()
    assert len({trip.trip_id for trip in site.told(e.SafetyTripped)}) == 2


async def test_the_cause_being_gone_resets_nothing(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    field.point("d1", 0.0)
    field.pass_s(10.0)
    assert not site.station.safety.is_dangerous((CP, 1), site.at())
    assert site.station.live.get((CP, 1)).status is ConnectorStatus.ALARM
    alarm = site.station.alarms.find("smoke", "sensor:d1/smoke")
    assert alarm is not None
    assert not alarm.active
    site.sample(plugged_in=False)
    assert site.station.latches.blocks((CP, 1)) is not None


async def test_smoke_blocks_starts_in_its_zone_and_nowhere_else(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    site.ask()
    await site.settle()
    assert [answer.accepted for answer in site.points.take(w.AnswerStart)] == [False]
    site.ask(charge_point_no=CP2)
    await site.settle()
    assert [answer.accepted for answer in site.points.take(w.AnswerStart)] == [True]


async def test_silence_ends_the_sound_of_this_alarm_only(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    site.station.safety.silence("smoke", "sensor:d1/smoke", site.at())
    assert not field.coils["siren"]
    assert field.coils["strobe"]
    field.point("d2", 1.0)
    assert field.coils["siren"], "a new alarm sounds"


async def test_a_fire_that_comes_back_sounds_again_and_nobody_has_seen_it(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    book, now_ms = site.station.alarms, site.clock.now_ms()
    alarm = book.find("smoke", "sensor:d1/smoke")
    assert alarm is not None
    site.station.guard.on_silenced(alarm)
    site.station.perform(book.silence(alarm.alarm_id, "li", now_ms))
    site.station.perform(book.acknowledge(alarm.alarm_id, "li", now_ms))
    field.pass_s(36.0, field.calm)
    field.point("d1", 1.0)
    field.pass_s(1.0)
    assert field.coils["siren"]
    back = book.find("smoke", "sensor:d1/smoke")
    assert back is not None
    assert (back.acknowledged_ms, back.silenced) == (None, False)
    await site.settle()
    assert len({trip.trip_id for trip in site.told(e.SafetyTripped)}) == 1


async def test_a_trip_comes_back_over_a_restart_without_tripping_again(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    await site.settle()
    await site.restart()
    site.facts.clear()
    again = Field(site)
    again.install(PLANT)
    assert again.coils["siren"]
    assert again.coils["k1"], "a contactor stays open"
    again.writes.clear()
    again.point("d1", 1.0)
    again.pass_s(1.0)
    await site.settle()
    assert site.told(e.SafetyTripped) == []
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    again.point("d1", 0.0)
    again.pass_s(12.0, lambda: again.point("d1", 0.0))
    assert not site.station.safety.is_dangerous((CP, 1), site.at())
    assert again.coils["siren"], "still nobody looked"


async def restart_in_smoke(site: Site, protection: p.Protection) -> Field:
    await site.settle()
    await site.restart()
    again = Field(site)
    again.install(protection)
    return again


async def test_a_detector_that_burned_does_not_end_its_trip_after_a_restart(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    again = await restart_in_smoke(site, PLANT)
    again.pass_s(35.0)
    again.pass_s(35.0, lambda: again.point("d1", None))
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    again.pass_s(11.0, lambda: again.point("d1", 0.0))
    assert not site.station.safety.is_dangerous((CP, 1), site.at())


async def test_a_detector_that_was_taken_out_holds_nobody_up_after_a_restart(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    without = tuple(each for each in PLANT.devices if each.name != "d1")
    plant = p.Protection(zones=PLANT.zones, devices=without, outputs=PLANT.outputs)
    again = await restart_in_smoke(site, plant)
    again.pass_s(62.0)
    assert not site.station.safety.is_dangerous((CP, 1), site.at())


async def test_a_rule_that_waits_has_its_time_after_a_restart(site: Site, field: Field) -> None:
    smoke = p.Select(quantity=p.Quantity.SMOKE)
    rule = p.Threshold(rule_id="s", code="smoke", select=smoke, above=0.5, hold_s=20.0)
    plant = document(SIREN, rules=(rule,))
    field.install(plant)
    field.pass_s(21.0, lambda: field.point("d1", 1.0))
    again = await restart_in_smoke(site, plant)
    again.pass_s(12.0, lambda: again.point("d1", 1.0))
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    again.pass_s(15.0, lambda: again.point("d1", 0.0))
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    again.pass_s(6.0, lambda: again.point("d1", 0.0))
    assert not site.station.safety.is_dangerous((CP, 1), site.at())


async def test_a_silence_holds_over_a_restart(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    alarm = site.station.alarms.find("smoke", "sensor:d1/smoke")
    assert alarm is not None
    site.station.guard.on_silenced(alarm)
    site.station.perform(site.station.alarms.silence(alarm.alarm_id, "li", site.clock.now_ms()))
    await site.settle()
    await site.restart()
    again = Field(site)
    again.install(PLANT)
    assert not again.coils["siren"]
    assert again.coils["strobe"]


async def test_an_alarm_whose_cause_went_while_the_agent_was_away_ends(
    site: Site, field: Field
) -> None:
    for _ in range(20):
        field.point("d1", None)
        field.pass_s(0.1)
    await site.settle()
    assert site.station.alarms.is_open("detector_fault", "sensor:d1")
    await site.restart()
    again = Field(site)
    again.install(PLANT)
    assert site.station.alarms.is_open("detector_fault", "sensor:d1")
    again.pass_s(70.0, again.calm)
    assert not site.station.alarms.is_open("detector_fault", "sensor:d1")


async def test_another_document_keeps_what_stands_and_stops_what_it_adds(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    site.points.wishes.clear()
    wider = document(
        SIREN, STROBE, ELSEWHERE, CONTACTOR,
        zones=(
            p.Zone(name="A", connectors=((CP, 1), (CP, 2), (CP2, 1))),
            p.Zone(name="B", connectors=((CP2, 2),)),
        ),
    )  # fmt: skip
    field.install(wider)
    assert (CP2, 1) in stopped(site)
    assert field.coils["siren"]
    assert site.station.latches.blocks((CP2, 1)) is not None


async def test_a_siren_that_leaves_the_document_is_switched_off_and_no_contactor_closed(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    assert field.coils["siren"]
    field.install(document(ELSEWHERE))
    assert not field.coils["siren"]
    assert field.coils["k1"]


async def test_what_charges_one_vehicle_together_is_stopped_together(tmp_path: Path) -> None:
    configs = tuple(c.ChargePointConfig(charge_point_no=no, connector_count=2) for no in (CP, CP2))
    site = await Site.make(tmp_path, configs=configs)
    field = Field(site)
    field.install(document(zones=(p.Zone(name="A", connectors=((CP, 1),)), p.Zone(name="B"))))
    for connector_no in (1, 2):
        number = await site.start(connector_no, parallel_no="7" * 17)
        site.charging(number, 100, connector_no=connector_no)
    site.points.wishes.clear()
    field.point("d1", 1.0)
    assert stopped(site) == {(CP, 1), (CP, 2)}
    await site.close()


async def test_unplugging_lifts_nothing_that_is_still_reported(site: Site, field: Field) -> None:
    row = p.Interlock(
        cause="cable_over_temperature", stop=p.Reach.CONNECTOR, reset=p.Reset.UNPLUGGED
    )
    field.install(document(interlocks=(row,)))
    field.pass_s(3.0, lambda: site.charging("", 100, cable_temp_c=120))
    (latch,) = site.station.latches.at((CP, 1))
    assert (latch.cause, latch.until_unplugged) == ("cable_over_temperature", True)
    field.pass_s(3.0, lambda: site.sample(cable_temp_c=120))
    assert site.station.latches.at((CP, 1)) == [latch], "the cable is as hot as before"
    field.pass_s(60.0, lambda: site.sample(cable_temp_c=20))
    assert site.station.latches.at((CP, 1)) == []
