"""The bill of a transaction, and the balance while it runs."""

from __future__ import annotations

from typing import NamedTuple

from edge.devices.chargers.ykc.fields import (
    U8,
    U32,
    U40,
    Card,
    ChargePointNo,
    Connector,
    Time,
    TransactionNo,
    Vin,
)
from edge.devices.chargers.ykc.messages.base import Message, downlink, uplink


class PeriodPart(NamedTuple):
    """One tariff period's share of a transaction; the price is energy and service together."""

    price_e5: int
    energy_dwh: int
    loss_adjusted_dwh: int
    amount_e4: int


@uplink(0x3B, "transaction record", "交易记录")
class TransactionRecord(Message, frozen=True, gc=False):
    """One for every executed start, also a failed one; repeated until 0x40."""

    transaction_no: TransactionNo
    charge_point_no: ChargePointNo
    connector_no: Connector
    started_at: Time
    ended_at: Time
    sharp_price_e5: U32
    sharp_energy_dwh: U32
    sharp_loss_adjusted_dwh: U32
    sharp_amount_e4: U32
    peak_price_e5: U32
    peak_energy_dwh: U32
    peak_loss_adjusted_dwh: U32
    peak_amount_e4: U32
    flat_price_e5: U32
    flat_energy_dwh: U32
    flat_loss_adjusted_dwh: U32
    flat_amount_e4: U32
    valley_price_e5: U32
    valley_energy_dwh: U32
    valley_loss_adjusted_dwh: U32
    valley_amount_e4: U32
    meter_start_dwh: U40
    meter_end_dwh: U40
    energy_dwh: U32
    loss_adjusted_dwh: U32
    amount_e4: U32
    vin: Vin
    start_mode: U8  # 1 app, 2 card, 4 offline card, 5 VIN
    transaction_time: Time
    stop_reason: U8  # see codes.stop_reason()
    physical_card: Card

    @property
    def periods(self) -> tuple[PeriodPart, PeriodPart, PeriodPart, PeriodPart]:
        """Sharp, peak, flat, valley."""
        return (
            PeriodPart(
                self.sharp_price_e5,
                self.sharp_energy_dwh,
                self.sharp_loss_adjusted_dwh,
                self.sharp_amount_e4,
            ),
            PeriodPart(
                self.peak_price_e5,
                self.peak_energy_dwh,
                self.peak_loss_adjusted_dwh,
                self.peak_amount_e4,
            ),
            PeriodPart(
                self.flat_price_e5,
                self.flat_energy_dwh,
                self.flat_loss_adjusted_dwh,
                self.flat_amount_e4,
            ),
            PeriodPart(
                self.valley_price_e5,
                self.valley_energy_dwh,
                self.valley_loss_adjusted_dwh,
                self.valley_amount_e4,
            ),
        )


@downlink(0x40, "transaction record confirm", "交易记录确认")
class RecordConfirm(Message, frozen=True, gc=False):
    """Only means that the platform has the record. Carries no charge point number."""

    transaction_no: TransactionNo
    result: U8 = 0  # 0 uploaded, 1 illegal bill


@downlink(0x42, "balance update", "远程账户余额更新")
class BalanceUpdate(Message, frozen=True, gc=False):
    charge_point_no: ChargePointNo
    connector_no: Connector
    physical_card: Card  # zeros: update without checking who charges
    balance_fen: U32


@uplink(0x41, "balance update answer", "余额更新应答")
class BalanceUpdateAnswer(Message, frozen=True, gc=False):
    """Carries no connector number."""

    charge_point_no: ChargePointNo
    physical_card: Card
    result: U8  # 0 success, 1 wrong charge point number, 2 wrong card number
