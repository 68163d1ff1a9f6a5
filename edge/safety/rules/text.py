"""Values as people read them."""

from __future__ import annotations

from shared.contracts.protection import CONTACTS, Quantity
from shared.protection import unit_of


def with_unit(value: float | None, quantity: Quantity) -> str:
    """Return a value with its unit, `61.5 °C`; "" without one, and for contacts."""
    if value is None or quantity in CONTACTS:
        return ""
    return f"{round(value, 3):g} {unit_of(quantity)}".rstrip()


def beyond(sign: str, limit: float, quantity: Quantity) -> str:
    """Return a limit, `> 55 °C`; "" for contacts."""
    text = with_unit(limit, quantity)
    return text and f"{sign} {text}"


def seconds(value: float) -> str:
    """Return a duration, `2.5 s`."""
    return f"{round(value, 1):g} s"
