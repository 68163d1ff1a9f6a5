"""What nobody sees where it sounds is sounded everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import OutputKind
from shared.contracts.words import Outcome
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import Site

DOCUMENT = document(
    output("north", zones=("A",)),
    output("south", zones=("B",)),
    output("light", OutputKind.STROBE, zones=("B",)),
)


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    (settled,) = await site.command(c.PublishProtection(version=1, protection=DOCUMENT))
    assert settled.outcome is Outcome.DONE, settled.reason
    yield site
    await site.close()


def sounding(field: Field) -> set[str]:
    return {name for name, on in field.coils.items() if on}


async def pass_s(site: Site, field: Field, seconds: int) -> None:
    for _ in range(seconds):
        await site.tick()
        field.poll()


async def smoke(site: Site) -> Field:
    field = Field(site)
    field.install(DOCUMENT)
    field.calm()
    field.pass_s(2.0)
    field.point("d1", 1.0)
    assert sounding(field) == {"north"}
    return field


async def test_an_unseen_alarm_sounds_everywhere_after_a_minute(site: Site) -> None:
    field = await smoke(site)
    await pass_s(site, field, 59)
    assert sounding(field) == {"north"}
    await pass_s(site, field, 3)
    assert sounding(field) == {"north", "south", "light"}
    assert [told.level for told in site.told(e.AlarmEscalated)][:1] == [1]


async def test_what_somebody_saw_or_silenced_does_not_grow_louder(site: Site) -> None:
    field = await smoke(site)
    station = site.station
    alarm = station.alarms.find("smoke", "sensor:d1/smoke")
    assert alarm is not None
    station.guard.on_silenced(alarm)
    await pass_s(site, field, 62)
    assert sounding(field) == {"light"}  # silence is for the ears
    station.perform(station.alarms.acknowledge(alarm.alarm_id, "Li", site.clock.now_ms()))
    await pass_s(site, field, 302)
    told = [each for each in site.told(e.AlarmEscalated) if each.alarm_id == alarm.alarm_id]
    assert [each.level for each in told] == [1]
