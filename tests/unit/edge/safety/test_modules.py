"""A relay module that dies alone is one alarm, whatever hangs on it; backups are used as well."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.sensors.reports import OutputRead
from shared.contracts import events as e
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

MODULE = "relays"
DOWN = ("output_module_down", f"sensor:{MODULE}")
NAMES = ("siren", "strobe", "k1")
SIREN = output("siren", device=MODULE, backup="spare", zones=("A",))
STROBE = output("strobe", p.OutputKind.STROBE, device=MODULE, zones=("A",))
K1 = output("k1", p.OutputKind.CONTACTOR, device=MODULE, connectors=((CP, 1), (CP, 2)), backup="k2")
SPARE = output("spare", zones=("B",))
K2 = output("k2", p.OutputKind.CONTACTOR, connectors=((CP2, 1),))
DETECTORS = tuple(
    p.Device(name=name, line="bus", unit_id=number, profile="detector", zone="A")
    for number, name in enumerate(("d1", "d2", "d3"), start=1)
)
RELAYS = tuple(
    p.Device(name=name, line="bus", unit_id=number, profile="relay")
    for number, name in enumerate((MODULE, "relay-spare", "relay-k2"), start=10)
)
PLANT = document(SIREN, STROBE, K1, SPARE, K2, devices=(*DETECTORS, *RELAYS))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    field = Field(site)
    field.install(PLANT)
    field.pass_s(8.0, field.calm)
    return field


def alarms(site: Site) -> set[tuple[str, str]]:
    return {
        (each.code, each.object)
        for each in site.station.alarms.open_alarms()
        if each.code not in ("smoke", "isolated")
    }


async def raised(site: Site) -> list[tuple[str, str]]:
    """Return every alarm that was raised, also those that ended; clear the facts."""
    await site.settle()
    found = [(each.code, each.object) for each in site.told(e.AlarmRaised)]
    site.facts.clear()
    return [each for each in found if each[0] not in ("smoke", "isolated")]


def die(field: Field) -> None:
    field.dead.update(NAMES)
    field.pass_s(0.3, field.calm)  # three polls
    field.answering(MODULE, False)


def burn(field: Field) -> None:
    for device in ("d1", "d2", "d3"):
        field.point(device, float(device == "d1"))


def live(field: Field) -> None:
    """It has forgotten what it was told."""
    field.dead.clear()
    field.coils.update(dict.fromkeys(NAMES, False))
    field.answering(MODULE, True)


async def test_a_module_that_dies_alone_is_one_alarm_that_names_its_outputs(
    site: Site, field: Field
) -> None:
    assert alarms(site) == set()
    die(field)
    field.pass_s(10.0, field.calm)
    assert await raised(site) == [DOWN]
    assert alarms(site) == {DOWN}
    alarm = site.station.alarms.find(*DOWN)
    assert alarm is not None
    assert alarm.params["outputs"] == "siren, strobe, k1"
    (shown,) = [each for each in site.station.screen.alarms() if each.code == DOWN[0]]
    assert shown.severity == "critical"
    assert "siren, strobe, k1" in shown.title_zh
    assert "siren, strobe, k1" in shown.title_en
    live(field)
    field.pass_s(3.5, field.calm)
    assert alarms(site) == set()
    assert await raised(site) == [], "it came back without a word of its outputs"


async def test_backups_stand_in_for_each_output_of_a_dead_module(site: Site, field: Field) -> None:
    die(field)
    field.pass_s(2.0, field.calm)
    field.pass_s(2.0, lambda: burn(field))
    assert field.coils["spare"]
    assert field.coils["k2"]
    field.pass_s(3.0, lambda: burn(field))
    assert alarms(site) == {DOWN}
    live(field)
    field.pass_s(4.0, lambda: burn(field))
    assert all(field.coils[name] for name in NAMES), "told again what was meant to be on"
    assert not field.coils["spare"]
    assert not field.coils["k2"]
    assert alarms(site) == set()


async def test_a_module_that_dies_while_its_siren_sounds_is_one_alarm(
    site: Site, field: Field
) -> None:
    field.pass_s(1.0, lambda: burn(field))
    await raised(site)
    die(field)
    field.pass_s(5.0, lambda: burn(field))
    assert field.coils["spare"]
    assert field.coils["k2"]
    assert await raised(site) == [DOWN]


async def test_what_stays_wrong_when_the_module_is_back_is_an_alarm_of_its_own(
    site: Site, field: Field
) -> None:
    die(field)
    field.pass_s(4.0, lambda: burn(field))
    live(field)
    field.stuck["siren"] = False
    field.pass_s(5.0, lambda: burn(field))
    assert alarms(site) == {("output_fault", "output:siren")}


async def test_a_module_that_is_back_has_a_moment_to_do_what_it_is_told(
    site: Site, field: Field
) -> None:
    die(field)
    field.pass_s(4.0, field.calm)
    await raised(site)
    field.answering(MODULE, True)
    field.pass_s(1.5, field.calm)  # it answers, and does nothing yet
    live(field)
    field.pass_s(4.0, field.calm)
    assert await raised(site) == []


async def test_a_module_that_comes_and_goes_is_told_of_too(site: Site, field: Field) -> None:
    for _ in range(6):  # a loose wire
        die(field)
        field.pass_s(1.2, field.calm)
        live(field)
        field.pass_s(0.5, field.calm)
    assert alarms(site) == {DOWN}
    assert (await raised(site)).count(DOWN) == 1
    field.pass_s(4.0, field.calm)
    assert alarms(site) == set()
    die(field)
    field.pass_s(1.0, field.calm)
    live(field)
    field.pass_s(6.0, field.calm)
    assert await raised(site) == [], "away for a moment, once"


async def test_a_contactor_that_nobody_may_move_is_no_alarm_beside_its_module(
    site: Site, field: Field
) -> None:
    site.station.safety.outputs.hold_contactors = True
    die(field)
    field.pass_s(6.0, field.calm)
    assert alarms(site) == {DOWN}


async def test_a_module_that_forgot_is_told_again_what_nobody_reads_back(site: Site) -> None:
    field = Field(site)
    field.install(document(output("siren", device=MODULE, read_back=""), devices=PLANT.devices))
    field.pass_s(1.0, lambda: burn(field))
    assert field.coils["siren"]
    field.answering(MODULE, False)
    field.coils["siren"] = False  # its supply was gone for a moment
    field.answering(MODULE, True)
    assert field.coils["siren"]


async def test_a_module_that_only_reads_back_is_one_alarm_too(site: Site) -> None:
    away = {"read_back": f"{MODULE}/back"}
    one, two = output("one", **away), output("two", p.OutputKind.STROBE, **away)
    devices = tuple(
        p.Device(name=name, line="bus", unit_id=number, profile="relay")
        for number, name in enumerate((MODULE, "relay-one", "relay-two"), start=10)
    )
    field = Field(site)
    field.install(document(one, two, devices=(*DETECTORS, *devices)))
    field.answering(MODULE, True)
    field.pass_s(6.0, field.calm)
    assert alarms(site) == set()
    field.answering(MODULE, False)
    for _ in range(50):
        field.calm()
        site.clock.advance(0.1)
        for name in ("one", "two"):
            site.bus.publish(OutputRead(site.at(), name, None))
        site.station.safety.tick(site.at())
    assert alarms(site) == {DOWN}
    alarm = site.station.alarms.find(*DOWN)
    assert alarm is not None
    assert alarm.params["outputs"] == "one, two"


async def test_a_dead_line_folds_its_modules_and_they_have_a_moment_when_it_is_back(
    site: Site, field: Field
) -> None:
    every = (*DETECTORS, *RELAYS)
    field.dead.update((*NAMES, "spare", "k2"))
    for device in every:
        field.answering(device.name, False)
    field.pass_s(10.0)
    assert {code for code, _ in await raised(site) if "output" in code} == set()
    assert ("line_down", "channel:bus") in alarms(site)
    # One after the other: the silent ones are asked in turns.
    for device in every:
        field.dead.difference_update(
            each.name for each in PLANT.outputs if each.device == device.name
        )
        field.answering(device.name, True)
        field.pass_s(0.25, field.calm)
    field.pass_s(8.0, field.calm)
    assert await raised(site) == []
    assert alarms(site) == set()


async def test_a_module_that_leaves_the_document_takes_its_alarm_along(
    site: Site, field: Field
) -> None:
    die(field)
    field.pass_s(4.0, field.calm)
    assert alarms(site) == {DOWN}
    field.install(document(SPARE, K2, devices=(*DETECTORS, *RELAYS[1:])))
    field.pass_s(2.0, field.calm)
    assert alarms(site) == set()


async def test_a_device_that_gets_its_first_output_is_known_to_answer(site: Site) -> None:
    field = Field(site)
    field.install(document(SPARE, devices=(*DETECTORS, *RELAYS)))
    field.answering(MODULE, True)
    field.pass_s(8.0, field.calm)
    field._known.add(MODULE)  # the line goes on asking it, and says no second time that it answers
    field.install(PLANT)
    field.pass_s(8.0, field.calm)
    assert alarms(site) == set()
    die(field)
    field.pass_s(4.0, field.calm)
    assert alarms(site) == {DOWN}


async def test_current_that_flows_through_a_contactor_out_of_reach_is_said_once(
    site: Site, field: Field
) -> None:
    every = (*DETECTORS, *RELAYS)
    number = await site.run()
    field.dead.update((*NAMES, "spare", "k2"))
    for device in every:
        field.answering(device.name, False)
    field.point("d1", 1.0)
    await raised(site)
    field.pass_s(20.0, lambda: site.charging(number, 100))
    assert (await raised(site)).count(("contactor_not_open", "output:k1")) == 1
    assert ("contactor_not_open", "output:k1") in alarms(site)


async def test_a_line_that_comes_and_goes_is_told_of_too(site: Site, field: Field) -> None:
    outputs = (*NAMES, "spare", "k2")
    devices = (*DETECTORS, *RELAYS)
    for _ in range(6):
        field.dead.update(outputs)
        for device in devices:
            field.answering(device.name, False)
        field.pass_s(1.5)
        field.dead.clear()
        for device in devices:
            field.answering(device.name, True)
        field.pass_s(0.5, field.calm)
    assert ("line_down", "channel:bus") in alarms(site)
    field.pass_s(4.0, field.calm)
    assert ("line_down", "channel:bus") not in alarms(site)


async def test_a_device_that_comes_and_goes_is_not_its_line(site: Site, field: Field) -> None:
    for _ in range(6):
        field.answering("relay-k2", False)
        field.pass_s(0.5, field.calm)
        field.answering("relay-k2", True)
        field.pass_s(0.5, field.calm)
    assert ("line_down", "channel:bus") not in alarms(site)
