"""A token's limit holds across stations, also when two starts come at once."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import pytest
from sqlmodel import select

from cloud.access import service as access
from cloud.access.handlers import on_authorization_asked
from cloud.core.commands import CommandRow
from cloud.core.db import Sessions
from cloud.core.security import Role, Staff
from cloud.ingest.handlers import Ingested
from cloud.orders.service import StartWish, TokenRefusedError, request_start
from cloud.stations.models import Station
from cloud.stations.service import register_charge_point
from shared.contracts.commands import AnswerAuthorization, ChargePointConfig
from shared.contracts.events import AuthorizationAsked
from shared.contracts.words import RefusalReason
from tests.component.cloud.conftest import make_station, until
from tests.component.cloud.slices.world import CARD, CHARGE_POINT_NO, SHANGHAI, START


@pytest.fixture
async def two(sessions: Sessions) -> list[Station]:
    """Two stations of one operator, and a card with a limit of 100 yuan for both."""
    stations = [await make_station(sessions, number) for number in ("1001", "1002")]
    async with sessions() as session, session.begin():
        for station in stations:
            config = ChargePointConfig(charge_point_no=CHARGE_POINT_NO, connector_count=2)
            await register_charge_point(session, station=station, config=config, now=START)
        await access.create_token(
            session,
            operator_id=stations[0].operator_id,
            kind=CARD.kind,
            value=CARD.value,
            limit_fen=10_000,
            now=START,
        )
    return stations


async def test_two_remote_starts_share_one_limit(
    sessions: Sessions, two: list[Station], database: asyncpg.Connection
) -> None:
    staff = Staff(UUID(int=7), two[0].operator_id, "wang", Role.ADMIN)
    wish = StartWish(charge_point_no=CHARGE_POINT_NO, connector_no=1, token=CARD)

    async def the_other_waits() -> bool:
        return bool(await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    async def start(station: Station) -> int:
        async with sessions() as session, session.begin():
            order = await request_start(
                session, staff=staff, station_no=station.station_no, wish=wish, now=START
            )
            await until(the_other_waits)
        return order.limit_fen

    results = await asyncio.gather(*map(start, two), return_exceptions=True)
    [refused] = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(refused, TokenRefusedError)
    assert [result for result in results if result != refused] == [10_000]


async def asked(sessions: Sessions, station: Station, *, connector_no: int = 1) -> None:
    context = Ingested(
        operator_id=station.operator_id,
        station_id=station.id,
        station_no=station.station_no,
        zone=SHANGHAI,
        received_at=START,
    )
    event = AuthorizationAsked(
        occurred_at=START,
        request_id=UUID(int=station.id.int ^ connector_no),
        token=CARD,
        charge_point_no=CHARGE_POINT_NO,
        connector_no=connector_no,
    )
    async with sessions() as session, session.begin():
        await on_authorization_asked(session, context, event)


async def answers(sessions: Sessions) -> list[AnswerAuthorization]:
    async with sessions() as session:
        rows = await session.scalars(select(CommandRow).order_by(CommandRow.issued_at))  # type: ignore[arg-type]
        commands = [row.read_command() for row in rows]
    return [command for command in commands if isinstance(command, AnswerAuthorization)]


async def test_what_one_station_was_just_allowed_another_is_not(
    sessions: Sessions, two: list[Station]
) -> None:
    await asyncio.gather(*(asked(sessions, station) for station in two))
    found = await answers(sessions)
    assert sorted(answer.limit_fen for answer in found) == [0, 10_000]
    assert {answer.reason for answer in found} == {
        RefusalReason.NONE,
        RefusalReason.LIMIT_REACHED,
    }


async def test_a_connector_that_asks_again_is_not_in_its_own_way(
    sessions: Sessions, two: list[Station]
) -> None:
    for _ in range(2):
        await asked(sessions, two[0])
    assert [answer.accepted for answer in await answers(sessions)] == [True, True]
