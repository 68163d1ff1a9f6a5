"""From reports to telemetry: plain integers in the order of the contract's columns."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from edge.devices.chargers.reports import WIRE_STATES, BmsDemanded, BmsSampled, ConnectorSampled
from edge.devices.sensors.reports import PointSampled
from edge.devices.sensors.samples import Thinner
from shared.contracts.telemetry import MISSING, Sample
from shared.contracts.words import SampleKind

_WIRE_STATE_NO = {state: number for number, state in enumerate(WIRE_STATES)}


class SensorSamples:
    """Hears every value of a sensor and passes on what telemetry is to have of it."""

    def __init__(self, add_sample: Callable[[Sample], None]) -> None:
        self._add_sample = add_sample
        self._thinner = Thinner()

    def on_point(self, report: PointSampled) -> None:
        """Take in a value."""
        if (sample := self._thinner.take(report)) is not None:
            self._add_sample(sample)


def meter_sample(report: ConnectorSampled, transaction_id: UUID | None) -> Sample:
    """Return a 0x13 as telemetry."""
    cable_c, battery_c = report.cable_temp_c, report.battery_temp_max_c
    values = (
        report.voltage_dv,
        report.current_da,
        report.energy_dwh,
        report.amount_e4,
        report.soc_percent,
        MISSING if cable_c is None else cable_c,
        MISSING if battery_c is None else battery_c,
        report.charged_min,
        report.remaining_min,
        _WIRE_STATE_NO[report.state],
        report.faults,
    )
    at_ms, number = report.at.wall_ms, report.charge_point_no
    return Sample(SampleKind.METER, number, report.connector_no, transaction_id, at_ms, values)


def demand_sample(report: BmsDemanded, transaction_id: UUID | None) -> Sample:
    """Return a 0x23 as telemetry."""
    return Sample(
        SampleKind.BMS_DEMAND,
        report.charge_point_no,
        report.connector_no,
        transaction_id,
        report.at.wall_ms,
        (
            report.voltage_demand_dv,
            report.current_demand_da,
            report.charging_mode,
            report.voltage_dv,
            report.current_da,
            report.cell_voltage_max_cv,
            report.cell_group,
            report.soc_percent,
            report.remaining_min,
            report.output_voltage_dv,
            report.output_current_da,
            report.charged_min,
        ),
    )


def status_sample(report: BmsSampled, transaction_id: UUID | None) -> Sample:
    """Return a 0x25 as telemetry."""
    hottest, coldest = report.battery_temp_max_c, report.battery_temp_min_c
    return Sample(
        SampleKind.BMS_STATUS,
        report.charge_point_no,
        report.connector_no,
        transaction_id,
        report.at.wall_ms,
        (
            report.cell_voltage_max_no,
            MISSING if hottest is None else hottest,
            report.battery_temp_max_no,
            MISSING if coldest is None else coldest,
            report.battery_temp_min_no,
            report.status_1,
            report.status_2,
        ),
    )
