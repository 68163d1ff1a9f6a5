"""Which energies of a charge point's record are billed. One rule, for the station and HQ alike."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from shared.contracts.events import Record
from shared.rating import Bill, Reading, rate_periods, rate_readings
from shared.tariff import PERIODS, Period, Tariff

_MINUTE_MS = 60_000
_START_FAILED_REASONS = frozenset(range(0x4A, 0x6A)) - {0x58}
"""Stop reasons that say: charging never began (V1.6 appendix 13.1)."""


def never_began(record: Record) -> bool:
    """Whether a record says that the start failed; no fault of the customer, so free of charge."""
    return record.stop_reason in _START_FAILED_REASONS and not record.energy_dwh


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
    if record is None or (energies := usable_energies(record)) is None:
        return rate_readings(readings, tariff, zone)
    minutes = 0 if never_began(record) else max(duration_ms, 0) // _MINUTE_MS
    return rate_periods(energies, tariff, minutes)
