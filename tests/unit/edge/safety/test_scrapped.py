"""A charge point that is taken out of the plant leaves nothing behind that nobody can end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.local_actions import SiteActions
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts.protection import OutputKind, Pin
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

PIN = "274913"
WANG = Pin(name="Wang", role="staff", hash=hash_pin(PIN))
ONE, TWO = (c.ChargePointConfig(charge_point_no=number, connector_count=2) for number in (CP, CP2))
PLACE = (CP2, 1)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Its second charge point comes from HQ, and reports a vehicle that fails."""
    site = await Site.make(tmp_path, configs=(ONE,))
    await site.command(c.PublishPins(version=1, pins=(WANG,)))
    await site.command(c.PublishRegistry(version=1, charge_points=(ONE, TWO)))
    vehicle_fails(site)
    assert site.station.latches.at(PLACE)
    yield site
    await site.close()


def vehicle_fails(site: Site) -> None:
    site.log_in(CP2)
    for _ in range(2):
        site.clock.advance(15)
        site.sample(CP2, plugged_in=True)
        site.bus.publish(r.BmsSampled(site.at(), CP2, 1, "", 1, 30, 1, 29, 1, 0, 0b01_01))


async def test_what_blocks_it_can_be_reset_on_site(site: Site) -> None:
    await site.command(c.PublishRegistry(version=2, charge_points=(ONE,)))
    reset = {"number": CP2, "connector": 1, "pin": PIN, "reason": "taken away"}
    await SiteActions(site.station).reset(reset)
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


async def test_the_same_danger_trips_again_when_it_is_back(site: Site) -> None:
    causes = {latch.cause for latch in site.station.latches.at(PLACE)}
    assert "charging_forbidden" in causes, "one that a rule of the document judges"
    await site.command(c.PublishRegistry(version=2, charge_points=(ONE,)))
    for latch in site.station.latches.all():
        site.station.perform(site.station.guard.release(latch, site.at(), "taken away", "Wang"))
    await site.command(c.PublishRegistry(version=3, charge_points=(ONE, TWO)))
    vehicle_fails(site)
    assert {latch.cause for latch in site.station.latches.at(PLACE)} == causes


async def test_a_cable_that_was_hot_trips_again_when_it_is_back(site: Site) -> None:
    def hot() -> None:
        site.log_in(CP2)
        site.sample(CP2, 2, plugged_in=True, cable_temp_c=95)

    hot()
    assert site.station.latches.at((CP2, 2))
    await site.command(c.PublishRegistry(version=2, charge_points=(ONE,)))
    for latch in site.station.latches.all():
        site.station.perform(site.station.guard.release(latch, site.at(), "taken away", "Wang"))
    await site.command(c.PublishRegistry(version=3, charge_points=(ONE, TWO)))
    hot()
    assert site.station.latches.at((CP2, 2))


async def test_a_stop_that_nobody_can_prove_any_more_is_no_alarm_for_ever(site: Site) -> None:
    await site.command(c.PublishRegistry(version=2, charge_points=(ONE,)))
    site.lose(CP2)
    for _ in range(15):
        await site.tick()
    assert not site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP2}:1")
    assert not site.station.safety.stopping(PLACE)


async def test_what_was_not_seen_to_stop_is_cut_off_when_it_is_given_up(site: Site) -> None:
    field = Field(site)
    field.install(document(output("k1", OutputKind.CONTACTOR, connectors=(PLACE,))))
    field.calm()
    field.pass_s(1.0)
    site.points.wishes.clear()
    assert site.station.safety.stopping(PLACE)
    assert not field.coils.get("k1")
    await site.command(c.PublishRegistry(version=2, charge_points=(ONE,)))
    assert field.coils["k1"]
    assert "isolated" in {latch.cause for latch in site.station.latches.at(PLACE)}
