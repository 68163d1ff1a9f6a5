"""What is blocked stays blocked and looked after, and a reset takes no protection away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.local_api import LocalApiError
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

SIREN = output("siren", zones=("A",))
FAR = output("far", zones=("B",))
K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),))
PLANT = document(SIREN, FAR, K1)
PIN = "274913"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    pin = p.Pin(name="Wang", role="staff", hash=hash_pin(PIN))
    await site.command(c.PublishPins(version=1, pins=(pin,)))
    yield site
    await site.close()


@pytest.fixture
async def field(site: Site) -> Field:
    return protect(site)


def protect(site: Site) -> Field:
    field = Field(site)
    field.install(PLANT)
    field.calm()
    field.pass_s(1.0)
    site.points.wishes.clear()
    return field


def hot(site: Site, transaction_no: str) -> None:
    site.charging(transaction_no, 100, battery_temp_max_c=80)


async def reset(site: Site) -> None:
    request = {"number": CP, "connector": 1, "reason": "looked", "pin": PIN}
    await SiteActions(site.station).reset(request)


async def test_a_battery_that_is_hot_again_after_a_reset_is_stopped_again(
    site: Site, field: Field
) -> None:
    number = await site.run()
    hot(site, number)
    site.lose()
    field.pass_s(65.0, field.calm)
    await reset(site)  # it said so long ago
    assert site.station.latches.at((CP, 1)) == []
    site.log_in()
    await site.settle()
    site.points.wishes.clear()
    hot(site, number)
    field.pass_s(0.3)
    assert site.points.of(w.StopRemotely)
    assert site.station.latches.blocks((CP, 1)) is not None


async def test_a_battery_that_is_hot_after_a_restart_too_is_not_reset(
    site: Site, field: Field
) -> None:
    number = await site.run()
    hot(site, number)
    await site.settle()
    await site.restart()
    again = protect(site)
    site.log_in()
    hot(site, number)
    assert site.station.safety.is_dangerous((CP, 1), site.at())
    with pytest.raises(LocalApiError, match="still reported"):
        await reset(site)
    again.pass_s(61.0, again.calm)
    await reset(site)
    site.sample(plugged_in=True)
    site.points.wishes.clear()
    hot(site, number)
    assert site.points.of(w.StopRemotely), "the rule still judges"


async def test_staff_close_no_contactor_under_what_a_chief_resets(site: Site, field: Field) -> None:
    number = await site.run()
    door = p.Quantity.TRANSFORMER_DOOR_OPEN
    field.point("d1", 1.0, quantity=door, point="door")
    field.pass_s(8.0, lambda: site.charging(number, 100))
    assert field.coils["k1"]
    with pytest.raises(LocalApiError, match="wider"):
        await reset(site)
    assert field.coils["k1"]


@pytest.mark.parametrize("unreadable", [False, True])
async def test_latches_that_cannot_be_read_hide_no_fire(
    site: Site, field: Field, unreadable: bool
) -> None:
    if unreadable:
        site.station.latches.distrust()
    everywhere = (p.Zone(name="A"), p.Zone(name="B", connectors=((CP2, 1),)))
    field.install(document(SIREN, zones=everywhere))
    field.point("d1", 1.0)
    site.clock.advance(1.0)
    for number in (CP, CP2):
        for connector_no in (1, 2):
            site.sample(number, connector_no)
    field.pass_s(1.0)
    assert not site.station.safety.stopping((CP, 1))
    site.points.wishes.clear()
    site.charging("", 100)
    assert site.points.of(w.StopRemotely), "it starts by itself in smoke"


async def test_who_comes_back_during_a_trip_is_stopped_when_it_charges(
    site: Site, field: Field
) -> None:
    site.lose()
    field.point("d1", 1.0)
    field.pass_s(15.0)
    site.log_in()
    site.points.wishes.clear()
    site.charging("", 100)
    field.pass_s(3.0)
    assert site.points.of(w.StopRemotely)
    assert field.coils["k1"]


async def test_what_nobody_has_seen_goes_on_sounding_everywhere_by_another_document(
    site: Site, field: Field
) -> None:
    await site.command(c.PublishProtection(version=1, protection=PLANT))
    field.point("d1", 1.0)
    for _ in range(63):
        field.pass_s(1.0)
        site.station.tick()
    assert field.coils["far"], "it has escalated"
    more = document(SIREN, FAR, K1, output("more", zones=("B",)))
    await site.command(c.PublishProtection(version=2, protection=more))
    field.pass_s(2.0)
    assert field.coils["far"]
