"""What a tariff is and which version holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cloud.tariffs.models import TariffKind, Version
from shared.tariff import PERIODS, SLOTS_PER_DAY, Tariff, TariffError, check_tariff

MODEL_NO_MAX = 9999
PRICE_MAX_E5 = 10_000_000
"""100 yuan a kWh or a minute: anything above is a slip of the keyboard."""


def model_no_of(version: int) -> int:
    """Return the number 1–9999 under which charge points know a version 1, 2, 3 …"""
    return (version - 1) % MODEL_NO_MAX + 1


def check_for_station(tariff: Tariff) -> None:
    """Check a tariff that charge points are to hold: they need a price in all four periods.

    Raises:
        TariffError: `field` says where.
    """
    check_tariff(tariff)
    for period in PERIODS:
        if period not in tariff.prices:
            raise TariffError(f"tariff.prices_e5.{period}", "missing; charge points hold all four")
        price = tariff.prices[period]
        if max(price.energy_price_e5, price.service_price_e5) > PRICE_MAX_E5:
            raise TariffError(f"tariff.prices_e5.{period}", f"above {PRICE_MAX_E5}")
    if tariff.per_minute_e5 > PRICE_MAX_E5:
        raise TariffError("tariff.per_minute_e5", f"above {PRICE_MAX_E5}")


def kind_of(tariff: Tariff) -> TariffKind:
    """Return what a tariff charges for. One that is free counts as by energy."""
    prices = tariff.prices.values()
    by_energy = any(price.energy_price_e5 or price.service_price_e5 for price in prices)
    if not tariff.per_minute_e5:
        return TariffKind.ENERGY
    return TariffKind.BOTH if by_energy else TariffKind.TIME


def current_version(versions: Sequence[Version], now: datetime) -> Version | None:
    """Return the highest version that is valid at `now`, None if none is yet."""
    valid = [version for version in versions if version.valid_from <= now]
    return max(valid, key=lambda version: version.version, default=None)


def missing_at_station(
    versions: Sequence[Version], held: Version | None, now: datetime
) -> list[Version]:
    """Return what a station still has to be sent, oldest first.

    Args:
        versions: All versions of the station.
        held: What it says that it uses, None for nothing or for one that HQ did not make.
        now: HQ's time.
    """
    current = current_version(versions, now)
    floor = current.version if current is not None else 0
    above = held.version if held is not None else 0
    wanted = [v for v in versions if v.version > above and v.version >= floor]
    return sorted(wanted, key=lambda version: version.version)


def differences(before: Tariff, after: Tariff) -> list[tuple[str, str, str]]:
    """Return what differs between two tariffs: field, before, after; half hours by their slot."""
    rows = [
        (f"slots[{slot}]", before.slots[slot], after.slots[slot])
        for slot in range(SLOTS_PER_DAY)
        if before.slots[slot] != after.slots[slot]
    ]
    for period in PERIODS:
        for name in ("energy_price_e5", "service_price_e5"):
            old, new = (getattr(tariff.prices[period], name) for tariff in (before, after))
            if old != new:
                rows.append((f"{period}.{name}", str(old), str(new)))
    if before.per_minute_e5 != after.per_minute_e5:
        rows.append(("per_minute_e5", str(before.per_minute_e5), str(after.per_minute_e5)))
    return rows
