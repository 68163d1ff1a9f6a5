"""The matrix: each cause, from each place, to what it stops, opens, sounds and latches."""

from __future__ import annotations

import pytest

from edge.safety.interlock import STATION, Action, Matrix
from shared.contracts.protection import (
    Device,
    Interlock,
    OpenContactor,
    Output,
    OutputKind,
    Protection,
    Reach,
    Reset,
    Zone,
)

A1, A2, B1, C1 = ("A", 1), ("A", 2), ("B", 1), ("C", 1)
KNOWN = (A1, A2, B1, C1)


def output(
    name: str, kind: OutputKind, *zones: str, feeds: tuple[tuple[str, int], ...] = ()
) -> Output:
    return Output(name=name, kind=kind, device="relays", point=name, zones=zones, connectors=feeds)


PROTECTION = Protection(
    devices=(
        Device(name="smoke-n", line="l", unit_id=1, profile="p", zone="north"),
        Device(name="smoke-t", line="l", unit_id=2, profile="p", zone="transformer"),
        Device(name="button", line="l", unit_id=3, profile="p"),
    ),
    zones=(
        Zone(name="north", connectors=(A1, A2, ("D", 1))),
        Zone(name="edge", connectors=(A2, B1)),
        Zone(name="transformer"),
    ),
    outputs=(
        output("siren-n", OutputKind.SIREN, "north"),
        output("strobe", OutputKind.STROBE),
        output("siren-e", OutputKind.SIREN, "edge"),
        Output(name="voice", kind=OutputKind.SPEAKER),
        output("beat", OutputKind.WATCHDOG),
        output("feed-a", OutputKind.CONTACTOR, feeds=(A1, A2)),
        output("feed-b", OutputKind.CONTACTOR, feeds=(B1,)),
    ),
)
NORTH = (A1, A2, ("D", 1))


def act(object_: str, code: str = "smoke", **row: object) -> Action:
    if not row:
        return Matrix(PROTECTION).act(code, object_, KNOWN)
    rows = (Interlock(cause=code, **row),)  # type: ignore[arg-type]  # a test's own row
    document = Protection(
        devices=PROTECTION.devices,
        zones=PROTECTION.zones,
        outputs=PROTECTION.outputs,
        interlocks=rows,
    )
    return Matrix(document).act(code, object_, KNOWN)


def test_smoke_in_a_zone_acts_on_that_zone() -> None:
    action = act("sensor:smoke-n/alarm")
    assert action == Action(
        cause="smoke",
        stop=Reach.ZONE,
        connectors=(A1, A2),  # those that are known
        places=NORTH,  # those that are bound, known or not
        contactors=("feed-a",),
        open_contactors=OpenContactor.AT_ONCE,
        sirens=("siren-n", "strobe"),
        speakers=("voice",),
        message="fire",
        reset=Reset.LOCAL,
        role="chief",
    )
    assert action.stops


@pytest.mark.parametrize("code", ["smoke", "emergency_button", "water", "heat"])
@pytest.mark.parametrize(
    "object_",
    [
        "sensor:button/pressed",  # bound to no zone
        "sensor:smoke-t/alarm",  # its zone has no connectors
        "sensor:nobody/knows",
        "zone:nowhere",
        "connector:C:1",  # in no zone
        "connector:C:x",
        "charge_point:",
        "station",
        "channel:speaker",
        "",
    ],
)
def test_what_is_bound_nowhere_acts_on_the_whole_station(code: str, object_: str) -> None:
    action = act(object_, code)
    assert action.connectors == KNOWN
    assert action.places == (STATION,)
    assert action.contactors == ("feed-a", "feed-b")
    assert "strobe" in action.sirens


@pytest.mark.parametrize(
    ("object_", "reach", "places", "stopped"),
    [
        ("connector:A:2", Reach.NONE, (), ()),
        ("connector:A:2", Reach.CONNECTOR, (A2,), (A2,)),
        ("connector:A:2", Reach.CHARGE_POINT, (("A", 0),), (A1, A2)),
        ("connector:A:2", Reach.ZONE, (A1, A2, B1, ("D", 1)), (A1, A2, B1)),  # of both its zones
        ("connector:A:2", Reach.STATION, (STATION,), KNOWN),
        ("charge_point:B", Reach.CONNECTOR, (("B", 0),), (B1,)),
        ("charge_point:B", Reach.ZONE, (A2, B1), (A2, B1)),
        ("charge_point:C", Reach.ZONE, (STATION,), KNOWN),
        ("zone:edge", Reach.CONNECTOR, (A2, B1), (A2, B1)),
        ("sensor:smoke-n/t", Reach.CHARGE_POINT, NORTH, (A1, A2)),
        ("output:siren-e", Reach.ZONE, (A2, B1), (A2, B1)),
        ("output:strobe", Reach.ZONE, (STATION,), KNOWN),
        ("output:none", Reach.ZONE, (STATION,), KNOWN),
    ],
)
def test_reach(
    object_: str,
    reach: Reach,
    places: tuple[tuple[str, int], ...],
    stopped: tuple[tuple[str, int], ...],
) -> None:
    action = act(object_, "water", stop=reach)
    assert (action.places, action.connectors) == (places, stopped)
    assert action.stops is (reach is not Reach.NONE)


@pytest.mark.parametrize(
    ("object_", "sirens"),
    [
        ("zone:north", ("siren-n", "strobe")),
        ("zone:edge", ("strobe", "siren-e")),
        ("station", ("siren-n", "strobe", "siren-e")),
        ("zone:transformer", ("strobe",)),
    ],
)
def test_the_sirens_of_the_zone_sound(object_: str, sirens: tuple[str, ...]) -> None:
    assert act(object_, sirens=True).sirens == sirens
    assert act(object_, stop=Reach.ZONE).sirens == ()


def test_a_zone_without_a_siren_is_heard_by_all_others() -> None:
    siren = output("siren-n", OutputKind.SIREN, "north")
    document = Protection(zones=PROTECTION.zones, outputs=(siren,))
    assert Matrix(document).act("smoke", "zone:edge", ()).sirens == ("siren-n",)


@pytest.mark.parametrize(
    ("when", "names", "opened"),
    [
        (OpenContactor.NEVER, (), OpenContactor.NEVER),
        (OpenContactor.UNCONFIRMED, ("feed-b",), OpenContactor.UNCONFIRMED),
        (OpenContactor.AT_ONCE, ("feed-b",), OpenContactor.AT_ONCE),
    ],
)
def test_contactors(when: OpenContactor, names: tuple[str, ...], opened: OpenContactor) -> None:
    action = act("connector:B:1", stop=Reach.CONNECTOR, contactor=when)
    assert (action.contactors, action.open_contactors) == (names, opened)
    nothing_feeds_it = act("connector:C:1", stop=Reach.CONNECTOR, contactor=when)
    assert nothing_feeds_it.open_contactors is OpenContactor.NEVER


def test_without_a_latch_no_place_is_blocked() -> None:
    action = act("connector:B:1", "water", stop=Reach.CONNECTOR, reset=Reset.NO_LATCH)
    assert (action.connectors, action.places) == ((B1,), ())


def test_new_charges_are_refused_where_the_detector_failed() -> None:
    action = act("sensor:smoke-n", "detector_fault")
    assert (action.connectors, action.places, action.stops) == ((), (), False)
    assert action.no_new_starts == NORTH
    assert act("sensor:button/fault", "detector_fault").no_new_starts == (STATION,)
    wide = act("zone:north", stop=Reach.STATION, no_new_starts=True)
    assert wide.no_new_starts == (STATION,)


def test_a_code_without_a_row_does_nothing() -> None:
    assert act("station", "tariff_missing") == Action(cause="tariff_missing")


def test_an_over_hot_battery_stops_its_connector_until_the_vehicle_leaves() -> None:
    action = act("connector:A:1", "battery_over_temperature")
    assert action.places == (A1,)
    assert action.reset is Reset.UNPLUGGED
    assert action.message == "over_temperature"
