"""One permission, spent by one vehicle on two connectors that do not begin and end together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.devices.chargers import wishes as w
from edge.station.starts import NO_LIMIT_FEN
from shared.contracts import commands as c
from shared.contracts import events as e
from shared.contracts.events import Token
from shared.contracts.words import TokenKind
from tests.fakes.station_site import CARD, Site

OTHER = "00000000FFFFFFFF"


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


async def hq_answers(site: Site, **answer: Any) -> None:
    (asked,) = site.told(e.AuthorizationAsked)
    await site.command(c.AnswerAuthorization(request_id=asked.request_id, **answer))


async def test_a_connector_joins_what_only_hq_could_permit(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER, parallel_no="0001")
    await site.settle()
    await hq_answers(site, accepted=True, limit_fen=1_000)
    (first,) = site.points.take(w.AnswerStart)
    site.charging(first.transaction_no, 100, amount_e4=60_000)
    # HQ has the whole limit reserved for the first and would refuse.
    site.ask(OTHER, connector_no=2, parallel_no="0001")
    await site.settle()
    (second,) = site.points.take(w.AnswerStart)
    assert (second.accepted, second.connector_no, second.balance_fen) == (True, 2, 400)
    assert len(site.told(e.AuthorizationAsked)) == 1
    site.charging(second.transaction_no, 100, connector_no=2, amount_e4=41_000)
    assert sorted(stop.connector_no for stop in site.points.of(w.StopRemotely)) == [1, 2]


async def test_a_permission_without_a_limit_is_joined_without_one(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER, parallel_no="0001")
    await site.settle()
    await hq_answers(site, accepted=True)
    site.ask(OTHER, connector_no=2, parallel_no="0001")
    await site.settle()
    assert [each.balance_fen for each in site.points.of(w.AnswerStart)] == [NO_LIMIT_FEN] * 2


@pytest.mark.parametrize("accepted", [True, False])
async def test_connectors_that_ask_together_ask_hq_once(site: Site, accepted: bool) -> None:
    site.hq_up = True
    for connector_no in (1, 2):
        site.ask(OTHER, connector_no=connector_no, parallel_no="0001")
    await site.settle()
    await hq_answers(site, accepted=accepted, limit_fen=1_000)
    answers = site.points.take(w.AnswerStart)
    assert [(each.connector_no, each.accepted) for each in answers] == [
        (1, accepted),
        (2, accepted),
    ]


async def test_connectors_that_ask_a_dead_hq_are_all_answered(site: Site) -> None:
    site.hq_up = True
    for connector_no in (1, 2):
        site.ask(OTHER, connector_no=connector_no, parallel_no="0001")
    await site.tick(4)
    answers = site.points.take(w.AnswerStart)
    assert [(each.connector_no, each.accepted) for each in answers] == [(1, False), (2, False)]


async def test_nobody_joins_with_another_token_or_at_another_vehicle(site: Site) -> None:
    site.hq_up = True
    site.ask(OTHER, parallel_no="0001")
    await site.settle()
    await hq_answers(site, accepted=True, limit_fen=1_000)
    site.points.wishes.clear()
    site.ask(OTHER, connector_no=2, parallel_no="0002")
    site.ask("00000000EEEEEEEE", connector_no=2, parallel_no="0001")
    site.ask(OTHER, connector_no=2, parallel_no="0001", password="0123456789abcdef")
    await site.settle()
    assert site.points.of(w.AnswerStart) == []
    assert len(site.told(e.AuthorizationAsked)) == 4
