"""Which energies of a charge point's record are billed. One rule, for the station and HQ alike."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from shared.contracts.events import Record
from shared.rating import Bill, Reading, rate_periods, rate_readings
from shared.tariff import PERIODS, Period, Tariff

_MINUTE_MS = 60_000


def usable_energies(record: Record) -> dict[Period, int] | None:
    """Return the record's energy per period, 0.1 Wh, or None when it contradicts itself.

    Energies with loss count where given; many charge points leave them 0. They are unusable
    when they do not add up to the record's own total.
    """
    with_loss = any(totals.loss_energy_dwh for totals in record.periods)
    energies = {
        period: totals.loss_energy_dwh if with_loss else totals.energy_dwh
        for period, totals in zip(PERIODS, record.periods, strict=True)
    }
    total_dwh = (record.loss_energy_dwh if with_loss else 0) or record.energy_dwh
    return energies if sum(energies.values()) == total_dwh else None


def bill_transaction(
    record: Record | None,
    readings: Sequence[Reading],
    tariff: Tariff,
    zone: ZoneInfo,
    duration_ms: int,
) -> Bill:
    """Rate a transaction as it is billed: by its record if usable, else by our readings.

    Raises:
        shared.rating.RatingError: No usable record, and readings that cannot be rated.
    """
    energies = usable_energies(record) if record is not None else None
    if energies is not None:
        return rate_periods(energies, tariff, max(duration_ms, 0) // _MINUTE_MS)
    return rate_readings(readings, tariff, zone)
