"""The demo's protection document fits the station that reads it and the devices it is played by."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edge.devices.sensors.check import check_devices
from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.profile import load_profiles
from ops.demo.field import LINE, connectors_of, protection_of
from ops.demo.world import make_world
from ops.sim.sensors.installation import Installation
from ops.sim.sensors.layout import load
from shared.contracts.protection import Rate
from shared.protection import BUILT_IN_RULES
from shared.protection.document import read_tables
from tests.fakes.manual_clock import ManualClock

PLAN = make_world(1).stations[1]


def test_station_and_simulator_read_the_same_document(tmp_path: Path) -> None:
    path = tmp_path / "sensors.json"
    document = protection_of(PLAN)
    path.write_bytes(msgspec.json.encode(document))
    assert read_tables(msgspec.json.decode(path.read_bytes())) == document
    line = LineConfig(name=LINE, transport=Transport.TCP, host="127.0.0.1", port=1)
    check_devices(document, [line], load_profiles())
    clock = ManualClock(datetime(2026, 11, 22, tzinfo=UTC))
    site = Installation(load(path), load_profiles(), clock=clock)
    assert set(site.devices) == {device.name for device in document.devices}


def test_every_connector_stands_in_one_zone_and_behind_one_contactor() -> None:
    document = protection_of(PLAN)
    zones = [*connectors_of(PLAN, "A"), *connectors_of(PLAN, "B")]
    contactors = [place for output in document.outputs for place in output.connectors]
    assert sorted(zones) == sorted(contactors) == sorted(PLAN.connectors)


def test_a_battery_that_warms_by_the_demos_clock_is_no_danger() -> None:
    """12 °C in half an hour of that clock are ordinary; they take 15 real seconds."""
    (rule,) = [r for r in protection_of(PLAN, 120).rules or () if r.code == "battery_heating_fast"]
    assert isinstance(rule, Rate)
    assert rule.per_s * rule.window_s > 12
    assert protection_of(PLAN, 1).rules == BUILT_IN_RULES
