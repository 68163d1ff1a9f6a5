"""What points of sensors are called on the screen: as their models say."""

from __future__ import annotations

from collections.abc import Mapping

from edge.devices.sensors.profile import Profile
from shared.contracts.protection import Protection

PointTitle = tuple[str, str, bool]
"""Titles of a point, zh and en, and whether it is a safety point."""


def point_titles(
    profiles: Mapping[str, Profile], protection: Protection
) -> dict[tuple[str, str], PointTitle]:
    """Return the titles by device and point; a device of an unknown model has none."""
    return {
        (device.name, point.name): (point.title_zh, point.title_en, point.safety)
        for device in protection.devices
        if (profile := profiles.get(device.profile)) is not None
        for point in profile.points
    }
