"""Two connectors charge one vehicle: what is wrong at one stops, opens and blocks both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.local_api import LocalApiError
from edge.safety.latches import Latch
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren", zones=("A",))
K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),))
K2 = output("k2", p.OutputKind.CONTACTOR, connectors=((CP, 2),))
ZONES = (p.Zone(name="A", connectors=((CP, 1),)), p.Zone(name="B", connectors=((CP, 2), (CP2, 1))))
TOGETHER = "7" * 17
PIN = "274913"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    await site.command(
        c.PublishPins(version=1, pins=(p.Pin(name="Wang", role="staff", hash=hash_pin(PIN)),))
    )
    yield site
    await site.close()


def plant(site: Site, *outputs: p.Output) -> Field:
    field = Field(site)
    field.install(document(*outputs, zones=ZONES))
    field.calm()
    return field


async def charge_together(site: Site) -> dict[int, str]:
    """Charge one vehicle at both connectors; return the transactions' numbers."""
    numbers = {}
    for connector_no in (1, 2):
        numbers[connector_no] = await site.start(connector_no, parallel_no=TOGETHER)
        site.charging(numbers[connector_no], 100, connector_no=connector_no)
    site.points.wishes.clear()
    return numbers


def stopped(site: Site) -> set[int]:
    return {wish.connector_no for wish in site.points.of(w.StopRemotely)}


async def reset(site: Site, connector_no: int) -> dict[str, object]:
    request = {"number": CP, "connector": connector_no, "reason": "looked", "pin": PIN}
    return await SiteActions(site.station).reset(request)


@pytest.mark.parametrize("outputs", [(SIREN, K1, K2), (SIREN, K2)], ids=["both", "partner only"])
async def test_a_partner_that_ignores_its_stop_is_isolated(
    site: Site, outputs: tuple[p.Output, ...]
) -> None:
    field = plant(site, *outputs)
    numbers = await charge_together(site)
    field.point("d1", 1.0)
    assert stopped(site) == {1, 2}

    def goes_on() -> None:
        site.sample(connector_no=1, plugged_in=True, transaction_no=numbers[1])
        site.charging(numbers[2], 100, connector_no=2)

    field.pass_s(20.0, goes_on)
    assert field.coils["k2"]


async def test_a_partner_that_charges_again_is_stopped_again(site: Site) -> None:
    field = plant(site, SIREN)
    numbers = await charge_together(site)
    field.point("d1", 1.0)
    site.clock.advance(1.0)
    for connector_no, number in numbers.items():
        site.sample(connector_no=connector_no, plugged_in=True, transaction_no=number)
    site.clock.advance(15.0)
    site.points.wishes.clear()
    site.charging(numbers[2], 200, connector_no=2)
    assert stopped(site) == {2}


async def test_no_partner_starts_whose_permission_was_stored_during_the_trip(site: Site) -> None:
    field = plant(site, SIREN)
    number = await site.start(1, parallel_no=TOGETHER)
    site.charging(number, 100, connector_no=1)
    site.ask(connector_no=2, parallel_no=TOGETHER, is_main=False)
    field.point("d1", 1.0)
    await site.settle()
    answers = [each for each in site.points.of(w.AnswerStart) if each.connector_no == 2]
    assert [each.accepted for each in answers] == [False]


async def test_no_partner_joins_what_is_blocked(site: Site) -> None:
    number = await site.start(1, parallel_no=TOGETHER)
    site.charging(number, 100, connector_no=1)
    site.points.wishes.clear()
    await site.command(c.EmergencyStop(charge_point_no=CP, connector_no=1))
    site.ask(connector_no=2, parallel_no=TOGETHER, is_main=False)
    await site.settle()
    assert [each.accepted for each in site.points.of(w.AnswerStart)] == [False]


async def test_a_start_is_withdrawn_when_its_partner_is_blocked_meanwhile(site: Site) -> None:
    number = await site.start(1, parallel_no=TOGETHER)
    site.charging(number, 100, connector_no=1)
    site.points.wishes.clear()
    site.ask(connector_no=2, parallel_no=TOGETHER, is_main=False)
    site.station.perform(
        site.station.guard.block(Latch(CP, 1, "emergency_stop", 0, by_hq=True), site.at())
    )
    await site.settle()
    assert [each.accepted for each in site.points.of(w.AnswerStart)] == [False]


async def test_a_partner_is_reset_with_the_cause_and_not_before_it_is_gone(site: Site) -> None:
    numbers = await charge_together(site)
    site.charging(numbers[1], 200, battery_temp_max_c=80)
    assert {latch.place for latch in site.station.latches.all()} == {(CP, 1), (CP, 2)}
    with pytest.raises(LocalApiError, match="still reported"):
        await reset(site, 2)
    site.clock.advance(1.0)
    for connector_no, number in numbers.items():
        site.sample(
            connector_no=connector_no, plugged_in=True, transaction_no=number, battery_temp_max_c=40
        )
    await reset(site, 1)
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


async def test_both_latches_go_with_the_vehicle(site: Site) -> None:
    numbers = await charge_together(site)
    site.charging(numbers[1], 200, battery_temp_max_c=80)
    site.clock.advance(1.0)
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no)
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


async def test_a_partners_latch_comes_back_over_a_crash(site: Site) -> None:
    numbers = await charge_together(site)
    site.charging(numbers[1], 200, battery_temp_max_c=80)
    await site.settle()
    await site.crash()
    assert site.station.latches.blocks((CP, 2)) is not None
    site.log_in()
    await reset(site, 2)
    assert site.station.latches.all() == []
