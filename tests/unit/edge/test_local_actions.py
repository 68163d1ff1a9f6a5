"""What people on site ask for is done on the wire, or refused before anything changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.local_api import LocalApiError
from edge.safety.latches import Latch
from edge.station.pins import hash_pin
from edge.station.view_feed import ViewFeed
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import Pin
from tests.fakes.station_site import CP, Site

PIN = "274913"
PINS = (Pin(name="Wang", role="staff", hash=hash_pin(PIN)),)
HALF_A_LETTER = "\ud800"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    await site.command(c.PublishPins(version=1, pins=PINS))
    yield site
    await site.close()


async def ended(site: Site) -> str:
    """Have a transaction run and end; its record is awaited."""
    number = await site.run()
    site.clock.advance(1.0)
    site.sample(plugged_in=True, transaction_no=number)
    site.points.wishes.clear()
    return number


async def stop(site: Site) -> None:
    answer = await SiteActions(site.station).stop({"number": CP, "connector": 1, "pin": PIN})
    assert answer == {"by": "Wang"}


async def test_a_stop_ends_the_charge_and_says_who_wanted_it(site: Site) -> None:
    number = await site.run()
    site.points.wishes.clear()
    await stop(site)
    await site.settle()
    assert len(site.points.of(w.StopRemotely)) == 1
    (told,) = site.told(e.TransactionStoppedOnSite)
    assert (told.transaction_no, told.by) == (number, "Wang")


@pytest.mark.parametrize("runs", [True, False])
async def test_a_stop_that_cannot_be_sent_is_refused_and_sent_to_nobody_later(
    site: Site, runs: bool
) -> None:
    if runs:
        await site.run()
    site.points.wishes.clear()
    site.lose()
    with pytest.raises(LocalApiError, match="offline") as refused:
        await stop(site)
    assert refused.value.code == "offline"
    await site.settle()
    assert site.told(e.TransactionStoppedOnSite) == []
    site.log_in()
    site.station.tick()
    site.station.safety.tick(site.at())
    assert site.points.of(w.StopRemotely) == []


async def test_a_charge_point_that_is_back_is_stopped_before_it_said_what_runs(site: Site) -> None:
    await site.run()
    site.lose()
    site.log_in()
    site.points.wishes.clear()
    await stop(site)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_what_flows_without_a_number_behind_an_ended_transaction_is_stopped(
    site: Site,
) -> None:
    await ended(site)
    for _ in range(2):
        site.clock.advance(15.0)
        site.charging("", 100)
    site.points.wishes.clear()
    await stop(site)
    assert site.points.of(w.StopRemotely)


async def test_what_flows_under_the_number_of_an_ended_transaction_is_stopped(site: Site) -> None:
    number = await ended(site)
    site.clock.advance(1.0)
    site.bus.publish(
        r.BmsDemanded(
            site.at(), CP, 1, number, 4000, 1000, 1, 4000, 1000, 300, 1, 50, 9, 4000, 1000, 1
        )
    )
    await stop(site)
    assert site.points.of(w.StopRemotely)


@pytest.mark.parametrize("reason", [HALF_A_LETTER, "x" * 201, "two\nlines"])
async def test_a_reason_that_is_no_text_puts_no_alarm_aside(site: Site, reason: str) -> None:
    station = site.station
    now_ms = site.clock.now_ms()
    station.perform(station.alarms.raise_alarm("door_open", "sensor:d1/x", now_ms))
    alarm = station.alarms.find("door_open", "sensor:d1/x")
    assert alarm is not None
    request = {"alarm_id": str(alarm.alarm_id), "minutes": 5, "reason": reason, "pin": PIN}
    with pytest.raises(LocalApiError, match="reason: up to 200"):
        await SiteActions(station).shelve(request)
    assert station.alarms.get(alarm.alarm_id).shelved_until_ms is None
    assert ViewFeed(station.screen).line(only_changed=False)


async def test_a_reason_that_is_no_text_lifts_no_latch(site: Site) -> None:
    station = site.station
    station.perform(station.guard.block(Latch(CP, 1, "smoke", site.clock.now_ms()), site.at()))
    request = {"number": CP, "connector": 1, "reason": HALF_A_LETTER, "pin": PIN}
    with pytest.raises(LocalApiError, match="reason: up to 200"):
        await SiteActions(station).reset(request)
    assert station.latches.blocks((CP, 1)) is not None


@pytest.mark.parametrize("by", [HALF_A_LETTER, "x" * 41])
async def test_a_name_that_is_no_text_acknowledges_nothing(site: Site, by: str) -> None:
    station = site.station
    station.perform(station.alarms.raise_alarm("drill_due", "station", site.clock.now_ms()))
    alarm = station.alarms.find("drill_due", "station")
    assert alarm is not None
    with pytest.raises(LocalApiError, match="by: up to 40"):
        SiteActions(station).acknowledge({"alarm_id": str(alarm.alarm_id), "by": by})
    assert station.alarms.get(alarm.alarm_id).acknowledged_ms is None


async def reset(site: Site, number: str = "", connector: int = 0) -> object:
    request = {"number": number, "connector": connector, "reason": "looked", "pin": PIN}
    return await SiteActions(site.station).reset(request)


async def test_a_reset_of_the_station_lifts_what_a_zone_blocked_and_leaves_what_hq_did(
    site: Site,
) -> None:
    now = site.station.now()
    for connector_no in (1, 2):
        zone = Latch(CP, connector_no, "water", now.wall_ms, object="zone:pit")
        site.station.perform(site.station.guard.block(zone, now))
    ordered = Latch(CP, 2, "emergency_stop", now.wall_ms, by_hq=True)
    site.station.perform(site.station.guard.block(ordered, now))
    assert await reset(site) == {"released": "water", "by": "Wang"}
    assert site.station.latches.all() == [ordered]
    assert await reset(site, CP, 2) == {"released": "emergency_stop", "by": "Wang"}
    with pytest.raises(LocalApiError, match="nothing is blocked there"):
        await reset(site)


async def test_a_reset_of_a_charge_point_lifts_what_blocks_its_connectors(site: Site) -> None:
    now = site.station.now()
    for connector_no in (1, 2):
        latch = Latch(CP, connector_no, "water", now.wall_ms)
        site.station.perform(site.station.guard.block(latch, now))
    assert await reset(site, CP) == {"released": "water", "by": "Wang"}
    assert site.station.latches.all() == []
