"""A rule set at work: one cause is one finding, told when it changes, and never lost in a swap."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs

from edge.devices.chargers.reports import (
    BatteryLimits,
    BmsDemanded,
    BmsSampled,
    ConnectorSampled,
    Moment,
    TariffHeld,
    WireState,
)
from edge.devices.sensors.reports import PointSampled
from edge.safety.findings import Finding
from edge.safety.ruleset import RuleSet
from shared.contracts.protection import (
    AnyRule,
    Compare,
    Device,
    Protection,
    Quality,
    Quantity,
    Rate,
    Select,
    Silence,
    Spread,
    Stuck,
    Threshold,
    Vote,
    Zone,
)
from shared.contracts.words import Severity
from shared.protection import check

SMOKE, HOT = Quantity.SMOKE, Quantity.TEMPERATURE_C
GOOD, NONE = Quality.GOOD, Quality.NO_ANSWER
DEVICES = (
    Device(name="n1", line="l", unit_id=1, profile="p", zone="north"),
    Device(name="n2", line="l", unit_id=2, profile="p", zone="north"),
    Device(name="s1", line="l", unit_id=3, profile="p", zone="south"),
    Device(name="free", line="l", unit_id=4, profile="p"),
)
ZONES = (Zone(name="north", connectors=(("A", 1), ("A", 2))), Zone(name="south"))


def protection(*rules: AnyRule, **fields: object) -> Protection:
    base = Protection(devices=DEVICES, zones=ZONES, rules=rules or None)
    document = structs.replace(base, **fields)
    check(document)
    return document


def over(rule_id: str = "hot", above: float = 60.0, **fields: object) -> Threshold:
    select = fields.pop("select", Select(quantity=HOT))
    base = Threshold(rule_id=rule_id, code="heat", select=select, above=above, clear_s=0.0)  # type: ignore[arg-type]  # a test's own
    return structs.replace(base, **fields)


def moment(mono_s: float) -> Moment:
    return Moment(int(mono_s * 1000), mono_s)


def point(
    rules: RuleSet,
    device: str,
    value: float | None,
    at: float = 0.0,
    quantity: Quantity = HOT,
    quality: Quality = GOOD,
    name: str = "t",
) -> list[tuple[str, bool]]:
    sample = PointSampled(moment(at), device, name, quantity, value, quality)
    return told(rules.on_point(sample))


def told(findings: Sequence[Finding]) -> list[tuple[str, bool]]:
    return [(finding.object, finding.active) for finding in findings]


def test_a_smoke_contact_is_found_at_the_first_sample_and_only_once() -> None:
    rules = RuleSet(protection())
    assert point(rules, "n1", 0.0, 0.0, SMOKE) == []
    sample = PointSampled(moment(0.1), "n1", "alarm", SMOKE, 1.0, GOOD)
    [finding] = rules.on_point(sample)
    assert finding == Finding(
        rule_id="smoke",
        code="smoke",
        object="sensor:n1/alarm",
        zone="north",
        active=True,
        severity=Severity.CRITICAL,
        value="",
        limit="",
        at=moment(0.1),
    )
    assert rules.on_point(structs.replace(sample, at=moment(0.2))) == ()
    assert rules.raised() == [finding]


def test_a_stored_rule_whose_code_the_catalogue_no_longer_has_still_finds() -> None:
    rules = RuleSet(
        Protection(devices=DEVICES, zones=ZONES, rules=(over(code="of_another_version"),))
    )
    [finding] = rules.on_point(PointSampled(moment(0), "n1", "t", HOT, 61.0, GOOD))
    assert (finding.code, finding.severity) == ("of_another_version", Severity.MAJOR)


@pytest.mark.parametrize("value", [1.0, None, float("nan"), float("inf")])
@pytest.mark.parametrize("quality", [q for q in Quality if q is not GOOD])
def test_a_bad_value_is_no_number_whatever_it_carries(
    value: float | None, quality: Quality
) -> None:
    rules = RuleSet(protection(over(above=0.5)))
    assert point(rules, "n1", value, quality=quality) == []


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
def test_a_good_value_that_is_no_number_is_none(value: float | None) -> None:
    rules = RuleSet(
        protection(over(above=0.5), structs.replace(over("low"), above=None, below=0.0))
    )
    assert point(rules, "n1", value) == []


def test_a_bad_value_does_not_end_a_finding() -> None:
    rules = RuleSet(protection(over()))
    assert point(rules, "n1", 61.0) == [("sensor:n1/t", True)]
    assert point(rules, "n1", None, 1.0, quality=NONE) == []
    assert point(rules, "n1", 20.0, 2.0) == [("sensor:n1/t", False)]


def test_selects() -> None:
    rules = RuleSet(
        protection(
            over("zone", select=Select(quantity=HOT, zone="north"), code="smoke"),
            over("device", select=Select(quantity=HOT, device="n2"), code="water"),
            over("point", select=Select(quantity=HOT, point="roof"), code="door_open"),
            over("off", enabled=False),
            over("other", select=Select(quantity=SMOKE)),
        )
    )

    def codes(device: str, name: str = "t") -> list[str]:
        sample = PointSampled(moment(0), device, name, HOT, 99.0, GOOD)
        return [finding.code for finding in rules.on_point(sample)]

    assert codes("n1") == ["smoke"]
    assert codes("n2") == ["smoke", "water"]
    assert codes("s1") == []
    assert codes("s1", "roof") == ["door_open"]
    assert codes("free", "roof") == ["door_open"]
    assert codes("unknown", "roof") == ["door_open"]
    assert rules.on_point(PointSampled(moment(0), "n1", "u", Quantity.VOLTAGE_V, 1e6, GOOD)) == ()


def test_holds_are_fulfilled_by_time_and_told_by_tick() -> None:
    rules = RuleSet(protection(over(hold_s=2.0, clear_s=3.0)))
    assert point(rules, "n1", 61.0, 0.0) == []
    assert told(rules.tick(moment(1.9))) == []
    [finding] = rules.tick(moment(2.0))
    assert (finding.value, finding.limit, finding.at) == ("61 °C", "> 60 °C", moment(2.0))
    assert told(rules.tick(moment(2.1))) == []
    assert point(rules, "n1", 20.0, 3.0) == []
    assert told(rules.tick(moment(5.9))) == []
    assert told(rules.tick(moment(6.0))) == [("sensor:n1/t", False)]
    assert rules.raised() == []


def test_a_hold_that_was_broken_is_not_told() -> None:
    rules = RuleSet(protection(over(hold_s=2.0)))
    point(rules, "n1", 61.0, 0.0)
    point(rules, "n1", 59.0, 1.0)
    assert told(rules.tick(moment(9.0))) == []
    point(rules, "n1", 61.0, 10.0)
    point(rules, "n1", None, 11.0, quality=NONE)
    assert told(rules.tick(moment(19.0))) == []  # the last value is not known
    assert point(rules, "n1", 61.0, 20.0) == [("sensor:n1/t", True)]


def test_two_rules_that_see_one_cause_make_one_finding() -> None:
    major = over("warm", 50.0, severity=Severity.MAJOR)
    rules = RuleSet(protection(major, over("hot", 60.0), over("same", 55.0)))

    def severities(value: float) -> list[tuple[str, bool]]:
        sample = PointSampled(moment(0), "n1", "t", HOT, value, GOOD)
        return [(found.severity, found.active) for found in rules.on_point(sample)]

    assert severities(51.0) == [("major", True)]
    assert severities(56.0) == [("critical", True)]  # it came worse: told again
    assert severities(61.0) == []
    assert severities(58.0) == []
    assert severities(51.0) == []  # never hidden behind a lesser one
    assert severities(20.0) == [("critical", False)]
    assert severities(61.0) == [("major", True), ("critical", True)]


def test_a_silent_device_is_one_cause_for_all_its_points() -> None:
    silent = Silence(rule_id="s", code="sensor_silent", select=Select(quantity=HOT), for_s=0.15)
    rules = RuleSet(protection(silent))
    for poll in range(3):
        for name in ("t", "u"):
            found = point(rules, "n1", None, poll / 10, quality=NONE, name=name)
            assert found == ([("sensor:n1", True)] if (poll, name) == (2, "t") else [])
    assert point(rules, "n1", 20.0, 0.4, name="t") == []
    assert told(rules.tick(moment(6.0))) == []  # the other point is still silent
    point(rules, "n1", 20.0, 6.0, name="u")
    point(rules, "n1", 20.0, 6.0, name="t")
    for tenths in range(61, 120):
        assert told(rules.tick(moment(tenths / 10))) == (
            [("sensor:n1", False)] if tenths == 110 else []
        )
        point(rules, "n1", 20.0, tenths / 10, name="u")
        point(rules, "n1", 20.0, tenths / 10, name="t")


def test_a_line_that_polls_nothing_any_more_is_silent() -> None:
    rules = RuleSet(protection())
    for poll in range(10):
        point(rules, "n1", 0.0, poll / 10, SMOKE)
    assert told(rules.tick(moment(1.9))) == []
    [finding] = rules.tick(moment(2.3))
    assert (finding.code, finding.object) == ("detector_fault", "sensor:n1")


def test_points_of_a_zone_are_judged_together() -> None:
    spread = Spread(
        rule_id="s", code="sensor_spread", select=Select(quantity=HOT), max_spread=10.0, clear_s=0.0
    )
    vote = Vote(
        rule_id="v",
        code="heat",
        select=Select(quantity=HOT),
        needed=2,
        above=60.0,
        across="points",
        clear_s=0.0,
    )
    rules = RuleSet(protection(spread, vote))
    assert point(rules, "n1", 61.0) == []
    assert point(rules, "s1", 20.0) == []
    assert point(rules, "free", 61.0) == []
    assert point(rules, "n2", 20.0) == [("zone:north", True)]
    assert point(rules, "n2", 62.0) == [("zone:north", False), ("zone:north", True)]
    assert point(rules, "free", 80.0, name="u") == [("station", True), ("station", True)]
    assert {(f.code, f.object, f.zone) for f in rules.raised()} == {
        ("heat", "zone:north", "north"),
        ("heat", "station", ""),
        ("sensor_spread", "station", ""),
    }


def test_a_comparison_is_within_one_device() -> None:
    warmer = Compare(
        rule_id="c",
        code="transformer_hot",
        select=Select(quantity=Quantity.OIL_TEMPERATURE_C, point="top"),
        other=HOT,
        margin=10.0,
        clear_s=0.0,
    )
    rules = RuleSet(protection(warmer))
    oil = Quantity.OIL_TEMPERATURE_C
    assert point(rules, "n1", 20.0) == []
    assert point(rules, "n1", 31.0, quantity=oil, name="top") == [("sensor:n1", True)]
    assert point(rules, "n1", 99.0, quantity=oil, name="bottom") == []
    assert point(rules, "n2", 99.0, quantity=oil, name="top") == []


def sampled(battery: int | None = 30, cable: int | None = 30, at: float = 0.0) -> ConnectorSampled:
    charging = WireState.CHARGING
    return ConnectorSampled(
        moment(at), "A", 1, "", charging, True, 7500, 1000, 0, 0, 0, 50, cable, battery, 0, 0, 0
    )


def demanded(given_da: int, at: float) -> BmsDemanded:
    return BmsDemanded(
        moment(at), "A", 1, "", 4000, 1000, 1, 4000, 1000, 370, 1, 50, 9, 4000, given_da, 1
    )


def status(status_2: int, at: float, hottest: int = 30, coldest: int = 29) -> BmsSampled:
    return BmsSampled(moment(at), "A", 1, "", 1, hottest, 1, coldest, 1, 0, status_2)


LIMITS = BatteryLimits(moment(0), "A", 1, "", 365, 55, None, None, None, None)


def test_the_built_in_rules_judge_what_charge_points_report() -> None:
    rules = RuleSet(protection())

    def codes(*reports: ConnectorSampled | BmsDemanded | BmsSampled | BatteryLimits) -> list[str]:
        return [f.code for report in reports for f in rules.on_report(report) if f.active]

    assert codes(LIMITS, sampled(50), sampled(51, at=15)) == ["battery_near_limit"]
    assert codes(demanded(1050, 15), demanded(1051, 30), demanded(1051, 45)) == [
        "cell_over_voltage",  # 3.70 V against 3.65 V, twice
        "output_over_demand",
    ]
    assert codes(sampled(None, 91)) == ["cable_over_temperature"]
    assert codes(status(0, 60), status(0, 75)) == ["charging_forbidden"]
    assert codes(status(0b01_0000, 90, 56), status(0b01_0000, 91, 62)) == ["battery_heating_fast"]
    objects = {finding.object for finding in rules.raised()}
    assert objects == {"connector:A:1"}
    assert {finding.zone for finding in rules.raised()} == {"north"}


def test_a_report_that_no_rule_selects_costs_nothing() -> None:
    rules = RuleSet(protection(over()))
    assert rules.on_report(sampled(99, 99)) == ()
    assert rules.on_report(TariffHeld(moment(0), "A", 1, "")) == ()  # type: ignore[arg-type]  # any report may come
    assert rules._values == {}


def test_a_rule_of_a_zone_reads_connectors_of_that_zone_only() -> None:
    cable = Select(quantity=Quantity.CABLE_TEMP_C, zone="north")
    rules = RuleSet(protection(over(select=cable, above=80.0, code="cable_over_temperature")))
    inside = sampled(None, 99)
    outside = structs.replace(inside, charge_point_no="B")
    assert told(rules.on_report(outside)) == []
    assert rules._plans[type(outside)]["B", 1] == ()
    assert told(rules.on_report(inside)) == [("connector:A:1", True)]


def test_a_vehicle_that_leaves_takes_its_limits_and_findings_along() -> None:
    rules = RuleSet(protection())
    assert told(rules.on_report(LIMITS)) == []
    assert told(rules.on_report(sampled(54, 95))) == [("connector:A:1", True)] * 2
    assert [(f.code, f.active) for f in rules.forget("connector:A:1", moment(1))] == [
        ("battery_near_limit", False)
    ]
    assert [finding.code for finding in rules.raised()] == ["cable_over_temperature"]
    # The next vehicle has given no limit, and no temperature to have risen from.
    assert told(rules.on_report(sampled(62, 95, 2))) == []
    assert rules.forget("connector:B:9", moment(2)) == []


def test_a_vehicle_that_leaves_no_longer_counts_in_its_zone() -> None:
    select = Select(quantity=Quantity.BATTERY_TEMP_MAX_C, zone="north")
    spread = Spread(rule_id="s", code="sensor_spread", select=select, max_spread=10.0)
    waiting = over("w", 60.0, select=select, hold_s=60.0, code="battery_near_limit")
    rules = RuleSet(protection(spread, waiting))
    assert told(rules.on_report(sampled(61))) == []
    assert told(rules.forget("connector:A:1", moment(1))) == []
    second = structs.replace(sampled(30, at=2), connector_no=2)
    assert told(rules.on_report(second)) == []
    assert told(rules.tick(moment(100))) == []


def among(code: str, select: Select, needed: int) -> Vote:
    return Vote(
        rule_id="v", code=code, select=select, above=60.0, needed=needed, of=2, across="points",
        clear_s=0.0,
    )  # fmt: skip


def test_a_vehicle_that_leaves_ends_what_was_found_of_its_zone() -> None:
    select = Select(quantity=Quantity.BATTERY_TEMP_MAX_C, zone="north")
    spread = Spread(rule_id="s", code="sensor_spread", select=select, max_spread=10.0)
    two = among("heat", select, needed=2)
    rules = RuleSet(protection(spread, two))
    second = structs.replace(sampled(90, at=1), connector_no=2)
    assert told(rules.on_report(sampled(70))) == []
    assert told(rules.on_report(second)) == [("zone:north", True)] * 2
    assert told(rules.forget("connector:A:2", moment(2))) == [("zone:north", False)] * 2
    assert told(rules.on_report(sampled(70, at=3))) == []
    assert told(rules.forget("connector:A:1", moment(4))) == []
    assert rules.raised() == []


def test_a_vehicle_that_leaves_leaves_no_wait_behind_in_its_zone() -> None:
    select = Select(quantity=Quantity.BATTERY_TEMP_MAX_C, zone="north")
    two = structs.replace(among("heat", select, needed=2), hold_s=10.0, clear_s=60.0)
    rules = RuleSet(protection(two))

    def second(celsius: int, at: float) -> list[tuple[str, bool]]:
        return told(rules.on_report(structs.replace(sampled(celsius, at=at), connector_no=2)))

    rules.on_report(sampled(70))
    assert second(90, 0) == []
    assert told(rules.tick(moment(10))) == [("zone:north", True)]
    assert second(50, 20) == []
    assert told(rules.forget("connector:A:2", moment(21))) == [("zone:north", False)]
    assert second(90, 40) == []
    assert told(rules.tick(moment(50))) == [("zone:north", True)]


def test_a_vehicle_that_leaves_ends_nothing_that_the_others_still_show() -> None:
    select = Select(quantity=Quantity.BATTERY_TEMP_MAX_C, zone="north")
    one = among("heat", select, needed=1)
    rules = RuleSet(protection(one))
    rules.on_report(sampled(70))
    rules.on_report(structs.replace(sampled(90, at=1), connector_no=2))
    assert told(rules.forget("connector:A:2", moment(2))) == []
    assert told(rules.forget("connector:B:9", moment(2))) == []
    assert [finding.object for finding in rules.raised()] == ["zone:north"]


@pytest.mark.parametrize("changes", [{}, {"above": 50.0}], ids=["the same rule", "another limit"])
def test_a_vehicle_that_leaves_behind_a_swap_takes_its_findings_along(
    changes: dict[str, float],
) -> None:
    select = Select(quantity=Quantity.BATTERY_TEMP_MAX_C)
    hot = over("hot", 60.0, select=select, code="battery_near_limit")
    rules = RuleSet(protection(hot))
    rules.on_report(sampled(61))
    rules = rules.replaced_by(protection(structs.replace(hot, **changes)))
    assert told(rules.forget("connector:A:1", moment(1))) == [("connector:A:1", False)]
    assert rules.raised() == []


def test_unchanged_rules_keep_their_timers_through_a_swap() -> None:
    held, other = over("held", hold_s=10.0), over("other", 20.0, code="environment_hot")
    rules = RuleSet(protection(held, other))
    point(rules, "n1", 61.0, 0.0)
    rules = rules.replaced_by(protection(structs.replace(other, above=25.0), held))
    assert [finding.code for finding in rules.raised()] == ["environment_hot"]
    assert [finding.code for finding in rules.tick(moment(10))] == ["heat"]
    assert told(rules.tick(moment(11))) == []


def test_a_silence_goes_on_through_a_swap() -> None:
    rules = RuleSet(protection())
    point(rules, "n1", 0.0, 0.0, SMOKE)
    point(rules, "n1", 0.0, 0.1, SMOKE)
    rules = rules.replaced_by(protection(over("more"), *(RuleSet(protection())._rules.values())))
    assert [finding.code for finding in rules.tick(moment(1.6))] == ["detector_fault"]


def test_a_finding_outlives_a_change_of_its_rule_and_the_new_limit_ends_it() -> None:
    rules = RuleSet(protection(over(above=60.0)))
    point(rules, "n1", 61.0)
    rules = rules.replaced_by(protection(over(above=80.0)))
    assert [finding.value for finding in rules.raised()] == ["61 °C"]
    assert told(rules.tick(moment(1))) == []
    assert point(rules, "n1", 61.0, 2.0) == [("sensor:n1/t", False)]


def test_a_finding_of_a_sensor_that_no_document_names_outlives_a_swap_too() -> None:
    rules = RuleSet(protection(over()))
    assert point(rules, "late", 61.0) == [("sensor:late/t", True)]
    rules = rules.replaced_by(protection(over()))
    assert told(rules.tick(moment(1))) == []
    assert point(rules, "late", 20.0, 2.0) == [("sensor:late/t", False)]


def test_another_rule_of_the_same_code_takes_a_finding_over() -> None:
    rules = RuleSet(protection(over("one", severity=Severity.MAJOR)))
    point(rules, "n1", 61.0)
    rules = rules.replaced_by(protection(over("two")))
    assert [(f.severity, f.active) for f in rules.tick(moment(1))] == [("critical", True)]
    assert [finding.severity for finding in rules.raised()] == ["critical"]
    assert point(rules, "n1", 20.0, 2.0) == [("sensor:n1/t", False)]


@pytest.mark.parametrize(
    "after",
    [
        protection(over("cold", code="environment_hot", above=99.0)),  # no rule of this code
        protection(over(select=Select(quantity=HOT, zone="south"))),  # not for this place
        protection(over(), devices=DEVICES[1:]),  # the sensor is gone
    ],
)
def test_what_no_rule_can_end_any_more_is_told_to_be_over(after: Protection) -> None:
    rules = RuleSet(protection(over()))
    point(rules, "n1", 61.0)
    rules = rules.replaced_by(after)
    assert rules.raised() == []
    rules = rules.replaced_by(after)  # twice in a row loses nothing
    [finding] = rules.tick(moment(5))
    assert (finding.active, finding.object, finding.at) == (False, "sensor:n1/t", moment(5))
    assert told(rules.tick(moment(6))) == []


def test_values_of_another_place_are_not_kept() -> None:
    spread = Spread(rule_id="s", code="sensor_spread", select=Select(quantity=HOT), max_spread=1.0)
    stuck = Stuck(rule_id="k", code="sensor_stuck", select=Select(quantity=HOT), for_s=10.0)
    rate = Rate(
        rule_id="r",
        code="battery_heating_fast",
        select=Select(quantity=Quantity.BATTERY_TEMP_MAX_C),
        per_s=1.0,
    )
    rules = RuleSet(protection(spread, stuck, rate))
    point(rules, "n1", 20.0)
    rules.on_report(sampled(20))
    moved = tuple(structs.replace(device, zone="south") for device in DEVICES)
    rules = rules.replaced_by(
        protection(spread, stuck, rate, devices=moved, zones=(ZONES[1], Zone(name="north")))
    )
    assert point(rules, "n2", 40.0, 10.0) == []
    assert point(rules, "n1", 20.0, 10.0) == [("zone:south", True)]
    assert told(rules.on_report(sampled(90, at=20))) == []


def test_connectors_of_a_zone_keep_their_values_through_a_swap() -> None:
    spread = Spread(
        rule_id="s",
        code="sensor_spread",
        select=Select(quantity=Quantity.CABLE_TEMP_C),
        max_spread=9.0,
    )
    rules = RuleSet(protection(spread))
    rules.on_report(sampled())
    rules = rules.replaced_by(protection(spread, over()))
    other = structs.replace(sampled(cable=60), connector_no=2)
    assert told(rules.on_report(other)) == [("zone:north", True)]


def test_what_a_vehicle_said_once_holds_for_rules_that_come_later() -> None:
    rules = RuleSet(protection(over()))
    rules.on_report(LIMITS)
    near = Compare(
        rule_id="near",
        code="battery_near_limit",
        select=Select(quantity=Quantity.BATTERY_TEMP_MAX_C),
        other=Quantity.BATTERY_TEMP_LIMIT_C,
        margin=-5.0,
    )
    rules = rules.replaced_by(protection(near, zones=(Zone(name="north"), Zone(name="south"))))
    rules = rules.replaced_by(protection(structs.replace(near, margin=-4.0)))
    assert told(rules.on_report(sampled(51))) == []
    assert told(rules.on_report(sampled(52))) == [("connector:A:1", True)]
    assert told(rules.forget("connector:A:1", moment(1))) == [("connector:A:1", False)]
    rules = rules.replaced_by(protection(near))
    assert told(rules.on_report(sampled(60))) == []
