"""When a transaction has had what it was allowed: money, energy, time or state of charge. Pure."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from edge.devices.chargers.reports import ConnectorSampled
from edge.station.open_transaction import OpenTransaction
from shared.money import NANO_PER_E4, NANO_PER_E5, NANO_PER_FEN, divide_half_up
from shared.rating import Reading, slot_of
from shared.tariff import PeriodPrice, Tariff, TariffVersion

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
    nano = sample.amount_e4 * NANO_PER_E4 + _time_nano(minutes, version)
    return divide_half_up(nano, NANO_PER_FEN)


def _time_nano(minutes: int, version: TariffVersion | None) -> int:
    return minutes * version.tariff.per_minute_e5 * NANO_PER_E5 if version else 0


def used_fen(transaction: OpenTransaction, version: TariffVersion | None, zone: ZoneInfo) -> int:
    """Return what a transaction's energy has come to: by the charge point, or by us if more.

    A charge point that counts no money must not charge without limit.
    """
    theirs_nano = transaction.last_amount_e4 * NANO_PER_E4
    ours_nano = _priced_nano(transaction, version.tariff, zone) if version else 0
    return divide_half_up(max(theirs_nano, ours_nano), NANO_PER_FEN)


def _priced_nano(transaction: OpenTransaction, tariff: Tariff, zone: ZoneInfo) -> int:
    """Price each step between readings by the slot in which it begins: they are cut there."""
    if transaction.started_ms is None or transaction.last_ms is None:
        return 0
    nano, begin = 0, Reading(transaction.started_ms, 0)
    for end in (*transaction.readings, Reading(transaction.last_ms, transaction.last_dwh)):
        if end.meter_dwh > begin.meter_dwh:
            price = tariff.prices[tariff.period_of_slot(slot_of(begin.at_ms, zone))]
            nano += (end.meter_dwh - begin.meter_dwh) * _price_e5(price)
        begin = end
    return nano


def _price_e5(price: PeriodPrice) -> int:
    return price.energy_price_e5 + price.service_price_e5


def _may_cost(transaction: OpenTransaction, tariff: Tariff, limit_nano: int) -> bool:
    """Whether the energy could come to so much, at the dearest price; costs next to nothing."""
    return transaction.last_dwh * max(map(_price_e5, tariff.prices.values())) >= limit_nano


def limit_reached(
    transaction: OpenTransaction,
    sample: ConnectorSampled,
    version: TariffVersion | None,
    zone: ZoneInfo,
    beside_fen: int = 0,
) -> bool:
    """Whether one of the limits is reached; a limit of 0 is none.

    `beside_fen` is what others have spent of the same permission.
    """
    if transaction.limit_dwh and sample.energy_dwh >= transaction.limit_dwh:
        return True
    if transaction.limit_soc_percent and sample.soc_percent >= transaction.limit_soc_percent:
        return True
    minutes = minutes_of(transaction, sample)
    if transaction.limit_min and minutes >= transaction.limit_min:
        return True
    if not transaction.limit_fen:
        return False
    left_fen = transaction.limit_fen - beside_fen
    if amount_fen(sample, minutes, version) >= left_fen:
        return True
    if version is None:
        return False
    energy_limit_nano = left_fen * NANO_PER_FEN - _time_nano(minutes, version)
    return _may_cost(transaction, version.tariff, energy_limit_nano) and (
        _priced_nano(transaction, version.tariff, zone) >= energy_limit_nano
    )
