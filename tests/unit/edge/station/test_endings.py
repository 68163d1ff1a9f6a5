"""When a transaction was, and by whose clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge.devices.chargers import reports as r
from edge.station.endings import usable_offset_ms
from shared.clock import from_ms
from shared.contracts import events as e
from shared.contracts.words import EndKind
from tests.fakes.station_site import CP, Site

CUT = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)


@pytest.fixture
async def site(tmp_path: Path):
    site = await Site.make(tmp_path)
    yield site
    await site.close()


def end_of(site: Site) -> e.TransactionEnded:
    (ended,) = site.told(e.TransactionEnded)
    return ended


@pytest.mark.parametrize(
    ("offset_ms", "used_ms"),
    [(None, 0), (60_000, 60_000), (-60_000, -60_000), (60_001, 0), (-60_001, 0)],
)
def test_a_clock_counts_while_it_is_near_ours(offset_ms: int | None, used_ms: int) -> None:
    assert usable_offset_ms(offset_ms, 60_000) == used_ms


async def test_periods_are_cut_by_the_charge_points_clock(site: Site) -> None:
    """Its clock is 40 s ahead, so what flows from 02:29:20 by ours is in its next half hour."""
    site.bus.publish(r.ClockRead(site.at(), CP, 40_000))
    site.clock.advance((CUT - site.clock.now()).total_seconds() - 60)
    number = await site.run((0, 2_000, 4_000, 6_000, 8_000))
    site.sample(plugged_in=True, transaction_no=number, energy_dwh=8_000)
    started = site.clock.now() - timedelta(seconds=60 - 40)
    site.record(number, 8_000, started=started, minutes=1)
    await site.settle()
    cut = end_of(site).readings[1]
    assert (from_ms(cut.at_ms), cut.meter_dwh, cut.gap_dwh) == (CUT, 666, 0)


async def test_a_charge_of_which_no_sample_came_was_not_seen(site: Site) -> None:
    number = await site.start()
    site.lose()
    site.clock.advance(3_600)
    site.log_in()
    site.charging(number, 300_000, dated=False)
    site.record(number, 400_000, minutes=50)
    await site.settle()
    assert "start_unseen" in end_of(site).flags


async def test_what_flowed_before_the_first_sample_took_time(site: Site) -> None:
    """By a clock that is not believed it still took an hour, though we saw its last minute."""
    number = await site.start()
    site.clock.advance(3_540)
    site.charging(number, 590_000)
    site.clock.advance(60)
    site.charging(number, 600_000)
    site.record(number, 600_000, started=site.clock.now() - timedelta(hours=5), minutes=60)
    await site.settle()
    ended = end_of(site)
    assert "clock_suspect" in ended.flags
    assert (ended.started_at, ended.ended_at) == (
        site.clock.now() - timedelta(hours=1),
        site.clock.now(),
    )


async def test_an_estimate_begins_when_charging_did(site: Site) -> None:
    number = await site.start()
    site.clock.advance(1_805)
    site.charging(number, 300_000, charged_min=30)
    site.clock.advance(15)
    site.sample(plugged_in=True)
    ended_at = site.clock.now()
    for _ in range(2):
        await site.tick(400)
    ended = end_of(site)
    assert ended.ended_by is EndKind.ESTIMATED
    assert (ended.started_at, ended.ended_at) == (
        ended_at - timedelta(seconds=1_815),
        ended_at,
    )


async def test_an_estimate_ends_when_its_charge_point_was_last_there(site: Site) -> None:
    """What was stored says how much; it flowed until the link was lost again, not in no time."""
    number = await site.run()
    site.lose()
    site.clock.advance(600)
    site.log_in()
    site.charging(number, 200_000, dated=False)
    site.lose()
    lost_at = site.clock.now()
    await site.tick(90_000)
    ended = end_of(site)
    assert (ended.ended_by, ended.ended_at) == (EndKind.ESTIMATED, lost_at)
    assert ended.readings[-1].meter_dwh == 200_000
