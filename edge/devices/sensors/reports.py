"""What the Modbus lines tell the station: values of points, and whether devices answer.

They travel on the same bus as the reports of charge points and stay inside the station.
"""

from __future__ import annotations

from msgspec import Struct

from edge.devices.chargers.reports import Moment
from shared.contracts.protection import Quality, Quantity


class PointSampled(Struct, frozen=True, gc=False):
    """One value of one point; `value` is None unless `quality` is good. `at`: reply received.

    A contact is 0.0 or 1.0. A point that could not be read is reported at every try, so that
    whoever counts polls sees its silence.
    """

    at: Moment
    device: str
    point: str
    quantity: Quantity
    value: float | None
    quality: Quality


class DeviceAnswering(Struct, frozen=True, gc=False):
    """A device of a line answers again, or has stopped to; sent once at each change."""

    at: Moment
    device: str
    answering: bool
    reason: str = ""


class OutputRead(Struct, frozen=True, gc=False):
    """What an output's `read_back` point says at each poll of it; None: unreadable."""

    at: Moment
    output: str
    on: bool | None


AnySensorReport = PointSampled | DeviceAnswering | OutputRead
