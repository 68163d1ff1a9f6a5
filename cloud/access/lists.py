"""The allow-lists of stations. Functions take an open transaction and do not commit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select

from cloud.access.models import AccessToken, Exposure, ListVersion, Scope
from cloud.core.commands import enqueue_command
from cloud.stations import lookup
from shared.contracts.commands import AccessEntry, PublishAccessList
from shared.contracts.events import Token

PART_MAX = 1_000
"""Tokens in one command, which must stay below the 256 kB of an envelope."""

_Key = tuple[str, str]


class _Listed(NamedTuple):
    """An operator's tokens as they go to a station where they have no open orders."""

    entries: Sequence[tuple[UUID, AccessEntry]]
    scopes: dict[UUID, set[UUID]]
    own_fen: dict[UUID, dict[_Key, int]]
    """What a station's own open orders may still cost, by station and token."""

    def at(self, station_id: UUID) -> Iterator[AccessEntry]:
        """Yield the entries of one station, its open orders left out: those it counts itself."""
        own_fen = self.own_fen.get(station_id, {})
        for token_id, entry in self.entries:
            scope = self.scopes.get(token_id)
            if scope is not None and station_id not in scope:
                continue
            fen = own_fen.get((entry.token.kind, entry.token.value), 0)
            left_fen = entry.exposure_fen - fen
            yield msgspec.structs.replace(entry, exposure_fen=left_fen) if fen else entry


async def list_version(session: AsyncSession, station_id: UUID) -> int:
    """Return the number of a station's current list, 0 if it has never had one."""
    found = await session.get(ListVersion, station_id)
    return 0 if found is None else found.version


async def publish_lists(session: AsyncSession, *, operator_id: UUID, now: datetime) -> None:
    """Give every station of an operator a new list."""
    listed = await _listed(session, operator_id)
    for station in await lookup.stations_of(session, operator_id):
        version: int = (
            await session.execute(
                insert(ListVersion)
                .values(station_id=station.id, operator_id=operator_id, version=1, published_at=now)
                .on_conflict_do_update(
                    index_elements=["station_id"],
                    set_={"version": ListVersion.version + 1, "published_at": now},
                )
                .returning(col(ListVersion.version))
            )
        ).scalar_one()
        await _send(session, station.id, list(listed.at(station.id)), version=version, now=now)


async def send_list(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, version: int, now: datetime
) -> None:
    """Send a station its list, in parts; one that still waits is superseded."""
    listed = await _listed(session, operator_id)
    await _send(session, station_id, list(listed.at(station_id)), version=version, now=now)


async def _send(
    session: AsyncSession,
    station_id: UUID,
    entries: Sequence[AccessEntry],
    *,
    version: int,
    now: datetime,
) -> None:
    parts = [entries[at : at + PART_MAX] for at in range(0, len(entries), PART_MAX)] or [()]
    for part_no, part in enumerate(parts, start=1):
        await enqueue_command(
            session,
            station_id,
            PublishAccessList(
                version=version, entries=tuple(part), part_no=part_no, part_count=len(parts)
            ),
            expires_at=None,
            now=now,
            replace_kind=part_no == 1,
        )


async def _listed(session: AsyncSession, operator_id: UUID) -> _Listed:
    tokens = await session.scalars(
        select(AccessToken)
        .where(AccessToken.operator_id == operator_id)
        .order_by(col(AccessToken.id))
    )
    scopes: dict[UUID, set[UUID]] = defaultdict(set)
    scoped = select(Scope.token_id, Scope.station_id).where(Scope.operator_id == operator_id)
    for token_id, station_id in await session.execute(scoped):
        scopes[token_id].add(station_id)
    sums = await session.execute(
        sa.select(
            col(Exposure.station_id),
            col(Exposure.kind),
            col(Exposure.value),
            func.sum(Exposure.amount_fen),
            func.coalesce(func.sum(Exposure.amount_fen).filter(col(Exposure.is_open)), 0),
        )
        .where(col(Exposure.operator_id) == operator_id)
        .group_by(col(Exposure.station_id), col(Exposure.kind), col(Exposure.value))
    )
    all_fen: dict[_Key, int] = defaultdict(int)
    own_fen: dict[UUID, dict[_Key, int]] = defaultdict(dict)
    for station_id, kind, value, amount_fen, open_fen in sums:
        own_fen[station_id][kind, value] = int(open_fen)
        all_fen[kind, value] += int(amount_fen)
    entries = [
        (token.id, _entry(token, all_fen.get((token.kind, token.value), 0))) for token in tokens
    ]
    return _Listed(entries, scopes, own_fen)


def _entry(token: AccessToken, exposure_fen: int) -> AccessEntry:
    return AccessEntry(
        token=Token(token.kind, token.value),
        frozen=token.frozen,
        limit_fen=token.limit_fen,
        exposure_fen=exposure_fen,
        expires_at=token.expires_at,
        logical_card_no=token.logical_card_no,
        password_md5=token.password_md5,
    )
