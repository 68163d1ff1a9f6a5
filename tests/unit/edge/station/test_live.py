"""What a connector shows beside its charge: the car that stands there, and whose fault it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.devices.sensors.reports import OutputRead
from shared.contracts.protection import Device, Output, OutputKind, Protection
from tests.fakes.field import Field
from tests.fakes.station_site import CP, Site

PLACE = f"connector:{CP}:1"
CUT = Protection(
    devices=(Device(name="m", line="l", unit_id=1, profile="p"),),
    outputs=(
        Output(
            name="k1",
            kind=OutputKind.CONTACTOR,
            device="m",
            point="k",
            read_back="k",
            connectors=((CP, 1),),
        ),
    ),
)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


async def test_first_responders_see_whose_car_stands_there_until_it_leaves(site: Site) -> None:
    number = await site.run()
    site.bus.publish(r.BatteryIdentified(site.at(), CP, 1, number, "LVIN1", 6, 1000, 3500))
    site.clock.advance(1)
    site.sample(plugged_in=True, transaction_no="")

    def seen() -> str:
        return site.station.screen.build().charge_points[0].connectors[0].vin

    assert seen() == "LVIN1"
    site.clock.advance(1)
    site.sample(plugged_in=False)
    assert seen() == ""


@pytest.mark.parametrize(("faults", "raised"), [(0, False), (0x10, True)])
async def test_a_connector_that_the_station_cut_off_is_not_called_faulty_for_it(
    site: Site, faults: int, raised: bool
) -> None:
    Field(site).install(CUT)
    outputs = site.station.safety.outputs
    outputs.want(("smoke", "station"), ("k1",), site.at())
    site.bus.publish(OutputRead(site.at(), "k1", True))
    assert outputs.is_isolated((CP, 1))
    site.sample(state=r.WireState.FAULT, faults=faults)
    assert site.station.alarms.is_open("charge_point_fault", PLACE) is raised
    outputs.drop(("smoke", "station"), site.at())
    site.bus.publish(OutputRead(site.at(), "k1", False))
    site.clock.advance(1)
    site.sample(state=r.WireState.FAULT, faults=faults)
    assert site.station.alarms.is_open("charge_point_fault", PLACE)


async def test_a_fault_that_is_gone_is_no_alarm_any_more(site: Site) -> None:
    site.sample(faults=0x82)
    assert site.station.alarms.is_open("charge_point_fault", PLACE)
    site.sample()
    assert site.station.alarms.open_alarms() == []
