"""A stop is on the wire before anything else happens, and counts only when current is zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import reports as r
from edge.devices.chargers import wishes as w
from edge.local_actions import SiteActions
from edge.local_api import LocalApiError
from edge.safety.rules.battery_reports_danger import condition
from edge.station.pins import hash_pin
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import Pin
from shared.contracts.words import ConnectorStatus
from tests.fakes.station_site import CP, Site

PIN = "274913"
PINS = (Pin(name="Wang", role="staff", hash=hash_pin(PIN)),)


PERMITTED = 0b01 << 4
"""The vehicle permits charging."""


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def bms(site: Site, temperature_c: int | None, status_1: int = 0, status_2: int = 0) -> None:
    status_2 |= PERMITTED
    site.bus.publish(
        r.BmsSampled(site.at(), CP, 1, "", 1, temperature_c, 1, 20, 1, status_1, status_2)
    )


def identify(site: Site, battery_type: int, limit_c: int | None = None) -> None:
    at = site.at()
    site.bus.publish(r.BatteryIdentified(at, CP, 1, "", "VIN", battery_type, 1000, 3500))
    site.bus.publish(r.BatteryLimits(at, CP, 1, "", None, limit_c, None, None, None, None))


async def test_the_stop_leaves_before_the_journal_is_touched(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await site.run()
    order: list[str] = []

    def fails(*_: Any, **__: Any) -> None:
        order.append("journal")
        raise OSError("no space left on device")

    site.points.on_wish = lambda wish: order.append(type(wish).__name__)
    monkeypatch.setattr(site.journal, "append", fails)
    monkeypatch.setattr(site.station, "add_sample", fails)
    bms(site, 56)
    assert order[0] == "StopRemotely"  # inside publish, and the disk failed after it
    assert "journal" in order
    site.charging(number, 2100, connector_no=2, battery_temp_max_c=70)
    assert order.count("StopRemotely") == 2


async def test_a_trip_is_told_latched_and_lifted_by_unplugging(site: Site) -> None:
    number = await site.run()
    site.charging(number, 2100, battery_temp_max_c=56)
    await site.settle()
    (trip,) = site.told(e.SafetyTripped)
    assert (trip.cause, trip.connectors, trip.zero_current_ms) == (
        "battery_over_temperature", ((CP, 1),), None,
    )  # fmt: skip
    assert site.station.live.get((CP, 1)).status is ConnectorStatus.ALARM
    site.clock.advance(1.5)
    site.sample(plugged_in=True, battery_temp_max_c=58)
    await site.settle()
    confirmed = site.told(e.SafetyTripped)[-1]
    assert (confirmed.trip_id, confirmed.zero_current_ms) == (trip.trip_id, 1500)
    site.points.wishes.clear()
    site.ask()
    await site.settle()
    assert [answer.accepted for answer in site.points.of(w.AnswerStart)] == [False]
    site.sample(plugged_in=False)
    await site.settle()
    assert [alarm.code for alarm in site.told(e.AlarmCleared)] == ["battery_over_temperature"]
    await site.start()


async def test_a_trip_is_told_once_however_long_it_is_hot(site: Site) -> None:
    await site.run()
    for _ in range(5):
        bms(site, 60)
    await site.settle()
    assert len(site.told(e.SafetyTripped)) == 1


@pytest.mark.parametrize(
    ("battery_type", "limit_c", "fine", "hot"),
    [
        (6, 50, 50, 51),  # the vehicle's own word
        (6, 65, 65, 66),
        (6, 200, 80, 81),  # nobody is believed that much
        (3, None, 60, 61),  # lithium iron phosphate
        (6, None, 55, 56),
        (99, None, 55, 56),
    ],
)
async def test_whose_limit_counts(
    site: Site, battery_type: int, limit_c: int | None, fine: int, hot: int
) -> None:
    await site.run()
    identify(site, battery_type, limit_c)
    bms(site, fine)
    bms(site, None)
    assert site.points.of(w.StopRemotely) == []
    bms(site, hot)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_the_vehicles_limit_survives_a_crash(site: Site) -> None:
    await site.run()
    identify(site, 6, 50)
    await site.tick()
    await site.crash()
    site.log_in()
    bms(site, 51)
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_another_vehicle_has_no_limit_yet(site: Site) -> None:
    number = await site.run()
    identify(site, 6, 50)
    site.charging(number, 2100, plugged_in=False)  # a bad contact: current still flows
    bms(site, 51)
    assert len(site.points.of(w.StopRemotely)) == 1
    site.sample(plugged_in=False)
    site.points.wishes.clear()
    bms(site, 51)
    assert site.points.of(w.StopRemotely) == []


@pytest.mark.parametrize(
    ("status_1", "status_2", "name"),
    [
        (0b01, 0, "cell_over_voltage"),
        (0b01 << 4, 0, "over_current"),
        (0b01 << 6, 0, "over_temperature"),
        (0, 0b01, "insulation"),
        (0, 0b01 << 2, "connector"),
        (0b10, 0b10, ""),
        (0, 0, ""),
    ],
)
async def test_what_the_battery_says_of_itself(
    site: Site, status_1: int, status_2: int, name: str
) -> None:
    assert condition(status_1, status_2) == name
    await site.run()
    bms(site, 20, status_1, status_2)
    assert len(site.points.of(w.StopRemotely)) == bool(name)


def times(site: Site, kind: type, until_s: float, flowing: str = "") -> list[float]:
    """Return when wishes of a kind went out, seconds from now, looking ten times a second."""
    began_s = site.clock.monotonic_s()
    found: list[float] = []
    site.points.wishes.clear()
    site.points.on_wish = lambda wish: (
        found.append(round(site.clock.monotonic_s() - began_s, 1))
        if isinstance(wish, kind)
        else None
    )
    while site.clock.monotonic_s() - began_s < until_s:
        site.clock.advance(0.1)
        if flowing and round(site.clock.monotonic_s() * 10) % 10 == 0:
            site.charging(flowing, 3000)
        site.station.safety.tick(site.station.now())
    return found


async def test_the_rungs_of_the_ladder(site: Site) -> None:
    number = await site.run()
    bms(site, 80)
    assert times(site, w.StopRemotely, 31, flowing=number) == [2.0, 4.0, 6.0, 20.0, 30.0]


async def test_the_connector_is_asked_again_and_again(site: Site) -> None:
    await site.run()
    bms(site, 80)
    assert times(site, w.ReadNow, 4) == [0.5, 1.5, 2.5, 3.5]


async def test_a_stop_that_is_not_confirmed_is_an_alarm_until_it_is(site: Site) -> None:
    await site.run()
    bms(site, 80)
    times(site, w.StopRemotely, 9.5)
    assert not site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP}:1")
    times(site, w.StopRemotely, 1)
    assert site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP}:1")
    site.sample(plugged_in=True)
    assert not site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP}:1")
    assert times(site, w.StopRemotely, 20) == []


async def test_an_unconfirmed_stop_is_remembered_over_a_crash(site: Site) -> None:
    number = await site.run()
    bms(site, 80)
    times(site, w.StopRemotely, 11)
    await site.settle()
    await site.crash()
    site.log_in()
    site.charging(number, 3000)
    assert len(site.points.of(w.StopRemotely)) == 1
    site.clock.advance(1)
    site.sample(plugged_in=True)
    assert not site.station.alarms.is_open("stop_not_confirmed", f"connector:{CP}:1")


async def test_a_stop_goes_out_again_when_the_link_is_back(site: Site) -> None:
    await site.run()
    bms(site, 80)
    site.lose()
    times(site, w.StopRemotely, 7)
    site.points.on_wish = lambda _: None
    site.log_in()
    assert len(site.points.of(w.StopRemotely)) == 1


async def test_a_danger_outranks_an_ordinary_stop(site: Site) -> None:
    await site.run()
    site.station.safety.stop((CP, 1), "stop", site.at())
    site.clock.advance(3)
    bms(site, 80)
    site.clock.advance(1)
    site.sample(plugged_in=True)
    await site.settle()
    assert site.told(e.SafetyTripped)[-1].zero_current_ms == 1000


async def test_two_causes_block_until_both_are_gone(site: Site) -> None:
    await site.run()
    bms(site, 80)
    site.lose()
    site.log_in()
    bms(site, 20, status_2=0b01)
    assert len(site.station.latches.at((CP, 1))) == 2
    site.sample(plugged_in=False)
    await site.settle()
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


async def test_what_a_rule_found_of_one_vehicle_is_forgotten_with_it(site: Site) -> None:
    for _ in range(2):
        site.sample(plugged_in=True)
        for temperature_c in (25, 45):
            bms(site, temperature_c)
            site.clock.advance(15)
        site.sample(plugged_in=False)
        await site.settle()
    trips = {trip.trip_id: trip.cause for trip in site.told(e.SafetyTripped)}
    assert list(trips.values()) == ["battery_heating_fast", "battery_heating_fast"]
    assert site.station.latches.all() == []
    assert site.station.alarms.open_alarms() == []


async def test_a_latch_is_not_lifted_while_its_cause_is_there_and_trips_again(site: Site) -> None:
    number = await site.run()
    ask = SiteActions(site.station).reset
    await site.command(c.PublishPins(version=1, pins=PINS))
    request = {"number": CP, "connector": 1, "reason": "looked at it", "pin": PIN}
    bms(site, 56)
    with pytest.raises(LocalApiError, match="still reported"):
        await ask(request)
    bms(site, 50)
    assert await ask(request) == {"released": "battery_over_temperature", "by": "Wang"}
    await site.settle()
    cleared = [(alarm.reason, alarm.by) for alarm in site.told(e.AlarmCleared)]
    assert cleared == [("looked at it", "Wang")]
    bms(site, 56)
    await site.settle()
    assert len({trip.trip_id for trip in site.told(e.SafetyTripped)}) == 2
    site.clock.advance(61)
    site.charging(number, 2100, current_da=0)
    assert await ask(request) == {"released": "battery_over_temperature", "by": "Wang"}


async def test_an_ordinary_stop_is_followed_until_nothing_flows(site: Site) -> None:
    number = await site.run()
    transaction = site.station.book.by_number(number)
    assert transaction is not None
    site.points.wishes.clear()
    await site.command(c.StopTransaction(transaction_id=transaction.transaction_id))
    for _ in range(9):
        site.clock.advance(0.5)
        site.charging(number, 2000)
        site.station.safety.tick(site.at())
    assert len(site.points.of(w.StopRemotely)) == 3, "at 0, 2 and 4 s"
    assert site.points.of(w.ReadNow), "it is asked whether anything flows"
