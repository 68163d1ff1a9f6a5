"""When a transaction has had what it was allowed: money, energy, time or state of charge. Pure."""

from __future__ import annotations

from edge.devices.chargers.reports import ConnectorSampled
from edge.station.open_transaction import OpenTransaction
from shared.money import NANO_PER_E4, NANO_PER_E5, NANO_PER_FEN, divide_half_up
from shared.tariff import TariffVersion

_MINUTE_MS = 60_000


def minutes_of(transaction: OpenTransaction, sample: ConnectorSampled) -> int:
    """Return whole minutes of charging: the charge point's count, else by our clock.

    The charge point's own count does not jump when our clock is set.
    """
    if sample.charged_min:
        return sample.charged_min
    passed_ms = sample.at.wall_ms - (transaction.started_ms or sample.at.wall_ms)
    return max(passed_ms, 0) // _MINUTE_MS


def amount_fen(sample: ConnectorSampled, minutes: int, version: TariffVersion | None) -> int:
    """Return what a transaction has come to: the charge point's figure and our time fee."""
    per_minute_e5 = version.tariff.per_minute_e5 if version else 0
    nano = sample.amount_e4 * NANO_PER_E4 + minutes * per_minute_e5 * NANO_PER_E5
    return divide_half_up(nano, NANO_PER_FEN)


def limit_reached(
    transaction: OpenTransaction, sample: ConnectorSampled, version: TariffVersion | None
) -> bool:
    """Whether one of the limits is reached; a limit of 0 is none."""
    if transaction.limit_dwh and sample.energy_dwh >= transaction.limit_dwh:
        return True
    if transaction.limit_soc_percent and sample.soc_percent >= transaction.limit_soc_percent:
        return True
    minutes = minutes_of(transaction, sample)
    if transaction.limit_min and minutes >= transaction.limit_min:
        return True
    return bool(transaction.limit_fen) and (
        amount_fen(sample, minutes, version) >= transaction.limit_fen
    )
