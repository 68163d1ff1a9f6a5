"""One permission, spent by one vehicle on two connectors that do not begin and end together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.devices.chargers import wishes as w
from shared.contracts import commands as c
from shared.contracts.events import Token
from shared.contracts.words import TokenKind
from tests.fakes.station_site import CARD, Site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Return a station at which a card may spend 10 yuan."""
    site = await Site.make(tmp_path)
    entry = c.AccessEntry(token=Token(TokenKind.CARD, CARD), limit_fen=1_000)
    await site.command(c.PublishAccessList(version=99, entries=(entry,)))
    yield site
    await site.close()


async def test_what_a_connector_spent_that_is_done_is_spent_for_the_other_too(site: Site) -> None:
    numbers = [await site.start(connector_no=n, parallel_no="0001") for n in (1, 2)]
    for connector_no, number in enumerate(numbers, 1):
        site.charging(number, 100, connector_no=connector_no, amount_e4=40_000)
    site.record(numbers[0], 49_000, minutes=1, amount_e4=49_000)
    await site.restart()
    site.log_in()
    site.charging(numbers[1], 100, connector_no=2, amount_e4=50_000)
    assert site.points.of(w.StopRemotely) == []
    site.charging(numbers[1], 110, connector_no=2, amount_e4=52_000)
    assert [stop.connector_no for stop in site.points.of(w.StopRemotely)] == [2]


async def test_a_connector_that_joins_may_spend_what_is_left(site: Site) -> None:
    first = await site.start(parallel_no="0001")
    site.charging(first, 100, amount_e4=60_000)
    second = await site.start(connector_no=2, parallel_no="0001")
    site.charging(second, 100, connector_no=2, amount_e4=39_000)
    assert site.points.of(w.StopRemotely) == []
    site.charging(second, 110, connector_no=2, amount_e4=41_000)
    assert sorted(stop.connector_no for stop in site.points.of(w.StopRemotely)) == [1, 2]


async def test_what_was_closed_by_mistake_is_spent_once(site: Site) -> None:
    numbers = [await site.start(connector_no=n, parallel_no="0001") for n in (1, 2)]
    for connector_no, number in enumerate(numbers, 1):
        site.charging(number, 100, connector_no=connector_no, amount_e4=45_000)
    estimated = site.station.book.by_number(numbers[0])
    assert estimated is not None
    site.station.perform(site.station.book.estimate(estimated, site.at()))
    for connector_no, number in enumerate(numbers, 1):
        site.charging(number, 110, connector_no=connector_no, amount_e4=47_000)
    assert site.points.of(w.StopRemotely) == []
