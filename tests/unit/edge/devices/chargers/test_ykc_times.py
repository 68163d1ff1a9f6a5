"""The times of a record, on the night on which an hour comes twice."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from edge.devices.chargers.reports import Moment
from edge.devices.chargers.ykc import translate
from edge.devices.chargers.ykc.fields import Cp56Time
from shared.clock import from_ms, to_ms
from tests.component.gateway_support import record

BERLIN = ZoneInfo("Europe/Berlin")
FOLD_MS = 1_792_890_000_000  # 2026-10-25, 03:00 summer time becomes 02:00
MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("start_min", "end_min", "heard_min"),
    [
        (-59, -20, -20),  # nearer to us would be the second 02:01, which has not come yet
        (-59, -50, -25),
        (-10, 10, 10),
        (1, 20, 20),
        (1, 20, 80),
        (-90, -61, -61),
    ],
)
def test_nothing_begins_after_its_end_or_ends_after_we_hear_of_it(
    start_min: int, end_min: int, heard_min: int
) -> None:
    at_ms = [FOLD_MS + minute * MINUTE_MS for minute in (start_min, end_min, heard_min)]
    message = structs.replace(
        record(),
        started_at=Cp56Time.from_utc(from_ms(at_ms[0]), BERLIN),
        ended_at=Cp56Time.from_utc(from_ms(at_ms[1]), BERLIN),
    )
    found, suspect = translate.record(message, BERLIN, Moment(at_ms[2], 0.0))
    assert found.started_at is not None
    assert found.ended_at is not None
    assert (to_ms(found.started_at), to_ms(found.ended_at)) == tuple(at_ms[:2])
    assert not suspect
