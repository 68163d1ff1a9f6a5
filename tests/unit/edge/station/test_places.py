"""Places in words, in both languages."""

from __future__ import annotations

import pytest

from edge.station.places import Places, letter
from shared.contracts.protection import Device, Output, OutputKind, Protection, Zone

NORTH = Zone(name="north", title_zh="北区", title_en="North bay")
PROTECTION = Protection(
    zones=(NORTH, Zone(name="pit")),
    devices=(
        Device(
            name="s1", line="l", unit_id=1, profile="p", zone="north",
            title_zh="烟感", title_en="Smoke detector",
        ),
        Device(name="s2", line="l", unit_id=2, profile="p"),
        Device(name="s3", line="l", unit_id=3, profile="p", zone="north", title_zh="北区水浸"),
    ),
    outputs=(
        Output(name="k1", kind=OutputKind.CONTACTOR, connectors=(("7", 1), ("7", 2))),
        Output(name="horn", kind=OutputKind.SIREN),
    ),
)  # fmt: skip
PLACES = Places(["9", "7", "8"], PROTECTION)


@pytest.mark.parametrize(
    ("subject", "zh", "en"),
    [
        ("station", "全站", "Whole station"),
        ("charge_point:8", "02 号桩", "Charge point 02"),
        ("charge_point:1", "1 号桩", "Charge point 1"),
        ("connector:9:2", "03 号桩 B 枪", "Connector 03-B"),
        ("connector:9:x", "connector:9:x", "connector:9:x"),
        ("zone:north", "北区", "North bay"),
        ("zone:pit", "pit", "pit"),
        ("zone:gone", "gone", "gone"),
        ("sensor:s1/alarm", "北区 烟感", "North bay: Smoke detector"),
        ("sensor:s2", "s2", "s2"),
        ("sensor:s3", "北区水浸", "North bay: 北区水浸"),
        ("sensor:gone/x", "gone", "gone"),
        ("output:horn", "输出 horn", "Output horn"),
        ("rule:hot", "规则 hot", "Rule hot"),
        ("step:ladder", "保护程序 ladder", "Protection step ladder"),
        ("channel:kiosk", "安全通道 kiosk", "Safety channel kiosk"),
        ("moon", "moon", "moon"),
    ],
)
def test_every_object_of_an_alarm_has_a_place(subject: str, zh: str, en: str) -> None:
    assert PLACES.place(subject) == (zh, en)


def test_labels_are_what_is_painted_on_site() -> None:
    assert PLACES.connector(("7", 1)) == "01-A"
    assert PLACES.connector(("7", 27)) == "01-27"
    assert letter(26) == "Z"
    many = Places([f"{number:014}" for number in range(120)], Protection())
    assert many.charge_point(f"{0:014}") == "001"
    assert many.charge_point(f"{119:014}") == "120"


def test_what_a_contactor_isolates() -> None:
    assert PLACES.fed_by(["k1", "horn", "gone"]) == [("7", 1), ("7", 2)]
