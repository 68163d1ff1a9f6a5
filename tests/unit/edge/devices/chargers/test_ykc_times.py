"""The times of a record on the night that has an hour twice; a clock that is read late."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from edge.devices.chargers.reports import ClockRead, Moment
from edge.devices.chargers.wishes import DecideLogin
from edge.devices.chargers.ykc import translate
from edge.devices.chargers.ykc.connection import YkcConnection
from edge.devices.chargers.ykc.fields import Cp56Time
from edge.devices.chargers.ykc.messages import TimeSyncAnswer
from shared.clock import from_ms, to_ms
from shared.contracts.commands import ChargePointConfig
from tests.component.gateway_support import NUMBER, frame, login, record

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


@pytest.mark.parametrize("late_s", [9, 19])  # in the second case it was asked again after 10 s
@pytest.mark.parametrize("off_s", [0, -40, 40])
def test_an_answer_that_takes_long_is_no_clock_that_is_slow(late_s: int, off_s: int) -> None:
    """How late the answer came says nothing of the clock, and may be all that it is behind."""
    connection = YkcConnection(3, "10.0.0.9", BERLIN)
    connection.receive(frame(login()), Moment(FOLD_MS, 0.0))
    config = ChargePointConfig(charge_point_no=NUMBER)
    decision = DecideLogin(charge_point_no=NUMBER, link_id=3, accepted=True, config=config)
    connection.wish(decision, Moment(FOLD_MS, 0.0))
    for second in range(1, late_s + 1):
        connection.tick(Moment(FOLD_MS + second * 1000, float(second)))
    theirs = Cp56Time.from_utc(from_ms(FOLD_MS + off_s * 1000), BERLIN)
    now = Moment(FOLD_MS + late_s * 1000, float(late_s))
    out = connection.receive(frame(TimeSyncAnswer(NUMBER, theirs)), now)
    (read,) = [report for report in out.reports if isinstance(report, ClockRead)]
    assert read.offset_ms == (off_s - late_s if off_s > 0 else off_s) * 1000
