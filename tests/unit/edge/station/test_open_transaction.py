"""What one running transaction keeps for its bill."""

from __future__ import annotations

from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from edge.devices.chargers.reports import ConnectorSampled, Moment, WireState
from edge.station.open_transaction import OpenTransaction
from shared.contracts.words import StartMeans
from shared.rating import Reading

UTC = ZoneInfo("UTC")
HALF_HOUR_MS = 1_800_000


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


def opened() -> OpenTransaction:
    return OpenTransaction(
        transaction_id=UUID(int=1),
        transaction_no="7",
        charge_point_no="1",
        connector_no=1,
        means=StartMeans.CARD,
        opened_ms=0,
    )


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "gap_dwh"),
    [(-15_000, 15_000, 0), (-15_000, 15_001, 900), (-900_000, 600_000, 900), (-1, 0, 0)],
)
def test_a_cut_in_a_long_gap_says_how_much_energy_the_gap_holds(
    before_ms: int, after_ms: int, gap_dwh: int
) -> None:
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    transaction.take(sample(cut_ms + before_ms, 100), UTC, 30_000)
    transaction.take(sample(cut_ms + after_ms, 1_000), UTC, 30_000)
    (cut,) = [reading for reading in transaction.readings if reading.at_ms == cut_ms]
    meter_dwh = 100 + 900 * -before_ms // (after_ms - before_ms)
    assert cut == Reading(cut_ms, meter_dwh, after_ms == 0, gap_dwh)


def test_an_end_that_nobody_saw_lies_in_a_gap_too() -> None:
    """The station was away when prices changed and the charge ended: only its record tells."""
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    transaction.take(sample(cut_ms - 60_000, 100), UTC, 30_000)
    transaction.take_end(cut_ms + 30_000, 1_000, UTC, 30_000)
    assert transaction.readings[1:] == [Reading(cut_ms, 700, False, 900)]


def test_an_end_that_was_seen_has_no_gap() -> None:
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    transaction.take(sample(cut_ms - 10_000, 100), UTC, 30_000)
    transaction.take_end(cut_ms + 10_000, 200, UTC, 30_000)
    assert len(transaction.readings) == 1


def test_energy_of_unknown_time_belongs_to_the_gap() -> None:
    """What a charge point stored while the station was away says how much, not when."""
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    transaction.take(sample(cut_ms - 60_000, 100), UTC, 30_000)
    transaction.take_totals(sample(cut_ms + 90_000, 800))
    transaction.take(sample(cut_ms + 30_000, 1_000), UTC, 30_000)
    assert transaction.readings[1:] == [Reading(cut_ms, 700, False, 900)]
    transaction.take(sample(cut_ms + HALF_HOUR_MS, 2_000), UTC, 30_000)
    assert transaction.readings[2:] == [Reading(cut_ms + HALF_HOUR_MS, 2_000, True)]


@pytest.mark.parametrize(("late_ms", "gap_dwh"), [(30_000, 0), (30_001, 900)])
def test_a_start_that_nobody_saw_lies_in_a_gap(late_ms: int, gap_dwh: int) -> None:
    """Charging began while the station was away: its first sample comes later."""
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    first = sample(cut_ms + late_ms - 10_000, 900)
    transaction.take(first, UTC, 30_000)
    transaction.take_start(cut_ms - 10_000, UTC, 30_000)
    expected = [Reading(cut_ms, 900 * 10_000 // late_ms, False, gap_dwh)] if gap_dwh else []
    assert transaction.readings == [*expected, Reading(first.at.wall_ms, 900)]
    transaction.take_start(first.at.wall_ms + 1, UTC, 30_000)
    assert len(transaction.readings) == len(expected) + 1


@pytest.mark.parametrize("back_ms", [10_000, 40_000])
def test_a_cut_that_comes_twice_lies_between_both(back_ms: int) -> None:
    """A clock was set back over it: what flowed in between may be on either side."""
    transaction = opened()
    cut_ms = 1_000 * HALF_HOUR_MS
    for at_ms, energy_dwh in ((-5_000, 0), (5_000, 200)):
        transaction.take(sample(cut_ms + at_ms, energy_dwh), UTC, 20_000)
    again_ms = cut_ms + 15_000 - back_ms
    for step in range(5):
        transaction.take(sample(again_ms + step * 10_000, 400 + step * 200), UTC, 20_000)
    (cut,) = transaction.readings[1:]
    assert cut.at_ms == cut_ms
    flowed_dwh = cut.meter_dwh - 100
    assert cut.gap_dwh == (0 if back_ms == 10_000 else flowed_dwh)
