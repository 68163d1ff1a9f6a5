"""A clock that runs 120 times as fast: what is heard late must not hold an honest bill.

On a machine that is busy a demo's station hears samples a moment late, and a moment is a minute
there: the energy of that minute seems to have flowed after a change of prices.
"""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud.billing.rules import Cause, Rated, rate_order
from edge.devices.chargers.reports import ConnectorSampled, Moment, RecordReceived, WireState
from edge.station.endings import Context, end_with_record
from edge.station.open_transaction import OpenTransaction
from edge.station.timing import NORMAL, Timing, fast
from ops.demo import world
from shared.clock import from_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import PeriodTotals, Record
from shared.contracts.words import EndKind, StartMeans
from shared.tariff import PERIODS, Period, PeriodPrice, Tariff

UTC = ZoneInfo("UTC")
HALF_HOUR_MS = 1_800_000
CUT_MS = 20_000 * HALF_HOUR_MS
SLOTS = "FP" * 24
TARIFF = Tariff(
    SLOTS, {Period.FLAT: PeriodPrice(65_432, 40_000), Period.PEAK: PeriodPrice(102_345, 45_000)}
)
RATED_W = world.RATED_KW * 1000
W_MS_PER_DWH = 360_000
SAMPLE_MS = int(500 * world.SCALE)  # as the demo's charge points send
STALL_MS = int(500 * world.SCALE)


def rated(
    timing: Timing,
    *,
    power_w: int = RATED_W,
    start_ms: int,
    end_ms: int,
    stalled_ms: int,
    stall_ms: int = 0,
    moved_dwh: int = 0,
) -> Rated:
    """Return HQ's word on a charge over the cut; nothing is heard in `stall_ms` from a moment on.

    The record gives `moved_dwh` more to the second period than flowed in it.
    """

    def meter(at_ms: int) -> int:
        return power_w * (at_ms - start_ms) // W_MS_PER_DWH

    transaction = OpenTransaction(
        transaction_id=UUID(int=1),
        transaction_no="7",
        charge_point_no="1",
        connector_no=1,
        means=StartMeans.CARD,
        opened_ms=start_ms,
    )
    for at_ms in range(start_ms, end_ms, SAMPLE_MS):
        is_late = stalled_ms <= at_ms < stalled_ms + stall_ms
        heard_ms = stalled_ms + stall_ms if is_late else at_ms
        transaction.take(sample(heard_ms, meter(at_ms)), UTC, timing.sparse_ms)
    first_dwh, total_dwh = meter(CUT_MS) - moved_dwh, meter(end_ms)
    ended = end_with_record(
        transaction,
        received(start_ms, end_ms, first_dwh, total_dwh),
        Context(
            config=ChargePointConfig(charge_point_no="1", connector_count=1, rated_w=RATED_W),
            zone=UTC,
            tariff=TARIFF,
            tariff_hash=TARIFF.content_hash(),
            clock_offset_ms=0,
            clock_tolerance_ms=timing.clock_tolerance_ms,
            sparse_ms=timing.sparse_ms,
            seen=True,
        ),
        ended_by=EndKind.RECORD,
    )
    return rate_order(ended, tariff=TARIFF, zone=UTC)


def sample(at_ms: int, energy_dwh: int) -> ConnectorSampled:
    return ConnectorSampled(
        at=Moment(at_ms, at_ms / 1000),
        charge_point_no="1",
        connector_no=1,
        transaction_no="7",
        state=WireState.CHARGING,
        plugged_in=True,
        voltage_dv=4000,
        current_da=1000,
        energy_dwh=energy_dwh,
        loss_energy_dwh=0,
        amount_e4=0,
        soc_percent=50,
        cable_temp_c=None,
        battery_temp_max_c=None,
        charged_min=0,
        remaining_min=0,
        faults=0,
    )


def received(start_ms: int, end_ms: int, first_dwh: int, total_dwh: int) -> RecordReceived:
    energies = {Period.FLAT: first_dwh, Period.PEAK: total_dwh - first_dwh}
    if TARIFF.period_of_slot(CUT_MS // HALF_HOUR_MS % 48) is Period.FLAT:
        energies = {Period.PEAK: first_dwh, Period.FLAT: total_dwh - first_dwh}
    totals, amount_e4 = [], 0
    for period in PERIODS:
        energy_dwh, price = energies.get(period, 0), TARIFF.prices.get(period)
        price_e5 = price.energy_price_e5 + price.service_price_e5 if price else 0
        part_e4 = (energy_dwh * price_e5 + 50_000) // 100_000
        totals.append(PeriodTotals(price_e5, energy_dwh, 0, part_e4))
        amount_e4 += part_e4
    record = Record(
        transaction_no="7",
        charge_point_no="1",
        connector_no=1,
        started_at=from_ms(start_ms),
        ended_at=from_ms(end_ms),
        periods=(totals[0], totals[1], totals[2], totals[3]),
        meter_start_dwh=0,
        meter_end_dwh=total_dwh,
        energy_dwh=total_dwh,
        loss_energy_dwh=0,
        amount_e4=amount_e4,
        start_flag=2,
    )
    return RecordReceived(Moment(end_ms, end_ms / 1000), "1", record, b"", 1, False)


@given(
    power_w=st.integers(1_000, RATED_W),
    before_ms=st.integers(STALL_MS, HALF_HOUR_MS),
    after_ms=st.integers(1, HALF_HOUR_MS),
    stalled_ms=st.integers(-STALL_MS, SAMPLE_MS),
    stall_ms=st.integers(0, STALL_MS),
)
@example(RATED_W, 166_966, 13_035, 0, 30_756)
@example(RATED_W, STALL_MS, HALF_HOUR_MS, -STALL_MS // 2, STALL_MS)
def test_a_station_that_stalls_at_a_change_of_prices_holds_no_bill_of_a_demo(
    power_w: int, before_ms: int, after_ms: int, stalled_ms: int, stall_ms: int
) -> None:
    found = rated(
        fast(world.SCALE),
        power_w=power_w,
        start_ms=CUT_MS - before_ms,
        end_ms=CUT_MS + after_ms,
        stalled_ms=CUT_MS + stalled_ms,
        stall_ms=stall_ms,
    )
    assert found.causes == ()


@pytest.mark.parametrize("timing", [NORMAL, fast(world.SCALE)], ids=["station", "demo"])
def test_energy_of_another_period_is_held_in_a_demo_too(timing: Timing) -> None:
    """What was moved is more than flows between two samples and in the five seconds of a cut."""
    moved_dwh = 2 * RATED_W * SAMPLE_MS // W_MS_PER_DWH
    charge = {"start_ms": CUT_MS - 600_000, "end_ms": CUT_MS + 600_000, "stalled_ms": CUT_MS}
    assert rated(timing, **charge).causes == ()
    assert rated(timing, **charge, moved_dwh=moved_dwh).causes == (Cause.ATTRIBUTION,)
