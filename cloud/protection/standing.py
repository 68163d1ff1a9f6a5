"""Whether a station protects itself by what HQ wants: for one station, or for all at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.protection.models import PinHolder, StationProtection, Version, VersionState
from cloud.protection.rules import IDENTITIES
from shared.contracts.protection import Protection

_INDEX = re.compile(r"(\w+)\[(\d+)\]")


class Standing(StrEnum):
    """How what HQ wants and what the station does stand to each other."""

    NOTHING = "nothing"
    """HQ has published nothing: the station uses its own file, or what is built in."""
    AGREES = "agrees"
    WAITING = "waiting"
    """Sent; the station has not said yet that it uses it."""
    REFUSED = "refused"
    DIFFERS = "differs"
    """The station says that it uses something else."""


class Protected(Struct, frozen=True, kw_only=True):
    """A station's newest version at HQ, what the station says, and how many hold a PIN there."""

    newest: Version | None
    row: StationProtection | None
    pins: int = 0

    @property
    def standing(self) -> Standing:
        """How the two stand to each other."""
        if self.newest is None:
            return Standing.NOTHING
        if self.newest.state is VersionState.REFUSED:
            return Standing.REFUSED
        if self.newest.state is VersionState.SENT:
            return Standing.WAITING
        said = self.row.active_sha256 if self.row is not None else ""
        return Standing.AGREES if said == self.newest.sha256 else Standing.DIFFERS


async def protected_stations(session: AsyncSession, operator_id: UUID) -> dict[UUID, Protected]:
    """Return how each station of an operator stands; one of which nothing is known is left out."""
    newest = await session.scalars(
        select(Version)
        .where(Version.operator_id == operator_id)
        .ext(distinct_on(col(Version.station_id)))
        .order_by(col(Version.station_id), col(Version.version).desc())
    )
    versions = {each.station_id: each for each in newest}
    said = await session.scalars(
        select(StationProtection).where(StationProtection.operator_id == operator_id)
    )
    rows = {each.station_id: each for each in said}
    counted = await session.execute(
        sa.select(col(PinHolder.station_id), sa.func.count())
        .where(col(PinHolder.operator_id) == operator_id)
        .group_by(col(PinHolder.station_id))
    )
    pins = {row[0]: row[1] for row in counted}
    return {
        station_id: Protected(
            newest=versions.get(station_id),
            row=rows.get(station_id),
            pins=pins.get(station_id, 0),
        )
        for station_id in versions.keys() | rows.keys() | pins.keys()
    }


def as_written(version: Version | None) -> Protection:
    """Return a version's document as it was when it was checked; an empty one for none.

    A check that came later hides nothing of it.
    """
    return msgspec.convert(version.document if version is not None else {}, Protection)


def name_path(document: Mapping[str, Any], text: str) -> str:
    """Return a text with `devices[3]` and the like by the name of what stands there."""

    def named(found: re.Match[str]) -> str:
        entries, place = document.get(found[1]), int(found[2])
        if not isinstance(entries, list) or place >= len(entries):
            return found[0]
        names = (entries[place].get(key) for key in IDENTITIES)
        return f"{found[1]}[{next((name for name in names if name), place)}]"

    return _INDEX.sub(named, text)
