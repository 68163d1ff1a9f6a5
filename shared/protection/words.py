"""Units of what stations measure, and its names for people."""

from __future__ import annotations

from shared.contracts.protection import CONTACTS, Quantity

_UNITS = {
    "percent": "%",
    "c": "°C",
    "v": "V",
    "a": "A",
    "w": "W",
    "kwh": "kWh",
    "hz": "Hz",
}


def unit_of(quantity: Quantity) -> str:
    """Return the unit of a quantity, "" for contacts and pure numbers."""
    return "" if quantity in CONTACTS else _UNITS.get(quantity.rpartition("_")[2], "")
