"""A stop climbs until current is gone: command, repeat, contactor, "NOT confirmed"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from shared.contracts import events as e
from shared.contracts import protection as p
from tests.fakes.field import Field, document, output
from tests.fakes.station_site import CP, CP2, Site

K1 = output("k1", p.OutputKind.CONTACTOR, connectors=((CP, 1), (CP, 2)))
LATER = (p.Interlock(cause="smoke", stop=p.Reach.ZONE, contactor=p.OpenContactor.UNCONFIRMED),)
METER = p.Device(name="meter", line="bus", unit_id=99, profile="meter", zone="M")
PLANT = document(
    K1,
    interlocks=LATER,
    zones=(
        p.Zone(name="A", connectors=((CP, 1), (CP, 2))),
        p.Zone(name="B", connectors=((CP2, 1), (CP2, 2))),
        p.Zone(name="M", connectors=((CP, 1),)),
    ),
)
NOT_CONFIRMED = "stop_not_confirmed"
PLACE = f"connector:{CP}:1"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = await Site.make(tmp_path)
    yield site
    await site.close()


async def begin(site: Site, protection: p.Protection = PLANT) -> tuple[Field, str]:
    """A car charges at connector 1; the other is empty and says so when asked."""
    field = Field(site)
    field.install(protection)
    field.calm()
    number = await site.run()
    field.pass_s(1.0)
    site.points.wishes.clear()
    return field, number


def trip(site: Site, field: Field) -> None:
    field.point("d1", 1.0)
    field.pass_s(0.5)
    site.sample(connector_no=2)


async def test_who_ignores_the_stop_is_cut_off_at_six_seconds(site: Site) -> None:
    field, number = await begin(site)
    trip(site, field)
    flows = lambda: site.charging(number, 3000)  # noqa: E731 - what each poll brings
    field.pass_s(5.3, flows)
    assert not field.coils["k1"]
    field.pass_s(0.3, flows)
    assert field.coils["k1"]
    assert site.station.safety.outputs.is_isolated((CP, 1))
    site.sample(plugged_in=True)
    await site.settle()
    told = site.told(e.SafetyTripped)[-1]
    assert told.contactors == ("k1",)
    assert told.zero_current_ms is not None
    assert 6000 <= told.zero_current_ms < 7000
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE)


async def test_what_a_stop_answer_says_is_not_believed(site: Site) -> None:
    field, number = await begin(site)
    trip(site, field)
    site.bus.publish(r.StopAnswered(site.at(), CP, 1, True, 0))
    field.pass_s(6.0, lambda: site.charging(number, 3000))
    assert field.coils["k1"]


async def test_a_stop_that_is_proven_in_time_opens_nothing(site: Site) -> None:
    field, _ = await begin(site)
    trip(site, field)
    site.sample(plugged_in=True)
    field.pass_s(12.0)
    assert not field.coils["k1"]
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE)


async def test_a_lost_link_opens_the_contactor_at_once(site: Site) -> None:
    field, _ = await begin(site)
    trip(site, field)
    assert not field.coils["k1"]
    site.lose()
    assert field.coils["k1"]
    field.pass_s(11.0)
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE), "it reads open: nothing can flow"
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms is None


async def test_a_charge_point_that_is_away_is_cut_off_at_once(site: Site) -> None:
    field, _ = await begin(site)
    site.lose()
    field.point("d1", 1.0)
    assert field.coils["k1"]
    field.pass_s(11.0)
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE)


async def test_smoke_opens_at_once_where_that_is_bound(site: Site) -> None:
    field, _ = await begin(site, document(K1))
    field.point("d1", 1.0)
    assert field.coils["k1"]


async def test_an_ordinary_stop_opens_no_contactor(site: Site) -> None:
    field, number = await begin(site)
    site.station.safety.stop((CP, 1), "stop", site.at())
    field.pass_s(11.0, lambda: site.charging(number, 3000))
    assert not field.coils["k1"]
    assert site.station.alarms.is_open(NOT_CONFIRMED, PLACE)


async def test_an_ordinary_stop_under_way_hides_no_latch(site: Site) -> None:
    field, number = await begin(site)
    trip(site, field)
    site.sample(plugged_in=True)
    assert not site.station.safety.stopping((CP, 1))
    site.station.safety.stop((CP, 1), "stop", site.at())
    field.pass_s(7.0, lambda: site.charging(number, 100))
    assert field.coils["k1"], "current flows where something stands"


async def test_a_contactor_that_stays_closed_is_said_by_its_contact(site: Site) -> None:
    field, number = await begin(site)
    field.stuck["k1"] = False
    trip(site, field)
    field.pass_s(8.0, lambda: site.charging(number, 3000))
    assert site.station.alarms.is_open("contactor_not_open", "output:k1")
    field.pass_s(2.5, lambda: site.charging(number, 3000))
    assert site.station.alarms.is_open(NOT_CONFIRMED, PLACE)
    site.sample(plugged_in=True)
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE)


async def test_a_contactor_that_welds_is_said_by_the_current(site: Site) -> None:
    field, number = await begin(site, document(output(
        "k1", p.OutputKind.CONTACTOR, connectors=((CP, 1),), read_back=""
    ), interlocks=LATER))  # fmt: skip
    trip(site, field)
    field.pass_s(7.0, lambda: site.charging(number, 3000))
    assert not site.station.alarms.is_open("contactor_not_open", "output:k1")
    field.pass_s(2.0, lambda: site.charging(number, 3000))
    assert site.station.alarms.is_open("contactor_not_open", "output:k1")
    site.sample(plugged_in=True)
    assert not site.station.alarms.is_open("contactor_not_open", "output:k1")


async def test_a_charge_point_that_says_zero_is_not_believed_against_its_meter(
    site: Site,
) -> None:
    field, _ = await begin(
        site, document(K1, interlocks=LATER, zones=PLANT.zones, devices=(
            *PLANT.devices, METER,
        )),
    )  # fmt: skip

    def meter(ampere: float) -> None:
        field.point("meter", ampere, quantity=p.Quantity.CURRENT_A, point="l1")

    meter(90.0)
    site.sample(plugged_in=True)
    meter(90.0)
    trip(site, field)
    for _ in range(60):
        site.sample(plugged_in=True)
        meter(90.0)
        field.pass_s(0.1)
    assert field.coils["k1"]
    meter(0.0)
    field.pass_s(5.0)
    assert not site.station.alarms.is_open(NOT_CONFIRMED, PLACE)
    await site.settle()
    zero_ms = site.told(e.SafetyTripped)[-1].zero_current_ms
    assert zero_ms is not None
    assert zero_ms > 6000, "it said that it was without current, and its meter said otherwise"


async def test_what_its_meter_saw_before_the_trip_was_no_rest(site: Site) -> None:
    field, _ = await begin(
        site, document(K1, interlocks=LATER, zones=PLANT.zones, devices=(
            *PLANT.devices, METER,
        )),
    )  # fmt: skip
    field.point("meter", 90.0, quantity=p.Quantity.CURRENT_A, point="l1")
    site.sample(plugged_in=True)
    trip(site, field)
    field.pass_s(0.5)
    field.point("meter", 0.0, quantity=p.Quantity.CURRENT_A, point="l1")
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms == 1000


async def test_what_was_cut_off_stays_so_until_a_person_resets_it(site: Site) -> None:
    smoke = p.Select(quantity=p.Quantity.SMOKE)
    rules = (p.Threshold(rule_id="s", code="water", select=smoke, above=0.5),)
    rows = (p.Interlock(cause="water", stop=p.Reach.ZONE, reset=p.Reset.UNPLUGGED),)
    plant = document(K1, interlocks=rows, rules=rules, zones=PLANT.zones)
    field, _ = await begin(site, plant)
    trip(site, field)
    site.lose()
    field.point("d1", 0.0)
    field.pass_s(6.0)
    site.log_in()
    for connector_no in (1, 2):
        site.sample(connector_no=connector_no)
    field.pass_s(1.0)
    assert {latch.cause for latch in site.station.latches.all()} == {"isolated"}
    assert site.station.alarms.is_open("isolated", PLACE)
    assert field.coils["k1"]
    await site.settle()
    await site.restart()
    again = Field(site)
    again.install(PLANT)
    assert again.coils["k1"], "written again after a restart"
    for latch in site.station.latches.all():
        site.station.perform(site.station.guard.release(latch, site.at(), "looked", "li"))
    assert not again.coils["k1"]
    assert not site.station.alarms.is_open("isolated", PLACE)


async def test_a_contactor_is_not_closed_while_nobody_knows_why_it_may_be_open(
    site: Site,
) -> None:
    field, _ = await begin(site)
    site.station.latches.distrust()
    site.station.guard.resume(site.at(), clean=True)
    field.coils["k1"] = True
    field.writes.clear()
    field.pass_s(5.0)
    assert field.coils["k1"]
    assert "output_fault" not in {each.code for each in site.station.alarms.open_alarms()}
    (latch,) = [each for each in site.station.latches.all() if each.cause == "latch_unreadable"]
    site.station.perform(site.station.guard.release(latch, site.at(), "looked", "li"))
    field.pass_s(2.0)
    assert not field.coils["k1"]


async def test_stops_are_asked_about_and_repeated(site: Site) -> None:
    field, number = await begin(site)
    trip(site, field)
    field.pass_s(9.0, lambda: site.charging(number, 3000))
    of_one = [wish for wish in site.points.of(w.StopRemotely) if wish.connector_no == 1]
    assert len(of_one) == 4
    assert len(site.points.of(w.ReadNow)) >= 8
