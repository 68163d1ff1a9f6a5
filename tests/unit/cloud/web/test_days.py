"""Days that people choose begin and end on a station's clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from cloud.web.days import begin_of, end_of, read_day

SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_a_day_is_the_stations() -> None:
    assert begin_of("2026-11-22", SHANGHAI) == datetime(2026, 11, 21, 16, tzinfo=UTC)
    assert end_of("2026-11-22", SHANGHAI) == datetime(2026, 11, 22, 16, tzinfo=UTC)


def test_a_day_on_which_clocks_change_has_its_own_length() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    begin, end = begin_of("2026-10-25", berlin), end_of("2026-10-25", berlin)
    assert begin is not None
    assert end is not None
    assert (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() == 25 * 3600


@pytest.mark.parametrize("text", ["", "x", "9999-12-31", "0001-01-01", "2026-02-30"])
def test_what_is_no_day_is_nothing(text: str) -> None:
    assert read_day(text) is None
    assert begin_of(text, SHANGHAI) is end_of(text, SHANGHAI) is None
