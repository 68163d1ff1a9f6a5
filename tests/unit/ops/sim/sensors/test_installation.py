"""Simulated devices without a wire: what they say, their outputs and what can be wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge.devices.sensors.profile import Profile, decode, load_profiles, parse_profile
from ops.sim.sensors.installation import Installation
from ops.sim.sensors.layout import Layout, one_of_each
from shared.contracts.protection import Device, Output, OutputKind, Quality, Quantity, Zone
from shared.errors import ConfigError
from tests.fakes.manual_clock import ManualClock

HEAD = """
model = "{model}"
maker = "test"
title_zh = "测试"
title_en = "test"
source = {{ title = "test", url = "none", page = "1" }}
"""
POINT = """
[[point]]
name = "{}"
quantity = "{}"
table = "{}"
address = {}
type = "{}"
title_zh = "测试"
title_en = "test"
{}
"""


def model(name: str, *points: tuple[object, ...]) -> Profile:
    text = HEAD.format(model=name) + "".join(POINT.format(*point) for point in points)
    return parse_profile(text, name)


PROFILES = {
    profile.model: profile
    for profile in (
        # One register says alarm, fault or neither, as many detectors do.
        model(
            "detector",
            ("smoke", "smoke", "holding", 7, "uint16", "alarm_values = [1]\nnormal_values = [0]"),
            ("fault", "detector_fault", "holding", 7, "uint16", "alarm_values = [2, 3]"),
            ("density", "smoke_density_percent", "input", 3, "float32", ""),
        ),
        model(
            "relay",
            ("siren", "output_on", "coil", 0, "bit", "writable = true"),
            ("contactor", "output_on", "coil", 1, "bit", "writable = true"),
            ("auxiliary", "output_on", "discrete", 4, "bit", ""),
        ),
        model(
            "bits",
            ("door", "door_open", "holding", 0, "uint16", "bit = 0"),
            ("water", "water", "holding", 0, "uint16", "bit = 3"),
        ),
    )
}
PLACE = ("32010600019236", 1)
LAYOUT = Layout(
    devices=(
        Device(name="smoke-1", line="", unit_id=1, profile="detector", zone="A"),
        Device(name="relays", line="", unit_id=2, profile="relay"),
        Device(name="pit", line="", unit_id=3, profile="bits", zone="B"),
    ),
    zones=(Zone(name="A"), Zone(name="B")),
    outputs=(
        Output(name="siren", kind=OutputKind.SIREN, device="relays", point="siren"),
        Output(
            name="cut-1",
            kind=OutputKind.CONTACTOR,
            device="relays",
            point="contactor",
            read_back="auxiliary",
            connectors=(PLACE,),
        ),
    ),
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture
def site(clock: ManualClock) -> Installation:
    return Installation(LAYOUT, PROFILES, clock=clock, seed=3)


def says(site: Installation, device: str, point: str) -> tuple[float | None, Quality]:
    found = site.devices[device]
    at = next(p for p in found.profile.points if p.name == point)
    return decode(at, found.memory.read(at.table, at.address, at.width))


def test_alarm_and_fault_share_a_register(site: Installation) -> None:
    device = site.devices["smoke-1"]
    assert says(site, "smoke-1", "smoke") == says(site, "smoke-1", "fault") == (0.0, Quality.GOOD)
    device.set("smoke", 1.0)
    assert says(site, "smoke-1", "smoke") == (1.0, Quality.GOOD)
    device.release("smoke")
    device.break_down("detector_fault")
    assert says(site, "smoke-1", "smoke") == (None, Quality.INVALID)
    assert says(site, "smoke-1", "fault") == (1.0, Quality.GOOD)
    device.heal()
    assert says(site, "smoke-1", "smoke") == (0.0, Quality.GOOD)


def test_bits_of_a_register_keep_each_other(site: Installation) -> None:
    site.devices["pit"].door_open = True
    site.world.flood("B")
    site.advance(3)
    assert says(site, "pit", "door") == says(site, "pit", "water") == (1.0, Quality.GOOD)
    site.devices["pit"].door_open = False
    site.advance(0.1)
    assert says(site, "pit", "door") == (0.0, Quality.GOOD)
    assert says(site, "pit", "water") == (1.0, Quality.GOOD)


def test_a_fire_is_noticed_and_the_moment_is_kept(site: Installation, clock: ManualClock) -> None:
    site.world.ignite("A")
    for _ in range(40):
        clock.advance(0.1)
        site.tick()
    flips = [event for event in site.log.events if event.device == "smoke-1"]
    assert [(flip.point, flip.value) for flip in flips] == [("smoke", 1.0)]
    started_s = clock.monotonic_s() - 4.0
    assert 0.5 < flips[0].at_s - started_s < 2.5
    density, quality = says(site, "smoke-1", "density")
    assert quality is Quality.GOOD
    assert density is not None
    assert density > 20


def test_same_seed_and_doings_give_the_same_registers(clock: ManualClock) -> None:
    sites = [Installation(LAYOUT, PROFILES, clock=clock, seed=5) for _ in range(2)]
    for each in sites:
        each.world.ignite("A")
        each.advance(12.3)
    assert sites[0].devices["smoke-1"].said == sites[1].devices["smoke-1"].said


def test_a_contactor_cuts_its_connector_and_its_other_contact_shows_it(site: Installation) -> None:
    cuts: list[tuple[tuple[str, int], bool]] = []
    site.on_contactor = lambda place, is_open: cuts.append((place, is_open))
    relays = site.devices["relays"]
    assert site.write_coil(relays, 1, on=True)
    assert (cuts, says(site, "relays", "auxiliary")[0]) == ([(PLACE, True)], 1.0)
    assert site.write_coil(relays, 1, on=False)
    assert (cuts[1:], says(site, "relays", "auxiliary")[0]) == ([(PLACE, False)], 0.0)
    assert not site.write_coil(relays, 9, on=True)
    names = [event.name for event in site.log.events if event.name != "contact"]
    assert names == ["written", "switched", "written", "switched"]


@pytest.mark.parametrize(
    ("kind", "reads_back", "is_cut"),
    [("dead", 0.0, False), ("weld", 0.0, False), ("weld_hidden", 1.0, False)],
)
def test_outputs_that_do_not_do_what_they_are_told(
    site: Installation, kind: str, reads_back: float, is_cut: bool
) -> None:
    relays = site.devices["relays"]
    relays.break_down(kind, "contactor")
    site.write_coil(relays, 1, on=True)
    assert relays.ordered["contactor"]
    assert says(site, "relays", "auxiliary")[0] == reads_back
    assert site.cut_connectors() == {PLACE: is_cut}
    relays.heal(kind)
    site.follow(relays)
    assert site.cut_connectors() == {PLACE: True}


def test_an_output_that_stays_on(site: Installation) -> None:
    relays = site.devices["relays"]
    relays.break_down("stuck_on", "siren")
    site.write_coil(relays, 0, on=True)
    site.write_coil(relays, 0, on=False)
    assert site.status()["outputs"]["siren"] == {
        "kind": "siren",
        "ordered_on": False,
        "is_on": True,
        "reads_on": True,
    }


def test_values_that_lie_stick_and_flap(site: Installation) -> None:
    device = site.devices["smoke-1"]
    device.break_down("lie", "density", 40.0)
    assert (says(site, "smoke-1", "density")[0] or 0) >= 40
    device.heal()
    device.break_down("no_value", "density")
    assert says(site, "smoke-1", "density") == (None, Quality.INVALID)
    device.heal()
    device.break_down("stuck")
    before = dict(device.said)
    site.world.ignite("A")
    site.advance(5)
    assert device.said == before
    device.heal()
    site.world.put_out()
    site.advance(90)
    device.break_down("flapping", value=0.2)
    since = site.log.count
    site.advance(2.0)
    site.advance(2.0)
    for _ in range(20):
        site.advance(0.1)
    flips = [e.value for e in site.log.events if e.index > since and e.point == "smoke"]
    assert len(flips) >= 8
    assert flips[:-1] == [1.0 - (flip or 0.0) for flip in flips[1:]]


def test_every_model_that_ships_can_be_played(clock: ManualClock) -> None:
    profiles = load_profiles()
    site = Installation(one_of_each(profiles), profiles, clock=clock, seed=1)
    site.advance(1)
    for device in site.devices.values():
        for point in device.profile.points:
            value, quality = says(site, device.spec.name, point.name)
            assert quality is Quality.GOOD, (device.spec.profile, point.name)
            said = device.said[point.name]
            assert said is not None
            assert value is not None
            assert abs(value - said) <= max(abs(point.scale), 1e-3), (device.spec, point.name)


@pytest.mark.parametrize(
    ("device", "words"),
    [
        (Device(name="x", line="", unit_id=1, profile="none"), "unknown profile"),
        (Device(name="x", line="", unit_id=0, profile="relay"), "unit_id 0"),
        (Device(name="x", line="", unit_id=2, profile="relay"), "taken"),
    ],
)
def test_layouts_that_cannot_be(device: Device, words: str, clock: ManualClock) -> None:
    layout = Layout(devices=(*LAYOUT.devices, device))
    with pytest.raises(ConfigError, match=words):
        Installation(layout, PROFILES, clock=clock)


def test_a_smoke_detector_is_found_by_what_it_measures(site: Installation) -> None:
    assert site.devices["smoke-1"].points_of(Quantity.SMOKE) == ["smoke"]
    with pytest.raises(ValueError, match="no point"):
        site.devices["smoke-1"].set("nonsense", 1.0)


def test_the_meter_at_the_supply_measures_what_the_charge_points_draw(
    clock: ManualClock,
) -> None:
    meter = Device(name="meter", line="", unit_id=1, profile="eastron-sdm630")
    site = Installation(Layout(devices=(meter,)), load_profiles(), clock=clock)

    def reads() -> list[float]:
        site.advance(0.5)
        said = site.devices["meter"].said
        return [said[name] or 0.0 for name in ("power", "current_1", "energy")]

    assert reads()[0] == pytest.approx(2700, abs=250)
    site.world.charging_w = 370_000
    power_w, current_a, before_kwh = reads()
    assert power_w == pytest.approx(370_000 / 0.95 + 2700, abs=250)
    assert current_a == pytest.approx(power_w / (3 * 230 * 0.97), abs=3)
    site.advance(3600 / 100)
    assert reads()[2] - before_kwh == pytest.approx(power_w / 1000 / 100, rel=0.05)
