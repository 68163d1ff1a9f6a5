"""Values in alarms: as many digits as somebody needs who reads them in a hurry."""

from __future__ import annotations

import pytest

from edge.safety.rules import rate
from edge.safety.rules.text import beyond, with_unit
from shared.contracts.protection import Quantity, Rate, Select


@pytest.mark.parametrize(
    ("value", "quantity", "text"),
    [
        (24.764, Quantity.TEMPERATURE_C, "24.8 °C"),
        (48.04, Quantity.HUMIDITY_PERCENT, "48 %"),
        (229.8765, Quantity.VOLTAGE_V, "229.88 V"),
        (3.6512, Quantity.CELL_VOLTAGE_MAX_V, "3.651 V"),
        (1234567.25, Quantity.POWER_W, "1234567.25 W"),
        (1.0, Quantity.SMOKE, ""),
        (None, Quantity.TEMPERATURE_C, ""),
    ],
)
def test_a_value_has_the_digits_of_its_unit(
    value: float | None, quantity: Quantity, text: str
) -> None:
    assert with_unit(value, quantity) == text


def test_a_limit_stands_as_it_was_set() -> None:
    assert beyond(">", 54.25, Quantity.TEMPERATURE_C) == "> 54.25 °C"
    assert beyond(">", 0.5, Quantity.SMOKE) == ""


def test_a_rise_is_told_in_tenths() -> None:
    select = Select(quantity=Quantity.TEMPERATURE_C)
    judge = rate.Judge(Rate(rule_id="r", code="heat", select=select, per_s=0.1667, window_s=60))
    judge.update(20.0, 0.0)
    judge.update(44.764, 10.0)
    assert judge.shown() == ("24.8 °C / 60 s", "10 °C / 60 s")
