"""Watches every report of a charge point and stops what must stop, before anything is stored.

The engine is the first subscriber of the bus. A rule that trips has its stop frame written in
the same call; only then is anybody told. It keeps no files and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from edge.devices.chargers.reports import (
    BatteryIdentified,
    BatteryLimits,
    BmsSampled,
    ConnectorSampled,
    LinkLost,
    LoggedIn,
    Moment,
    WireState,
)
from edge.devices.chargers.wishes import AnyWish
from edge.safety.ladder import (
    ZERO_CURRENT_DA,
    Confirmed,
    NotConfirmed,
    Rungs,
    StopLadder,
)
from edge.safety.rules import battery_over_temperature, battery_reports_danger
from shared.ids import uuid7

Connector = tuple[str, int]


def unplugged(report: ConnectorSampled) -> bool:
    """Whether no vehicle is there; a plug contact that says so while current flows is broken."""
    return (
        not report.plugged_in
        and report.state is not WireState.CHARGING
        and report.current_da < ZERO_CURRENT_DA
    )


class Trip(Struct):
    """One stop by the station itself. `stop_sent_us`: deciding frame → stop frame written."""

    trip_id: UUID
    cause: str
    connector: Connector
    at: Moment
    detail: str
    stop_sent_us: int


_DANGER_HOLDS_S = 60.0


class Limits(Struct):
    """What the vehicle on a connector allows."""

    max_c: int = battery_over_temperature.DEFAULT_MAX_C
    vehicle_max_c: int | None = None
    battery_type: int | None = None
    tripped: bool = False
    danger_s: float | None = None
    """When the vehicle last said what makes a rule trip; None once its BMS says otherwise."""


class SafetyEngine:
    """Rules over reports, and the stop ladder.

    Args:
        send: Writes a wish to its charge point before it returns.
        monotonic_s: The monotonic clock.
        rungs: Of the stop ladder.
        on_trip: Told after the stop frame of a trip was written.
        on_confirmed, on_not_confirmed: Told how a stop ended.
    """

    def __init__(
        self,
        *,
        send: Callable[[AnyWish], bool],
        monotonic_s: Callable[[], float],
        rungs: Rungs,
        on_trip: Callable[[Trip], None],
        on_confirmed: Callable[[Confirmed], None],
        on_not_confirmed: Callable[[NotConfirmed], None],
    ) -> None:
        self._monotonic_s = monotonic_s
        self._ladder = StopLadder(send, rungs)
        self._limits: dict[Connector, Limits] = {}
        self._on_trip = on_trip
        self._on_confirmed = on_confirmed
        self._on_not_confirmed = on_not_confirmed

    def on_battery(self, report: BatteryIdentified | BatteryLimits) -> None:
        """Keep the limits that the vehicle gave (0x15, 0x17)."""
        limits = self._limits_of((report.charge_point_no, report.connector_no))
        if isinstance(report, BatteryLimits):
            limits.vehicle_max_c = report.temperature_max_c
        else:
            limits.battery_type = report.battery_type
        limits.max_c = battery_over_temperature.limit_c(limits.vehicle_max_c, limits.battery_type)

    def remember(
        self, connector: Connector, vehicle_max_c: int | None, battery_type: int | None
    ) -> None:
        """Take the limits of a vehicle that was here before a restart."""
        limits = self._limits_of(connector)
        limits.vehicle_max_c, limits.battery_type = vehicle_max_c, battery_type
        limits.max_c = battery_over_temperature.limit_c(vehicle_max_c, battery_type)

    def on_bms(self, report: BmsSampled) -> None:
        """Judge a 0x25."""
        connector = (report.charge_point_no, report.connector_no)
        limits = self._limits_of(connector)
        too_hot = battery_over_temperature.exceeds(report.battery_temp_max_c, limits.max_c)
        danger = battery_reports_danger.condition(report.status_1, report.status_2)
        limits.danger_s = report.at.mono_s if too_hot or danger else None
        if limits.tripped:
            return
        if too_hot:
            detail = str(report.battery_temp_max_c)
            self._trip(battery_over_temperature.CODE, connector, report.at, limits, detail)
        elif danger:
            self._trip(battery_reports_danger.CODE, connector, report.at, limits, danger)

    def on_sample(self, report: ConnectorSampled) -> None:
        """Judge a 0x13, and look whether it proves a stop."""
        if report.replayed:
            return
        connector = (report.charge_point_no, report.connector_no)
        if self._ladder.busy and (confirmed := self._ladder.on_sample(report)):
            self._on_confirmed(confirmed)
        limits = self._limits.get(connector)
        if limits is None:
            limits = self._limits_of(connector)
        if unplugged(report):
            # Another vehicle has other limits, and none yet.
            self._limits[connector] = Limits()
        elif battery_over_temperature.exceeds(report.battery_temp_max_c, limits.max_c):
            limits.danger_s = report.at.mono_s
            if not limits.tripped:
                detail = str(report.battery_temp_max_c)
                self._trip(battery_over_temperature.CODE, connector, report.at, limits, detail)

    def on_lost(self, report: LinkLost) -> None:
        """A link is gone; what is still too hot when it is back trips again."""
        self._ladder.on_lost(report.charge_point_no)
        for connector, limits in self._limits.items():
            if connector[0] == report.charge_point_no:
                limits.tripped = False

    def on_logged_in(self, report: LoggedIn) -> None:
        """A link is back: what was to stop there is told so again."""
        if self._ladder.busy:
            self._ladder.on_back(report.charge_point_no)

    def stop(self, connector: Connector, cause: str, now: Moment) -> None:
        """Stop a connector for another cause, and follow it to zero current."""
        self._ladder.start(connector, cause, now)

    def stopping(self, connector: Connector) -> bool:
        """Whether a stop of this connector still waits for its proof."""
        return self._ladder.climbing(connector)

    def is_dangerous(self, connector: Connector, now: Moment) -> bool:
        """Whether a rule would trip by what the vehicle said within the last minute."""
        limits = self._limits.get(connector)
        danger_s = limits.danger_s if limits is not None else None
        return danger_s is not None and now.mono_s - danger_s < _DANGER_HOLDS_S

    def rearm(self, connector: Connector) -> None:
        """Have the rules trip again on a connector whose latch was lifted."""
        if limits := self._limits.get(connector):
            limits.tripped = False

    def tick(self, now: Moment) -> None:
        """Climb the ladder; several times a second."""
        if self._ladder.busy:
            for failed in self._ladder.tick(now):
                self._on_not_confirmed(failed)

    def _limits_of(self, connector: Connector) -> Limits:
        return self._limits.setdefault(connector, Limits())

    def _trip(
        self, cause: str, connector: Connector, at: Moment, limits: Limits, detail: str
    ) -> None:
        limits.tripped = True
        self._ladder.start(connector, cause, at)
        sent_us = int((self._monotonic_s() - at.mono_s) * 1_000_000)
        self._on_trip(Trip(uuid7(at.wall_ms), cause, connector, at, detail, sent_us))
