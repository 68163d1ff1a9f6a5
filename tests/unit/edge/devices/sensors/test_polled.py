"""A device's breaker: when it counts as dead, when it is asked again, what may be mistaken."""

from __future__ import annotations

import pytest

from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.plan import PlannedDevice, plan_line
from edge.devices.sensors.polled import LATE_S, PROBE_MAX_S, Polled
from edge.devices.sensors.profile import load_profiles
from shared.contracts.protection import Device, Protection

PROFILES = load_profiles()
LINE = LineConfig(name="a", transport=Transport.TCP, host="h")


def planned(model: str = "eastron-sdm630", unit_id: int = 1) -> PlannedDevice:
    device = Device(name="d", line="a", unit_id=unit_id, profile=model)
    return plan_line(LINE, Protection(devices=(device,)), PROFILES).devices[0]


def polled(model: str = "eastron-sdm630") -> Polled:
    return Polled.begin(planned(model), None, 100.0)


def turns(device: Polled) -> list[float]:
    return [at_s for at_s, _, _ in device.turns()]


def test_everything_is_due_at_first_and_then_by_its_period() -> None:
    device = polled()
    first = device.planned.reads[0]

    assert turns(device) == [100.0] * 4
    device.answered(first, 101.0)
    assert turns(device) == [101.0 + first.period_s, 100.0, 100.0, 100.0]


def test_three_silences_and_it_is_only_probed_ever_more_seldom() -> None:
    device = polled()
    read = device.planned.reads[0]
    dead_after = []
    for now_s in (100.0, 100.1, 100.2):
        device.missed(read, now_s, may_be_late=False)
        dead_after.append(device.is_dead)

    assert dead_after == [False, False, True]
    assert turns(device) == [101.2]
    waits = []
    for now_s in (200.0, 300.0, 400.0, 500.0, 600.0, 700.0):
        device.missed(read, now_s, may_be_late=False)
        (turn_s,) = turns(device)
        waits.append(turn_s - now_s)
    assert waits == [2.0, 4.0, 8.0, 16.0, PROBE_MAX_S, PROBE_MAX_S]

    device.answered(read, 800.0)
    assert turns(device) == [800.0 + read.period_s, 800.0, 800.0, 800.0]
    assert device.errors == 9


def test_one_answer_forgives_silences() -> None:
    device = polled()
    read = device.planned.reads[0]

    for now_s in range(100, 110):
        device.missed(read, float(now_s), may_be_late=False)
        device.missed(read, float(now_s), may_be_late=False)
        device.answered(read, float(now_s))

    assert not device.is_dead


@pytest.mark.parametrize(
    ("model", "may_be_late", "waits_s"),
    [
        ("eastron-sdm630", True, LATE_S),
        ("eastron-sdm630", False, 0.0),
        ("messko-compact-oil", True, 0.0),
    ],
)
def test_what_may_be_mistaken_is_left_alone_for_a_while(
    model: str, may_be_late: bool, waits_s: float
) -> None:
    device = polled(model)

    device.missed(device.planned.reads[0], 100.0, may_be_late=may_be_late)

    assert min(turns(device)) == 100.0 + waits_s


def test_what_was_not_told_of_for_three_periods_is_stale() -> None:
    device = polled("xy-md02")
    (read,) = device.planned.reads

    assert device.stale(100.0 + 3 * read.period_s) == []
    assert device.stale(100.1 + 3 * read.period_s) == [read]


def test_a_new_plan_knows_what_was_known_of_an_unchanged_device() -> None:
    old = polled()
    for _ in range(3):
        old.missed(old.planned.reads[0], 100.0, may_be_late=False)
    old.answering = False

    same = Polled.begin(planned(), old, 200.0)
    moved = Polled.begin(planned(unit_id=2), old, 200.0)

    assert (same.is_dead, same.answering, same.errors) == (True, False, 3)
    assert (moved.is_dead, moved.answering, moved.errors) == (False, None, 0)
