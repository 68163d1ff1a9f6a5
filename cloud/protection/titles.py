"""What people call the sensors and zones of a station, from its protection document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from cloud.protection.models import Version, VersionState

Titles = Mapping[str, tuple[str, str]]
"""Titles in zh and en of `sensor:NAME` and `zone:NAME`; what has none is not there."""


async def titles_of(
    session: AsyncSession, operator_id: UUID, station_ids: Collection[UUID | None]
) -> dict[UUID | None, Titles]:
    """Return the titles of each station that has a document: the one in force, or else the
    newest. None, for what is of HQ itself, is passed over."""
    wanted = {each for each in station_ids if each is not None}
    if not wanted:
        return {}
    in_force = sa.case((col(Version.state) == VersionState.ACTIVE, 0), else_=1)
    rows = await session.execute(
        sa.select(
            col(Version.station_id),
            col(Version.document)["devices"],
            col(Version.document)["zones"],
        )
        .ext(distinct_on(col(Version.station_id)))
        .where(col(Version.operator_id) == operator_id, col(Version.station_id).in_(wanted))
        .order_by(col(Version.station_id), in_force, col(Version.version).desc())
    )
    return {
        station_id: {**_titles("sensor", devices), **_titles("zone", zones)}
        for station_id, devices, zones in rows
    }


def _titles(kind: str, parts: Iterable[Mapping[str, Any]] | None) -> dict[str, tuple[str, str]]:
    found = {
        f"{kind}:{part['name']}": (part.get("title_zh", ""), part.get("title_en", ""))
        for part in parts or ()
    }
    return {name: titles for name, titles in found.items() if any(titles)}
