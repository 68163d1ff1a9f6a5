"""What a connector is doing now."""

from __future__ import annotations

from edge.devices.chargers.ykc.fields import (
    U8,
    U16,
    U32,
    ChargePointNo,
    Connector,
    Hex8,
    TransactionNo,
    temperature_c,
)
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink


@downlink(0x12, "read realtime data", "读取实时监测数据")
class ReadRealtime(Message, frozen=True, gc=False):
    """Answered by one 0x13."""

    charge_point_no: ChargePointNo
    connector_no: Connector


@uplink(0x13, "realtime data", "上传实时监测数据")
class Realtime(Message, frozen=True, gc=False):
    """Idle every 5 min, charging every 15 s, at once on a change, and on 0x12.

    Carries no time. Between login and 0x05 it may be the replay of a stored one.
    """

    transaction_no: TransactionNo  # zeros = none
    charge_point_no: ChargePointNo
    connector_no: Connector
    status: U8  # 0 offline, 1 fault, 2 idle, 3 charging
    holstered: U8  # 0 no, 1 yes, 2 unknown
    plugged_in: U8  # 0 no, 1 yes
    voltage_dv: U16
    current_da: U16  # no offset here
    cable_temp_raw: U8
    cable_no: Hex8
    soc_percent: U8
    battery_temp_max_raw: U8
    charged_min: U16
    remaining_min: U16
    energy_dwh: U32
    loss_adjusted_dwh: U32  # some send 0: use energy_dwh then
    amount_e4: U32
    faults_raw: U16  # see codes.fault_numbers()

    @property
    def cable_temp_c(self) -> int | None:
        """Temperature of the connector's cable in °C, None when not given."""
        return temperature_c(self.cable_temp_raw)

    @property
    def battery_temp_max_c(self) -> int | None:
        """Highest battery temperature in °C, None when not given (idle, AC)."""
        return temperature_c(self.battery_temp_max_raw)
