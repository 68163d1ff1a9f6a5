"""What a trip is called: values that are not known leave no gap."""

from __future__ import annotations

import pytest

from cloud.alarms.trip_list import title_of
from shared.contracts.alarm_codes import CATALOGUE


def test_values_that_are_known_are_said() -> None:
    assert title_of("heat", {"value": "73.1 °C"}, chinese=False) == "Heat, 73.1 °C"


@pytest.mark.parametrize("code", [*CATALOGUE, "of_a_newer_station"])
@pytest.mark.parametrize("chinese", [True, False])
def test_values_that_are_not_leave_no_gap(code: str, chinese: bool) -> None:
    title = title_of(code, chinese=chinese)
    assert title
    assert not set("{}…") & set(title)
    assert title[-1] not in ":：,， "
