"""What the screen is shown, from a real station."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from edge.devices.chargers import reports as r
from edge.devices.sensors.reports import PointSampled
from edge.journal import Put
from edge.safety.latches import Latch
from edge.station.alarms import KIND as ALARMS
from edge.station.alarms import OpenAlarm
from edge.station.view_feed import ViewFeed
from edge.view import StationView
from shared.clock import from_ms
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.protection import (
    Contact,
    Device,
    Output,
    OutputKind,
    Protection,
    Quality,
    Quantity,
    Zone,
)
from shared.contracts.protection import Site as SiteTexts
from shared.contracts.words import ConnectorStatus, Severity
from tests.fakes.station_site import CP, Site

BUILD_MAX_S = 0.002
"""Of a station with 24 connectors: the loop must not be held up longer."""

PROTECTION = Protection(
    devices=(Device(name="s1", line="l", unit_id=1, profile="p", zone="north", title_zh="烟感"),),
    zones=(Zone(name="north", title_zh="北区", title_en="North", connectors=((CP, 1),)),),
    outputs=(
        Output(name="k1", kind=OutputKind.CONTACTOR, device="s1", point="k", connectors=((CP, 1),)),
    ),
    site=SiteTexts(
        shut_off_zh="东墙",
        shut_off_en="East wall",
        contacts=(Contact(name_zh="王", name_en="Wang", phone="119"),),
        power_limit_w=400_000,
    ),
)


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    await site.command(c.PublishProtection(version=7, protection=PROTECTION))
    yield site
    await site.close()


def point(site: Site, value: float | None, quality: Quality = Quality.GOOD) -> None:
    report = PointSampled(site.at(), "s1", "smoke", Quantity.SMOKE, value, quality)
    site.bus.publish(report)  # type: ignore[arg-type]


async def test_a_charge_is_shown_with_its_figures(site: Site) -> None:
    number = await site.run()
    site.charging(number, 3000, voltage_dv=4000, current_da=1000)
    site.clock.advance(4)
    view = site.station.screen.build()
    first, other = view.charge_points[0].connectors
    assert (first.label, first.status) == ("01-A", ConnectorStatus.CHARGING)
    assert (first.power_w, first.energy_dwh, first.age_s) == (40_000, 3000, 4.0)
    assert first.transaction_no == number
    assert (first.plugged_in, other.plugged_in) == (True, None)
    assert first.amount_fen is not None
    assert other.label == "01-B"
    assert view.power_w == 40_000
    assert (view.power_limit_w, view.site.shut_off_en) == (400_000, "East wall")
    assert [p.label for p in view.charge_points] == ["01", "02"]


async def test_an_alarm_is_shown_with_place_texts_and_trip(site: Site) -> None:
    station, now_ms = site.station, site.clock.now_ms()
    station.perform(station.alarms.raise_alarm("drill_due", "station", now_ms))
    raised = station.alarms.raise_finding(
        "smoke", "sensor:s1/smoke", now_ms, {"value": "1", "limit": "0"}
    )
    station.perform(raised)
    trip = e.SafetyTripped(
        occurred_at=from_ms(now_ms), trip_id=uuid4(), cause="smoke", object="sensor:s1/smoke",
        connectors=((CP, 1),), stop_sent_us=900, siren_us=4_100, contactors=("k1",),
    )  # fmt: skip
    station.perform(station.alarms.note_trip(trip))
    station.perform(station.guard.block(Latch(CP, 1, "smoke", now_ms), site.at()))
    view = station.screen.build()
    alarm, drill = view.alarms
    assert (alarm.code, alarm.severity) == ("smoke", Severity.CRITICAL)
    assert (alarm.place_zh, alarm.place_en) == ("北区 烟感", "North: 烟感")
    assert alarm.title_zh
    assert alarm.advice_en
    assert (alarm.value, alarm.limit) == ("1", "0")
    assert (alarm.stopped, alarm.isolated) == (("01-A",), ("01-A",))
    assert (alarm.trip_stop_ms, alarm.trip_siren_ms, alarm.trip_zero_ms) == (0.9, 4.1, None)
    assert drill.code == "drill_due"
    assert (alarm.escalates_in_s, drill.escalates_in_s) == (None, None)
    station.alarms.tick(site.at())
    site.clock.advance(17.5)
    alarm, drill = station.screen.alarms()
    assert (alarm.escalates_in_s, drill.escalates_in_s) == (43, None)
    blocked = view.charge_points[0].connectors[0]
    assert (blocked.blocked_by, blocked.status) == (("smoke",), ConnectorStatus.ALARM)
    assert view.charge_points[1].connectors[0].blocked_by == ()


async def test_a_point_that_is_not_good_keeps_its_age_and_is_no_number(site: Site) -> None:
    point(site, 0.0)
    site.clock.advance(30)
    point(site, None, Quality.NO_ANSWER)
    (shown,) = site.station.screen.build().points
    assert (shown.value, shown.quality, shown.age_s) == (None, Quality.NO_ANSWER, 30.0)
    assert (shown.zone, shown.title_zh, shown.alarming) == ("north", "北区 烟感 smoke", False)
    station = site.station
    now_ms = site.clock.now_ms()
    station.perform(station.alarms.raise_alarm("sensor_silent", "sensor:s1/smoke", now_ms))
    assert station.screen.build().points[0].alarming
    await site.command(c.PublishProtection(version=8, protection=Protection()))
    assert station.screen.build().points == ()


async def test_without_a_tariff_it_says_why_nothing_starts(tmp_path: Path) -> None:
    site = await Site.make(tmp_path, tariff=None)
    assert site.station.screen.build().starts_refused == "tariff_missing"
    await site.close()


async def test_an_alarm_that_the_catalogue_no_longer_has_is_called_by_its_code(
    site: Site,
) -> None:
    place = f"connector:{CP}:1"
    alarm = OpenAlarm(UUID(int=7), "of_another_version", place, site.clock.now_ms())
    latch = Latch(CP, 1, "of_another_version", site.clock.now_ms())
    await site.journal.commit([], [Put(ALARMS, str(alarm.alarm_id), msgspec.msgpack.encode(alarm))])
    site.station.perform(site.station.guard.block(latch, site.at()))
    await site.settle()
    await site.crash()
    station = site.station
    await site.tick()
    view = station.screen.build()
    (shown,) = [each for each in view.alarms if each.alarm_id == str(alarm.alarm_id)]
    assert (shown.severity, shown.title_zh, shown.title_en) == (Severity.MAJOR, *2 * [alarm.code])
    assert msgspec.json.decode(msgspec.json.encode(view), type=StationView) == view
    assert alarm.alarm_id in station.state_report().open_alarm_ids
    again = station.alarms.raise_finding(
        alarm.code, place, site.clock.now_ms(), {}, severity=Severity.CRITICAL
    )
    assert [event.severity for event in again.events if isinstance(event, e.AlarmRaised)] == [
        Severity.CRITICAL
    ]


async def test_what_nobody_says_is_a_question_mark(site: Site) -> None:
    station = site.station
    now_ms = site.clock.now_ms()
    station.perform(station.alarms.raise_alarm("storage_failed", "station", now_ms))
    (alarm,) = station.screen.build().alarms
    assert "…" in alarm.title_en


async def test_a_line_is_sent_when_something_changed_and_not_when_time_passed(site: Site) -> None:
    feed = ViewFeed(site.station.screen)
    point(site, 0.0)
    assert feed.line(only_changed=True)
    site.clock.advance(1)
    assert feed.line(only_changed=True) is None
    assert feed.line(only_changed=False)
    point(site, 1.0)
    line = feed.line(only_changed=True)
    assert line is not None
    view = msgspec.json.decode(line, type=StationView)
    assert view.points[0].value == 1.0
    assert view.beat == 4


async def test_a_large_station_is_built_quickly(tmp_path: Path) -> None:
    numbers = [f"{32010600019200 + i}" for i in range(12)]
    configs = tuple(c.ChargePointConfig(charge_point_no=no, connector_count=2) for no in numbers)
    site = await Site.make(tmp_path, configs=configs)
    try:
        for number in numbers:
            for connector_no in (1, 2):
                site.sample(number, connector_no, plugged_in=True)
        for device in range(40):
            report = PointSampled(
                site.at(), f"d{device}", "t", Quantity.TEMPERATURE_C, 2.0, Quality.GOOD
            )
            site.bus.publish(report)  # type: ignore[arg-type]
        station, now_ms = site.station, site.clock.now_ms()
        for number in numbers:
            station.perform(
                station.alarms.raise_alarm("charge_point_offline", f"charge_point:{number}", now_ms)
            )
        feed = ViewFeed(station.screen)
        feed.line(only_changed=False)
        taken = []
        for _ in range(50):
            began = time.perf_counter()
            assert feed.line(only_changed=False)
            taken.append(time.perf_counter() - began)
        assert sorted(taken)[len(taken) // 2] < BUILD_MAX_S, taken
    finally:
        await site.close()


async def test_the_vehicles_cells_are_shown_while_it_is_there(site: Site) -> None:
    number = await site.run()
    demand = r.BmsDemanded(
        site.at(), CP, 1, number, 4000, 1000, 1, 4000, 1000, 402, 1, 50, 60, 4000, 1000, 10
    )
    site.bus.publish(demand)
    assert site.station.screen.build().charge_points[0].connectors[0].cell_voltage_max_cv == 402
    site.sample(plugged_in=False)
    assert site.station.screen.build().charge_points[0].connectors[0].cell_voltage_max_cv is None


async def test_what_sensors_say_goes_into_telemetry_thinned(site: Site) -> None:
    site.samples.clear()
    for _ in range(5):
        point(site, 0.0)
        site.clock.advance(0.1)
    point(site, 1.0)
    assert [sample.values[0] for sample in site.samples] == [0, 1000]
    assert {sample.charge_point_no for sample in site.samples} == {"s1/smoke"}
