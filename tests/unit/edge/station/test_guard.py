"""What stood before a restart, and what another version of the program left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.safety.latches import Latch
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import Pin
from tests.fakes.field import Field, document
from tests.fakes.station_site import CP, Site

NEWER = "fumes_of_tomorrow"
PIN = "274913"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    pin = Pin(name="Wang", role="staff", hash=hash_pin(PIN))
    await site.command(c.PublishPins(version=1, pins=(pin,)))
    yield site
    await site.close()


async def left_by_another_version(site: Site) -> None:
    now_ms = site.clock.now_ms()
    site.station.perform(site.station.alarms.raise_alarm(NEWER, "sensor:x/y", now_ms))
    site.station.perform(site.station.alarms.raise_alarm("tariff_not_confirmed", CP, now_ms))
    await site.settle()


async def test_an_alarm_that_this_version_cannot_end_is_cleared_at_the_start(site: Site) -> None:
    await left_by_another_version(site)
    alarm = site.station.alarms.find(NEWER, "sensor:x/y")
    assert alarm is not None
    await site.crash()
    await site.settle()
    assert not site.station.alarms.is_open(NEWER, "sensor:x/y")
    assert site.station.alarms.is_open("tariff_not_confirmed", CP), "this one is known"
    (told,) = [each for each in site.told(e.AlarmCleared) if each.code == NEWER]
    assert told.alarm_id == alarm.alarm_id
    assert "not known to this version" in told.reason
    assert "本版本" in told.reason
    await site.crash()
    assert not site.station.alarms.is_open(NEWER, "sensor:x/y")


async def test_what_it_latched_stays_until_somebody_on_site_has_looked(site: Site) -> None:
    await left_by_another_version(site)
    latch = Latch(CP, 1, NEWER, site.clock.now_ms(), object="sensor:x/y")
    site.station.perform(site.station.guard.block(latch, site.at()))
    await site.settle()
    await site.crash()
    site.log_in()
    field = Field(site)
    field.install(document())
    field.pass_s(70.0, field.calm)
    assert site.station.latches.blocks((CP, 1)) == latch
    assert site.station.alarms.is_open(NEWER, "sensor:x/y")
    request = {"number": CP, "connector": 1, "reason": "looked", "pin": PIN}
    await SiteActions(site.station).reset(request)
    assert site.station.latches.all() == []
    assert not site.station.alarms.is_open(NEWER, "sensor:x/y")


async def test_what_charges_where_a_block_stands_without_its_alarm_is_stopped(site: Site) -> None:
    # Stored alarms may be damaged where latches are not.
    number = await site.run()
    site.station.latches.set(Latch(CP, 1, "smoke", 0))
    assert site.station.alarms.none_open
    site.points.wishes.clear()
    site.charging(number, 3000)
    assert len(site.points.of(w.StopRemotely)) == 1
