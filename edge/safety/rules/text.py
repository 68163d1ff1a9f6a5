"""Values as people read them."""

from __future__ import annotations

from shared.contracts.protection import CONTACTS, Quantity
from shared.protection import unit_of

_DECIMALS = {"°C": 1, "%": 1, "V": 2}
_DECIMALS_OTHERWISE = 3
_CELLS = frozenset(
    {Quantity.CELL_VOLTAGE_MAX_V, Quantity.CELL_VOLTAGE_LIMIT_V, Quantity.CELL_SPREAD_V}
)


def with_unit(value: float | None, quantity: Quantity) -> str:
    """Return a value with its unit, `61.5 °C`; "" without one, and for contacts.

    It has the digits that its unit deserves; cells are told apart by millivolts.
    """
    unit = unit_of(quantity)
    usual = _DECIMALS.get(unit, _DECIMALS_OTHERWISE)
    return _text(value, quantity, _DECIMALS_OTHERWISE if quantity in _CELLS else usual)


def beyond(sign: str, limit: float, quantity: Quantity) -> str:
    """Return a limit as it was set, `> 55 °C`; "" for contacts."""
    text = _text(limit, quantity, _DECIMALS_OTHERWISE)
    return text and f"{sign} {text}"


def _text(value: float | None, quantity: Quantity, decimals: int) -> str:
    if value is None or quantity in CONTACTS:
        return ""
    return f"{round(value, decimals):.10g} {unit_of(quantity)}".rstrip()


def seconds(value: float) -> str:
    """Return a duration, `2.5 s`."""
    return f"{round(value, 1):g} s"
