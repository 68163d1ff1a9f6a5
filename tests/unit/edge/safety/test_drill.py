"""A drill tries what people must hear and see, stops nothing, and gives way to what is real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.safety.drill import DrillError
from edge.sound.player import RecordingPlayer
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, Site

SIREN = output("siren", zones=("A",))
STROBE = output("strobe", p.OutputKind.STROBE, read_back="")
CONTACTOR = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),))
SPEAKER = p.Output(name="voice", kind=p.OutputKind.SPEAKER)
PLANT = document(SIREN, STROBE, CONTACTOR, SPEAKER)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    site.station.safety.speaker.connect(RecordingPlayer())
    field = Field(site)
    field.install(PLANT)
    field.pass_s(1.0, field.calm)
    field.writes.clear()
    return field


def player(site: Site) -> RecordingPlayer:
    found = site.station.safety.speaker._player
    assert isinstance(found, RecordingPlayer)
    return found


async def test_each_is_tried_for_a_moment_and_nothing_is_stopped(site: Site, field: Field) -> None:
    await site.run()
    site.points.wishes.clear()
    site.station.guard.start_drill("li")
    await site.settle()
    (raised,) = [each for each in site.told(e.AlarmRaised) if each.code == "siren_drill"]
    assert raised.drill
    assert site.station.safety.watch.drill_running
    field.pass_s(15.0, field.calm)
    await site.settle()
    (finished,) = site.told(e.DrillFinished)
    assert finished.by == "li"
    assert [(each.name, each.ok, each.detail) for each in finished.outputs] == [
        ("siren", True, ""), ("strobe", True, "no_read_back"), ("speaker", True, ""),
    ]  # fmt: skip
    assert finished.outputs[0].read_back_ms is not None
    assert finished.outputs[0].read_back_ms <= 200
    assert field.writes == [("siren", True), ("siren", False), ("strobe", True), ("strobe", False)]
    assert [each and each[0] for each in player(site).played] == ["drill", None]
    assert site.points.of(w.StopRemotely) == []
    assert site.told(e.SafetyTripped) == []
    assert not site.station.alarms.is_open("siren_drill", "station")
    assert site.station.guard.last_drill_ms is not None


async def test_what_fails_is_said(site: Site, field: Field) -> None:
    field.stuck["siren"] = False
    field.dead.add("strobe")
    player(site).reason = "no sound card"
    site.station.guard.start_drill("li")
    field.pass_s(15.0, field.calm)
    await site.settle()
    (finished,) = site.told(e.DrillFinished)
    assert [(each.name, each.ok, each.detail) for each in finished.outputs] == [
        ("siren", False, "reads_off"), ("strobe", False, "no_answer"),
        ("speaker", False, "no sound card"),
    ]  # fmt: skip


async def test_a_siren_that_stays_on_fails_too(site: Site, field: Field) -> None:
    site.station.guard.start_drill("li")
    field.pass_s(0.5, field.calm)
    field.stuck["siren"] = True
    field.pass_s(15.0, field.calm)
    await site.settle()
    (finished,) = site.told(e.DrillFinished)
    assert (finished.outputs[0].ok, finished.outputs[0].detail) == (False, "stays_on")


async def test_a_real_trip_ends_the_drill_at_once(site: Site, field: Field) -> None:
    site.station.guard.start_drill("li")
    field.pass_s(0.3, field.calm)
    assert field.coils["siren"]
    field.point("d1", 1.0)
    assert not site.station.safety.watch.drill_running
    assert len(site.points.of(w.StopRemotely)) == 2
    assert field.coils["siren"]
    assert player(site).wanted == ("fire", "both")
    field.pass_s(5.0)
    assert field.coils["siren"], "the drill's end does not switch off what is real"
    await site.settle()
    (finished,) = site.told(e.DrillFinished)
    assert {each.detail for each in finished.outputs} == {"interrupted"}
    assert site.station.guard.last_drill_ms is None
    with pytest.raises(DrillError, match="alarm stands"):
        site.station.guard.start_drill("li")


async def test_an_emergency_stop_of_hq_ends_the_drill_and_is_said(site: Site, field: Field) -> None:
    site.station.guard.start_drill("li")
    field.pass_s(0.3, field.calm)
    await site.command(c.EmergencyStop(charge_point_no=CP))
    assert not site.station.safety.watch.drill_running
    field.pass_s(1.0, field.calm)
    assert field.coils["siren"], "it is heard, too"
    assert player(site).wanted == ("emergency_stop", "both")
    await site.settle()
    (finished,) = site.told(e.DrillFinished)
    assert {each.detail for each in finished.outputs} == {"interrupted"}
    with pytest.raises(DrillError, match="alarm stands"):
        site.station.guard.start_drill("li")
    field.point("d1", 1.0)
    assert player(site).wanted == ("fire", "both"), "who is in the smoke must leave"


async def test_an_emergency_stop_of_hq_is_said_until_somebody_wants_quiet_or_it_is_reset(
    site: Site, field: Field
) -> None:
    await site.command(c.EmergencyStop(charge_point_no=CP))
    (alarm,) = site.station.alarms.open_alarms()
    assert alarm.object == f"charge_point:{CP}"
    site.station.perform(site.station.alarms.silence(alarm.alarm_id, "li", site.clock.now_ms()))
    site.station.guard.on_silenced(alarm)
    assert player(site).wanted is None
    await site.settle()
    await site.restart()
    site.station.safety.speaker.connect(RecordingPlayer())
    again = Field(site)
    again.install(PLANT)
    again.pass_s(1.0, again.calm)
    assert player(site).wanted is None
    await site.command(c.EmergencyStop(charge_point_no=CP))
    assert player(site).wanted == ("emergency_stop", "both"), "ordered once more"
    await site.command(c.ResetEmergencyStop(charge_point_no=CP))
    again.pass_s(0.2, again.calm)
    assert player(site).wanted is None
    assert not site.station.alarms.is_open(alarm.code, alarm.object)


async def test_who_wants_no_drill_to_sound_hears_a_fire_all_the_same(
    site: Site, field: Field
) -> None:
    site.station.guard.start_drill("li")
    field.pass_s(0.3, field.calm)
    site.station.safety.silence("siren_drill", "station", site.at())
    field.point("d1", 1.0)
    field.pass_s(0.2)
    assert field.coils["siren"]


async def test_one_drill_at_a_time_and_only_with_something_to_try(site: Site, field: Field) -> None:
    site.station.guard.start_drill("li")
    with pytest.raises(DrillError, match="under way"):
        site.station.guard.start_drill("li")
    field.pass_s(15.0, field.calm)
    field.install(document(CONTACTOR))
    with pytest.raises(DrillError, match="configured"):
        site.station.guard.start_drill("li")


async def test_a_drill_is_due_every_month(site: Site, field: Field) -> None:
    def due() -> bool:
        site.station.tick_hourly()
        return site.station.alarms.is_open("drill_due", "station")

    assert not due()
    site.clock.advance(30 * 86_400)
    await site.settle()
    await site.restart()
    again = Field(site)
    again.install(PLANT)
    site.station.safety.speaker.connect(RecordingPlayer())
    assert not due()
    site.clock.advance(2 * 86_400)
    assert due()
    again.pass_s(1.0, again.calm)
    site.station.guard.start_drill("li")
    again.pass_s(15.0, again.calm)
    assert not due()


async def test_the_loudspeaker_says_the_worst_and_falls_silent_when_told(
    site: Site, field: Field
) -> None:
    field.point("d1", 1.0)
    assert player(site).wanted == ("fire", "both")
    site.station.safety.silence("smoke", "sensor:d1/smoke", site.at())
    assert player(site).wanted is None


async def test_the_loudspeaker_sounds_where_the_siren_does_not(site: Site, field: Field) -> None:
    rows = (p.Interlock(cause="smoke", stop=p.Reach.ZONE, sirens=True),)
    field.install(document(SIREN, SPEAKER, interlocks=rows))
    field.stuck["siren"] = False
    field.point("d1", 1.0)
    assert player(site).wanted is None
    field.pass_s(2.0)
    assert player(site).wanted == ("evacuate", "both")
