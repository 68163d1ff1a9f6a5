"""Energy that money depends on: `_dwh`, tenths of a watt-hour = 0.0001 kWh, always an int."""

from __future__ import annotations

DWH_PER_KWH = 10_000


def format_kwh(energy_dwh: int) -> str:
    """Return an energy as kWh with four decimals, exactly: `201234` → `20.1234`."""
    sign = "-" if energy_dwh < 0 else ""
    kwh, rest = divmod(abs(energy_dwh), DWH_PER_KWH)
    return f"{sign}{kwh}.{rest:04d}"
