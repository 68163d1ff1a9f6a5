"""What a line tells of its devices: values, silence, and who stopped or began to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.plan import Read
from edge.devices.sensors.polled import Polled
from edge.devices.sensors.profile import decode
from edge.devices.sensors.reports import (
    AnySensorReport,
    DeviceAnswering,
    OutputRead,
    PointSampled,
)
from shared.clock import Clock
from shared.contracts.protection import Quality

EVERY_S = 1.0
"""How often the points of a device are told that does not answer."""


class Teller:
    """Publishes for the devices that it was given last: the plan may change under a request."""

    def __init__(self, clock: Clock, publish: Callable[[AnySensorReport], None]) -> None:
        self._clock = clock
        self._publish = publish
        self._current: frozenset[int] = frozenset()

    def moment(self) -> Moment:
        """Return now, on both clocks."""
        return Moment(self._clock.now_ms(), self._clock.monotonic_s())

    def only(self, devices: Iterable[Polled]) -> None:
        """Tell of these from now on, and of no other."""
        self._current = frozenset(map(id, devices))

    def values(self, device: Polled, read: Read, raw: list[int]) -> None:
        """Tell what an answer says of each point, and of the outputs that a point proves."""
        if id(device) not in self._current:
            return
        at = self.moment()
        device.reported_s[read] = at.mono_s
        for each in read.points:
            point = each.point
            value, quality = decode(point, raw[point.address - read.address :])
            self._publish(PointSampled(at, read.device, point.name, point.quantity, value, quality))
            for output in each.proves:
                self._publish(OutputRead(at, output, None if value is None else value >= 0.5))

    def nothing(self, device: Polled, reads: Iterable[Read], quality: Quality) -> None:
        """Tell that the points of these requests have no value, and why."""
        if id(device) not in self._current:
            return
        at = self.moment()
        for read in reads:
            device.reported_s[read] = at.mono_s
            for each in read.points:
                name, quantity = each.point.name, each.point.quantity
                self._publish(PointSampled(at, read.device, name, quantity, None, quality))
                for output in each.proves:
                    self._publish(OutputRead(at, output, None))

    def all_silent(self, device: Polled, *, at_least_s: float = 0.0) -> None:
        """Tell every point of a device as unanswered, unless that was done just now."""
        now_s = self._clock.monotonic_s()
        if now_s - device.told_s >= at_least_s:
            device.told_s = now_s
            self.nothing(device, device.planned.reads, Quality.NO_ANSWER)

    def answering(self, device: Polled, yes: bool, reason: str = "") -> None:
        """Tell a change, and only that."""
        if device.answering is not yes and id(device) in self._current:
            device.answering = yes
            self._publish(DeviceAnswering(self.moment(), device.name, yes, reason))
