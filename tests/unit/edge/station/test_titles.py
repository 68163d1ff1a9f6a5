"""Points are called as their models say."""

from __future__ import annotations

from edge.devices.sensors.profile import load_profiles
from edge.station.titles import point_titles
from shared.contracts.protection import Device, Protection


def test_every_point_of_a_known_model_has_titles_in_both_languages() -> None:
    profiles = load_profiles()
    name, profile = next(iter(profiles.items()))
    devices = (
        Device(name="d1", line="l", unit_id=1, profile=name),
        Device(name="d2", line="l", unit_id=2, profile="no such model"),
    )
    titles = point_titles(profiles, Protection(devices=devices))
    assert titles == {
        ("d1", point.name): (point.title_zh, point.title_en, point.safety)
        for point in profile.points
    }
