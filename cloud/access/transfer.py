"""Many tokens at once, from and to a file. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete, func, select

from cloud.access.csv_file import InvalidFileError, Row, RowError, header_line, token_line
from cloud.access.lists import publish_lists
from cloud.access.models import AccessToken, Exposure, Scope
from cloud.core.csv_export import parts_of
from cloud.core.db import Sessions
from cloud.stations import lookup
from shared.clock import to_ms
from shared.contracts.words import TokenKind
from shared.ids import uuid7

_Key = tuple[TokenKind, str]


async def import_tokens(
    session: AsyncSession, *, operator_id: UUID, rows: Sequence[Row], now: datetime
) -> tuple[int, int]:
    """Make the tokens that are new and change the others; stations get one new list.

    An empty cell leaves an existing token's value as it is. Doing it again changes nothing more.

    Returns:
        How many were made and how many changed.

    Raises:
        InvalidFileError: A row names a station that is not there; nothing was done.
    """
    if not rows:
        return 0, 0
    station_ids = await _stations_of(session, operator_id, rows)
    known = await _tokens(session, operator_id)
    touched: list[tuple[Row, AccessToken]] = []
    made = 0
    for row in rows:
        token = known.get((row.token.kind, row.token.value))
        if token is None:
            token = _new_token(operator_id, row, now)
            made += 1
        else:
            _change(token, row, now)
        touched.append((row, token))
    session.add_all([token for _, token in touched])
    await session.flush()
    await _set_scopes(session, operator_id, touched, station_ids)
    await publish_lists(session, operator_id=operator_id, now=now)
    return made, len(rows) - made


async def token_lines(sessions: Sessions, operator_id: UUID) -> AsyncIterator[bytes]:
    """Yield all tokens of an operator as a file, passwords left out, the newest first."""
    yield header_line()
    statement = select(AccessToken).where(AccessToken.operator_id == operator_id)
    async for tokens in parts_of(sessions, statement, col(AccessToken.id)):
        async with sessions() as session:
            places = await _places(session, operator_id, tokens)
            exposures = await _exposures(session, operator_id, tokens)
        yield b"".join(
            token_line(token, sorted(places[token.id]), exposures.get((token.kind, token.value), 0))
            for token in tokens
        )


async def _places(
    session: AsyncSession, operator_id: UUID, tokens: Sequence[AccessToken]
) -> dict[UUID, list[str]]:
    statement = select(Scope.token_id, Scope.station_id).where(
        col(Scope.token_id).in_([token.id for token in tokens])
    )
    scoped = (await session.execute(statement)).all()
    # After the scopes: a station may be added while somebody reads the file.
    numbers = {each.id: each.station_no for each in await lookup.stations_of(session, operator_id)}
    places: dict[UUID, list[str]] = defaultdict(list)
    for token_id, station_id in scoped:
        places[token_id].append(numbers[station_id])
    return places


async def _exposures(
    session: AsyncSession, operator_id: UUID, tokens: Sequence[AccessToken]
) -> dict[_Key, int]:
    sums = await session.execute(
        select(Exposure.kind, Exposure.value, func.sum(Exposure.amount_fen))
        .where(
            Exposure.operator_id == operator_id,
            col(Exposure.value).in_([token.value for token in tokens]),
        )
        .group_by(col(Exposure.kind), col(Exposure.value))
    )
    return {(TokenKind(kind), value): int(amount) for kind, value, amount in sums}


async def _tokens(session: AsyncSession, operator_id: UUID) -> dict[_Key, AccessToken]:
    rows = await session.scalars(
        select(AccessToken)
        .where(AccessToken.operator_id == operator_id)
        .order_by(col(AccessToken.id))
    )
    return {(token.kind, token.value): token for token in rows}


async def _stations_of(
    session: AsyncSession, operator_id: UUID, rows: Sequence[Row]
) -> dict[str, UUID]:
    known = {each.station_no: each.id for each in await lookup.stations_of(session, operator_id)}
    errors = [
        RowError(row.line, "station_nos", f"there is no station {number}")
        for row in rows
        for number in row.token.station_nos
        if number not in known
    ]
    if errors:
        raise InvalidFileError(errors)
    return known


def _new_token(operator_id: UUID, row: Row, now: datetime) -> AccessToken:
    return AccessToken(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        created_at=now,
        updated_at=now,
        **row.token.model_dump(exclude={"station_nos"}),
    )


def _change(token: AccessToken, row: Row, now: datetime) -> None:
    given: dict[str, Any] = row.token.model_dump(include=set(row.given) - {"station_nos"})
    for name, value in given.items():
        setattr(token, name, value)
    token.updated_at = now


async def _set_scopes(
    session: AsyncSession,
    operator_id: UUID,
    touched: Sequence[tuple[Row, AccessToken]],
    station_ids: Mapping[str, UUID],
) -> None:
    placed = [(row, token) for row, token in touched if "station_nos" in row.given]
    await session.execute(
        delete(Scope).where(col(Scope.token_id).in_([token.id for _, token in placed]))
    )
    session.add_all(
        Scope(token_id=token.id, station_id=station_ids[number], operator_id=operator_id)
        for row, token in placed
        for number in sorted(set(row.token.station_nos))
    )
    await session.flush()
