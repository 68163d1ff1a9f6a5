"""What a vehicle says of its limits once holds as long as it charges, and for no other vehicle."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from shared.contracts import events as e
from shared.contracts import protection as p
from tests.fakes.station_site import CP, CP2, Site


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def limits(site: Site, cell_cv: int) -> None:
    site.bus.publish(r.BatteryLimits(site.at(), CP, 1, "", cell_cv, 55, None, None, None, None))


def cells(site: Site, *highest_cv: int) -> None:
    for cell_cv in highest_cv:
        demand = (4000, 1000, 1, 4000, 1000, cell_cv, 1, 50, 9, 4000, 1000, 1)
        site.bus.publish(r.BmsDemanded(site.at(), CP, 1, "", *demand))


async def test_the_limit_of_the_cells_survives_a_crash(site: Site) -> None:
    await site.run()
    limits(site, 365)
    await site.tick()
    await site.crash()
    site.log_in()
    site.points.wishes.clear()
    cells(site, 367, 367, 368)
    assert site.points.of(w.StopRemotely) == []
    cells(site, 368)
    assert len(site.points.of(w.StopRemotely)) == 1
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].cause == "cell_over_voltage"


async def test_a_vehicle_that_left_limits_no_other(site: Site) -> None:
    number = await site.run()
    limits(site, 365)
    site.record(number, 2000)
    site.sample(plugged_in=False)
    await site.run()
    site.points.wishes.clear()
    cells(site, 420, 420, 420)
    assert site.points.of(w.StopRemotely) == []


async def test_a_cold_vehicle_before_a_warm_one_is_no_fire(site: Site) -> None:
    # The charge point goes on saying 20 °C of the vehicle before until this one charges.
    site.sample(plugged_in=True, battery_temp_max_c=20)
    number = await site.start()
    site.sample(plugged_in=True, battery_temp_max_c=20)
    site.charging(number, 0, battery_temp_max_c=35)
    assert site.points.of(w.StopRemotely) == []
    site.clock.advance(15)
    site.charging(number, 100, battery_temp_max_c=41)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_cells_that_differ_at_the_end_are_an_alarm_until_the_vehicle_leaves(
    site: Site,
) -> None:
    place = f"connector:{CP}:1"

    def end(lowest_cv: int | None) -> None:
        stopped = r.ChargingStopped(site.at(), CP, 1, "", 0x19, "", lowest_cv, 365)
        site.bus.publish(stopped)

    number = await site.run()
    end(None)
    end(335)
    assert not site.station.alarms.is_open("cell_spread", place)
    end(334)
    assert site.station.alarms.is_open("cell_spread", place)
    assert site.points.of(w.StopRemotely) == []
    site.record(number, 2000)
    site.clock.advance(1)
    site.sample(plugged_in=False)
    assert not site.station.alarms.is_open("cell_spread", place)


async def test_cells_that_are_told_of_behind_its_leaving_are_no_alarm_for_ever(
    site: Site,
) -> None:
    await site.run()
    site.sample(plugged_in=False)
    site.bus.publish(r.ChargingStopped(site.at(), CP, 1, "", 0x19, "", 300, 365))
    assert site.station.alarms.is_open("cell_spread", f"connector:{CP}:1")
    site.clock.advance(1)
    site.sample(plugged_in=False)
    assert not site.station.alarms.is_open("cell_spread", f"connector:{CP}:1")


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_vehicle_that_leaves_behind_a_restart_takes_its_danger_along(
    site: Site, is_there: bool
) -> None:
    await site.run()
    insulation_fails(site)
    await site.settle()
    await site.restart()
    site.log_in()
    site.log_in(CP2)
    if is_there:
        site.sample(plugged_in=True)
        await site.tick(10)
        assert site.station.latches.at((CP, 1))
    site.sample(plugged_in=False)
    await site.tick()
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


def insulation_fails(site: Site) -> None:
    for _ in range(2):
        site.clock.advance(15)
        site.bus.publish(r.BmsSampled(site.at(), CP, 1, "", 1, 30, 1, 29, 1, 0, 0b01_01))


async def test_what_is_said_of_a_vehicle_behind_its_leaving_blocks_nobody_for_ever(
    site: Site,
) -> None:
    number = await site.run()
    site.record(number, 2000)
    site.sample(plugged_in=False)
    insulation_fails(site)
    assert site.station.latches.at((CP, 1))
    site.clock.advance(300)
    site.sample(plugged_in=False)
    await site.tick()
    assert site.station.latches.at((CP, 1)) == []
    assert site.station.alarms.open_alarms() == []


async def test_a_vehicle_that_leaves_behind_another_document_takes_its_danger_along(
    site: Site,
) -> None:
    number = await site.run()
    insulation_fails(site)
    assert site.station.latches.at((CP, 1))
    site.record(number, 2000)
    site.sample(plugged_in=True)
    site.station.on_protection(p.Protection(zones=(p.Zone(name="new"),)))
    site.clock.advance(15)
    site.sample(plugged_in=False)
    await site.tick()
    assert site.station.latches.at((CP, 1)) == []
    assert site.station.alarms.open_alarms() == []


async def test_an_hour_of_stored_samples_in_a_second_is_no_fire(site: Site) -> None:
    number = await site.run()
    site.charging(number, 2000, battery_temp_max_c=25)
    site.lose()
    site.clock.advance(3600)
    site.log_in()
    site.points.wishes.clear()
    for step in range(10):
        site.charging(number, 2000 + 100 * step, battery_temp_max_c=25 + 2 * step, dated=False)
    site.clock.advance(10)
    site.charging(number, 3100, battery_temp_max_c=44)
    assert site.points.of(w.StopRemotely) == []
    # What rises from here on is seen.
    site.clock.advance(10)
    site.charging(number, 3200, battery_temp_max_c=50)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_a_stored_sample_of_what_runs_that_was_too_hot_stops(site: Site) -> None:
    number = await site.run()
    site.points.wishes.clear()
    site.charging(number, 3000, battery_temp_max_c=56, dated=False)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_a_stored_sample_of_a_free_connector_lifts_no_block(site: Site) -> None:
    number = await site.run()
    site.charging(number, 3000, battery_temp_max_c=56)
    assert site.station.latches.at((CP, 1))
    site.record(number, 3000)
    site.lose()
    site.log_in()
    site.sample(plugged_in=False, dated=False)
    assert site.station.latches.at((CP, 1))
    site.sample(plugged_in=False)
    assert site.station.latches.at((CP, 1)) == []
