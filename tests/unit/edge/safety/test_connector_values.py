"""Reports of charge points become quantities; what is not given is left out."""

from __future__ import annotations

import pytest

from edge.devices.chargers.reports import (
    BatteryLimits,
    BmsDemanded,
    BmsSampled,
    ChargingStopped,
    ConnectorSampled,
    Moment,
    WireState,
)
from edge.safety.connector_values import ConnectorReport, connector_values, getters
from shared.contracts.protection import OF_CONNECTORS, Quantity

AT = Moment(0, 0.0)


def sampled(
    cable: int | None, battery: int | None, state: WireState = WireState.CHARGING
) -> ConnectorSampled:
    return ConnectorSampled(
        AT, "A", 1, "", state, True, 7500, 1000, 0, 0, 0, 50, cable, battery, 0, 0, 0
    )


def status(status_2: int, coldest: int | None = 20) -> BmsSampled:
    return BmsSampled(AT, "A", 1, "", 1, 41, 1, coldest, 2, 0, status_2)


@pytest.mark.parametrize(
    ("report", "values"),
    [
        (sampled(60, 35), {"cable_temp_c": 60, "battery_temp_max_c": 35, "soc_percent": 50}),
        (sampled(None, None), {"soc_percent": 50}),
        # Not charging yet: what is said of a vehicle may still be of the one before.
        (sampled(60, 35, WireState.IDLE), {"cable_temp_c": 60}),
        (
            BmsDemanded(AT, "A", 1, "", 4000, 1250, 1, 3900, 1200, 415, 3, 50, 30, 3910, 1210, 5),
            {
                "demand_voltage_v": 400.0,
                "demand_current_a": 125.0,
                "cell_voltage_max_v": 4.15,
                "output_voltage_v": 391.0,
                "output_current_a": 121.0,
                "soc_percent": 50,
            },
        ),
        (
            status(0b01_00_00),
            {
                "battery_temp_max_c": 41,
                "battery_temp_min_c": 20,
                "battery_temp_spread_c": 21,
                "insulation_fault": 0,
                "charging_forbidden": 0,
            },
        ),
        (
            status(0b00_00_01, None),
            {"battery_temp_max_c": 41, "insulation_fault": 1, "charging_forbidden": 1},
        ),
        # "Untrusted" says neither yes nor no.
        (status(0b10_00_10, None), {"battery_temp_max_c": 41}),
        (
            BatteryLimits(AT, "A", 1, "", 365, 60, None, None, None, None),
            {"battery_temp_limit_c": 60, "cell_voltage_limit_v": 3.65},
        ),
        (BatteryLimits(AT, "A", 1, "", None, None, None, None, None, None), {}),
        (ChargingStopped(AT, "A", 1, "", 0x19, "", 330, 365), {"cell_spread_v": 0.35}),
        (ChargingStopped(AT, "A", 1, "", 0x19, "", None, 365), {}),
        (ChargingStopped(AT, "A", 1, "", 0x1D, ""), {}),
    ],
)
def test_values(report: ConnectorReport, values: dict[str, float]) -> None:
    assert dict(connector_values(report)) == pytest.approx(values)


def test_only_what_is_wanted_is_read() -> None:
    assert getters([]) == {}
    wanted = getters([Quantity.SOC_PERCENT, Quantity.SMOKE])
    assert {kind: [pair[0] for pair in pairs] for kind, pairs in wanted.items()} == {
        ConnectorSampled: [Quantity.SOC_PERCENT],
        BmsDemanded: [Quantity.SOC_PERCENT],
    }


def test_what_limits_a_value_comes_before_it() -> None:
    order = [quantity for quantity, _ in getters(OF_CONNECTORS)[BmsDemanded]]
    assert order.index(Quantity.DEMAND_CURRENT_A) < order.index(Quantity.OUTPUT_CURRENT_A)
    assert order.index(Quantity.DEMAND_VOLTAGE_V) < order.index(Quantity.OUTPUT_VOLTAGE_V)
