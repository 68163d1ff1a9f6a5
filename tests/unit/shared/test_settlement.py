"""One rule for what is billed of a record, at the station and at HQ."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from shared.contracts.events import PeriodTotals, Record
from shared.rating import Reading
from shared.settlement import bill_transaction, never_began, usable_energies
from shared.tariff import Period, PeriodPrice, Tariff

ZONE = ZoneInfo("Asia/Shanghai")
TARIFF = Tariff("F" * 48, {period: PeriodPrice(65432, 40000) for period in Period}, 50_000)
HOUR_MS = 3_600_000
NOTHING = PeriodTotals(0, 0, 0, 0)
FAILED_START, DONE = 0x52, 0x41


def _record(*, energy_dwh: int, flat_dwh: int, stop_reason: int = DONE) -> Record:
    return Record(
        transaction_no="1" * 32,
        charge_point_no="32010600019236",
        connector_no=1,
        started_at=None,
        ended_at=None,
        periods=(NOTHING, NOTHING, PeriodTotals(105432, flat_dwh, 0, 0), NOTHING),
        meter_start_dwh=0,
        meter_end_dwh=energy_dwh,
        energy_dwh=energy_dwh,
        loss_energy_dwh=0,
        amount_e4=0,
        stop_reason=stop_reason,
    )


def test_a_start_that_failed_costs_neither_energy_nor_time() -> None:
    record = _record(energy_dwh=0, flat_dwh=0, stop_reason=FAILED_START)
    assert never_began(record)
    assert bill_transaction(record, (), TARIFF, ZONE, HOUR_MS).payable_fen == 0


def test_time_is_paid_for_once_charging_began() -> None:
    record = _record(energy_dwh=0, flat_dwh=0)
    assert bill_transaction(record, (), TARIFF, ZONE, HOUR_MS).time_fee_fen == 3000
    ran = _record(energy_dwh=10_000, flat_dwh=10_000, stop_reason=FAILED_START)
    assert bill_transaction(ran, (), TARIFF, ZONE, HOUR_MS).time_fee_fen == 3000


@pytest.mark.parametrize("record", [None, _record(energy_dwh=10_000, flat_dwh=9_999)])
def test_readings_stand_in_for_a_record_that_is_missing_or_contradicts_itself(
    record: Record | None,
) -> None:
    readings = [Reading(0, 0), Reading(HOUR_MS, 20_000)]
    assert bill_transaction(record, readings, TARIFF, ZONE, HOUR_MS).energy_dwh == 20_000


def test_usable_energies_are_those_that_add_up() -> None:
    assert usable_energies(_record(energy_dwh=5, flat_dwh=5)) is not None
    assert usable_energies(_record(energy_dwh=5, flat_dwh=4)) is None
