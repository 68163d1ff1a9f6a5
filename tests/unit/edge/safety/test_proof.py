"""Silence is an alarm: a channel that proves nothing degrades protection, and may refuse starts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.sound.player import RecordingPlayer
from edge.view import ChannelView
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts import protection as p
from tests.fakes.field import PROFILES, Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren")
SPEAKER = p.Output(name="voice", kind=p.OutputKind.SPEAKER)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def begin(site: Site, protection: p.Protection) -> Field:
    field = Field(site)
    field.install(protection)
    field.calm()
    field.pass_s(1.0, field.calm)
    return field


def channel(site: Site, name: str) -> ChannelView:
    return next(each for each in site.station.safety.proof.views(site.at()) if each.name == name)


def alarms(site: Site) -> set[tuple[str, str]]:
    return {(each.code, each.object) for each in site.station.alarms.open_alarms()}


async def swipe(site: Site, number: str) -> bool:
    site.ask(charge_point_no=number)
    await site.settle()
    (answer,) = site.points.take(w.AnswerStart)
    return answer.accepted


async def test_a_detector_is_lost_within_three_polls(site: Site) -> None:
    field = begin(site, document(SIREN))
    assert channel(site, "sensor:d1").ok
    for poll in range(3):
        assert channel(site, "sensor:d1").ok, poll
        field.point("d1", None)
    assert channel(site, "sensor:d1").reason == "no_answer"
    field.point("d1", 0.0)
    assert channel(site, "sensor:d1").ok


async def test_a_detector_that_says_nothing_at_all_is_lost_too(site: Site) -> None:
    field = begin(site, document(SIREN))
    field.pass_s(3.0, lambda: field.point("d2", 0.0))
    assert channel(site, "sensor:d1").reason == "silent"
    assert channel(site, "sensor:d2").ok


async def test_a_lost_detector_is_one_alarm_by_the_rule_that_knows_it(site: Site) -> None:
    field = begin(site, document(SIREN))
    field.pass_s(5.0, lambda: (field.point("d1", None), field.point("d2", 0.0)))
    assert ("detector_fault", "sensor:d1") in alarms(site)
    assert "protection_degraded" not in {code for code, _ in alarms(site)}


async def test_without_a_rule_the_channel_itself_is_the_alarm(site: Site) -> None:
    field = begin(site, document(SIREN, rules=()))
    field.pass_s(5.0, lambda: (field.point("d1", None), field.point("d2", 0.0)))
    assert ("protection_degraded", "sensor:d1") in alarms(site)
    field.pass_s(2.0, field.calm)
    assert alarms(site) == set()


async def test_what_a_device_saw_does_not_explain_that_it_fell_silent(site: Site) -> None:
    smoke = p.Select(quantity=p.Quantity.SMOKE)
    rules = (p.Threshold(rule_id="s", code="environment_hot", select=smoke, above=0.5),)
    field = begin(site, document(SIREN, rules=rules))
    field.point("d1", 1.0)
    field.pass_s(5.0, lambda: (field.point("d1", None), field.point("d2", 0.0)))
    assert {("environment_hot", "sensor:d1/smoke"), ("protection_degraded", "sensor:d1")} <= alarms(
        site
    )


async def test_a_zone_without_a_working_detector_takes_no_new_car(site: Site) -> None:
    field = begin(site, document(SIREN))

    def dead(*names: str) -> None:
        for name in ("d1", "d2", "d3"):
            field.point(name, None if name in names else 0.0)

    field.pass_s(5.0, lambda: dead("d1"))
    assert site.station.safety.refuses((CP, 1)) == "", "another detector of the zone sees smoke"
    field.pass_s(5.0, lambda: dead("d1", "d2"))
    assert not await swipe(site, CP)
    assert site.station.safety.refuses((CP, 2)) == "detector_fault"
    assert site.station.safety.refuses((CP2, 1)) == ""
    field.pass_s(12.0, field.calm)
    assert await swipe(site, CP)


async def test_two_detectors_that_call_themselves_broken_do_not_stand_in_for_each_other(
    site: Site,
) -> None:
    field = begin(site, document(SIREN))

    def breaks(device: str) -> None:
        field.point(device, 1.0, quantity=p.Quantity.DETECTOR_FAULT, point="fault")

    breaks("d1")
    assert ("detector_fault", "sensor:d1/fault") in alarms(site)
    assert site.station.safety.refuses((CP, 1)) == "", "the other detector of the zone is well"
    breaks("d2")
    assert channel(site, "sensor:d2").ok, "it answers"
    assert site.station.safety.refuses((CP, 1)) == "detector_fault"
    assert site.station.safety.refuses((CP2, 1)) == ""


async def test_what_a_detector_sees_is_not_made_good_by_another_that_does_not(site: Site) -> None:
    smoke = p.Select(quantity=p.Quantity.SMOKE)
    rules = (p.Threshold(rule_id="s", code="environment_hot", select=smoke, above=0.5),)
    rows = (p.Interlock(cause="environment_hot", reset=p.Reset.NO_LATCH, no_new_starts=True),)
    field = begin(site, document(SIREN, rules=rules, interlocks=rows))
    field.point("d1", 1.0)
    assert site.station.safety.refuses((CP, 1)) == "environment_hot"


async def test_what_runs_goes_on_without_a_detector(site: Site) -> None:
    field = begin(site, document(SIREN))
    await site.run()
    site.points.wishes.clear()
    field.pass_s(5.0, lambda: (field.point("d1", None), field.point("d2", None)))
    assert site.points.of(w.StopRemotely) == []


async def test_whether_a_lost_detector_refuses_starts_is_the_matrix_to_say(site: Site) -> None:
    rows = (p.Interlock(cause="detector_fault", reset=p.Reset.NO_LATCH),)
    field = begin(site, document(SIREN, interlocks=rows))
    field.pass_s(5.0, lambda: (field.point("d1", None), field.point("d2", None)))
    assert await swipe(site, CP)


async def test_a_line_that_is_down_is_one_alarm_and_a_critical_one_with_its_siren(
    site: Site,
) -> None:
    field = begin(site, document(SIREN))
    field.dead.add("siren")
    for name in ("d1", "d2", "d3", "relay-siren"):
        field.answering(name, False)
    field.pass_s(6.0, lambda: [field.point(name, None) for name in ("d1", "d2", "d3")])
    assert not channel(site, "channel:bus").ok
    found = {code for code, _ in alarms(site)}
    assert "line_down" in found
    assert "output_fault" not in found
    assert "protection_degraded" not in found
    await site.settle()
    (raised,) = [each for each in site.told(e.AlarmRaised) if each.code == "line_down"]
    assert (raised.severity, raised.params["line"]) == ("critical", "bus")
    field.dead.clear()
    field.answering("d1", True)
    field.pass_s(3.0, field.calm)
    assert "line_down" not in {code for code, _ in alarms(site)}


async def test_the_loudspeaker_proves_itself_where_a_document_has_one(site: Site) -> None:
    player = RecordingPlayer()
    site.station.safety.speaker.connect(player)
    field = begin(site, document(SIREN, SPEAKER))
    field.pass_s(1.0, field.calm)
    assert channel(site, "channel:speaker").ok
    player.reason = "no sound card"
    field.pass_s(4.0, field.calm)
    assert ("protection_degraded", "channel:speaker") in alarms(site)
    field.install(document(SIREN))
    assert "channel:speaker" not in {
        each.name for each in site.station.safety.proof.views(site.at())
    }


async def test_a_screen_that_belongs_here_is_missed_and_a_visitor_is_not(site: Site) -> None:
    field = begin(site, document(SIREN))
    look = site.station.safety.watch.on_screen
    field.pass_s(30.0, lambda: (field.calm(), look(site.at())))
    field.pass_s(20.0, field.calm)
    assert "kiosk_silent" not in {code for code, _ in alarms(site)}
    field.pass_s(61.0, lambda: (field.calm(), look(site.at())))
    assert channel(site, "channel:screen").ok
    field.pass_s(14.0, field.calm)
    assert "kiosk_silent" in {code for code, _ in alarms(site)}
    look(site.at())
    field.pass_s(1.5, field.calm)
    assert "kiosk_silent" not in {code for code, _ in alarms(site)}


async def test_after_an_unclean_stop_nothing_starts_before_every_channel_has_proven_itself(
    site: Site,
) -> None:
    # Whatever the matrix says of it.
    rows = (p.Interlock(cause="self_test", reset=p.Reset.NO_LATCH),)
    plant = document(SIREN, interlocks=rows)
    site.profiles = PROFILES
    settled = await site.command(c.PublishProtection(version=1, protection=plant))
    assert [each.outcome for each in settled] == ["done"]
    await site.crash()
    site.log_in()
    field = Field(site)
    field.dead.add("siren")
    field.install(plant)
    field.pass_s(2.0, lambda: (field.point("d1", 0.0), field.point("d2", 0.0)))
    assert not await swipe(site, CP)
    assert ("self_test", "station") in alarms(site)
    assert site.station.safety.watch.starts_refused == "self_test"
    field.pass_s(1.0, field.calm)
    assert not await swipe(site, CP), "the siren has not read back yet"
    field.dead.clear()
    field.pass_s(3.0, field.calm)
    assert ("self_test", "station") not in alarms(site)
    assert await swipe(site, CP)


async def test_a_station_without_safety_devices_passes_its_self_test_at_once(site: Site) -> None:
    await site.settle()
    await site.crash()
    site.log_in()
    assert await swipe(site, CP)


async def test_a_clean_stop_needs_no_self_test(site: Site) -> None:
    begin(site, document(SIREN))
    await site.settle()
    await site.restart()
    site.log_in()
    Field(site).install(document(SIREN))
    assert await swipe(site, CP)


async def test_what_stood_of_a_charge_point_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    ours, theirs = (
        c.ChargePointConfig(charge_point_no=number, connector_count=2) for number in (CP2, CP)
    )
    site = await Site.make(tmp_path, configs=(ours,))
    await site.command(c.PublishRegistry(version=1, charge_points=(theirs,)))
    begin(site, document(SIREN))
    at, permitted = site.at(), 0b01 << 4
    site.bus.publish(r.BatteryLimits(at, CP, 1, "", None, 50, None, None, None, None))
    site.bus.publish(r.BmsSampled(at, CP, 1, "", 1, 47, 1, 40, 1, 0, permitted))
    assert ("battery_near_limit", f"connector:{CP}:1") in alarms(site)
    await site.command(c.PublishRegistry(version=2, charge_points=()))
    assert ("battery_near_limit", f"connector:{CP}:1") not in alarms(site)
    assert not site.station.safety.hands.causes
    await site.close()
