"""Questions about alarms: lists by filter, groups of one cause, what is open now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Alarm
from cloud.alarms.rules import RANK
from cloud.core.columns import UtcDateTime
from cloud.core.pagination import CursorError
from shared.contracts.words import Severity

GROUPS_MAX = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class View(StrEnum):
    """Which alarms a list shows. `unseen`: open, acknowledged by nobody and not put aside."""

    OPEN = "open"
    UNSEEN = "unseen"
    ACKNOWLEDGED = "acknowledged"
    SHELVED = "shelved"
    CLEARED = "cleared"
    ALL = "all"


class Filter(Struct, frozen=True, kw_only=True):
    """What a list is narrowed to; None and empty: not at all. Times are when it was raised."""

    view: View = View.OPEN
    severities: tuple[Severity, ...] = ()
    station_id: UUID | None = None
    code: str = ""
    drill: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


class Group(Struct, frozen=True, kw_only=True):
    """All alarms of one code at one station. `severity` is the worst of them, `params` are those
    of the newest that is as bad."""

    station_id: UUID | None
    code: str
    severity: Severity
    params: Mapping[str, Any]
    count: int
    unseen: int
    aside: int
    repeats: int
    objects: Sequence[str]
    first_raised_at: datetime
    last_raised_at: datetime
    drill: bool


_rank = sa.case(RANK, value=col(Alarm.severity), else_=len(RANK))


def matching(operator_id: UUID, wanted: Filter, now: datetime) -> SelectOfScalar[Alarm]:
    """Return the statement of a list, without an order."""
    return select(Alarm).where(*_conditions(operator_id, wanted, now))


async def groups(
    session: AsyncSession, operator_id: UUID, wanted: Filter, now: datetime
) -> list[Group]:
    """Return alarms by code and station: drills last, the worst first, then the newest."""
    unseen = sa.and_(*_of_view(View.UNSEEN, now))
    worst_first = (col(Alarm.drill), _rank, col(Alarm.raised_at).desc(), col(Alarm.id))
    aside = sa.and_(*_of_view(View.SHELVED, now))
    params = sa.func.array_agg(aggregate_order_by(col(Alarm.params), *worst_first))
    rows = await session.execute(
        sa.select(
            col(Alarm.station_id),
            col(Alarm.code),
            sa.func.min(_rank).label("rank"),
            params[1].label("params"),
            sa.func.count().label("count"),
            sa.func.count().filter(unseen).label("unseen"),
            sa.func.count().filter(aside).label("aside"),
            sa.func.sum(col(Alarm.repeats)).label("repeats"),
            sa.func.array_agg(sa.distinct(col(Alarm.object))).label("objects"),
            sa.func.min(col(Alarm.raised_at)).label("first"),
            sa.func.max(col(Alarm.raised_at)).label("last"),
            sa.func.bool_and(col(Alarm.drill)).label("drill"),
        )
        .where(*_conditions(operator_id, wanted, now))
        .group_by(col(Alarm.station_id), col(Alarm.code))
        .order_by(sa.text("drill"), sa.text("rank"), sa.text("last DESC"))
        .limit(GROUPS_MAX)
    )
    return [_group(row) for row in rows.mappings()]


async def open_alarms(
    session: AsyncSession, operator_id: UUID, *, now: datetime, limit: int
) -> tuple[Sequence[Alarm], int, int]:
    """Return an operator's open alarms, how many there are, and how many more are put aside.

    Real ones before drills, not put aside before put aside, then worst and newest first.
    """
    is_open = _conditions(operator_id, Filter(), now)
    aside = sa.func.coalesce(sa.and_(*_of_view(View.SHELVED, now)), sa.false())
    order = (col(Alarm.drill), aside, _rank, col(Alarm.raised_at).desc(), col(Alarm.id).desc())
    rows = (
        await session.scalars(select(Alarm).where(*is_open).order_by(*order).limit(limit))
    ).all()
    counts = await session.execute(
        sa.select(sa.func.count().filter(sa.not_(aside)), sa.func.count().filter(aside))
        .select_from(Alarm)
        .where(*is_open)
    )
    count, aside_count = counts.one()
    return rows, count, aside_count


async def worst_first(
    session: AsyncSession, statement: SelectOfScalar[Alarm], *, cursor: str, limit: int
) -> tuple[Sequence[Alarm], str]:
    """Return a part of a list and the next cursor: drills last, then worst and newest first.

    Raises:
        CursorError: The cursor is not one of this list.
    """
    place = sa.tuple_(col(Alarm.drill), _rank)
    if cursor:
        drill, rank, last_at, last_id = _read_cursor(cursor)
        here = sa.tuple_(sa.literal(drill), sa.literal(rank))
        newer = sa.tuple_(col(Alarm.raised_at), col(Alarm.id))
        last_place = sa.tuple_(sa.literal(last_at, UtcDateTime), sa.literal(last_id, sa.Uuid))
        statement = statement.where(
            sa.or_(place > here, sa.and_(place == here, newer < last_place))
        )
    ordered = statement.order_by(
        col(Alarm.drill), _rank, col(Alarm.raised_at).desc(), col(Alarm.id).desc()
    )
    rows = (await session.scalars(ordered.limit(limit + 1))).all()
    if len(rows) <= limit:
        return rows, ""
    last = rows[limit - 1]
    raised_us = (last.raised_at - _EPOCH) // _US
    return rows[:limit], f"{int(last.drill)}.{RANK[last.severity]}.{raised_us}.{last.id}"


async def counts_by_severity(
    session: AsyncSession, operator_id: UUID, now: datetime
) -> dict[Severity, int]:
    """Return how many alarms are open and not put aside, by severity; all four are there."""
    rows = await session.execute(
        select(Alarm.severity, sa.func.count())
        .where(*_conditions(operator_id, Filter(), now), _not_aside(now))
        .group_by(col(Alarm.severity))
    )
    found = {severity: int(count) for severity, count in rows}
    return {severity: found.get(severity, 0) for severity in Severity}


async def count_aside(session: AsyncSession, operator_id: UUID, now: datetime) -> int:
    """Return how many open alarms are put aside."""
    wanted = _conditions(operator_id, Filter(view=View.SHELVED), now)
    count = await session.scalar(select(sa.func.count()).select_from(Alarm).where(*wanted))
    return count or 0


def _read_cursor(cursor: str) -> tuple[bool, int, datetime, UUID]:
    try:
        drill, rank, raised_us, last_id = cursor.split(".")
        raised_at = _EPOCH + int(raised_us) * _US
        return bool(int(drill)), min(int(rank), len(RANK)), raised_at, UUID(last_id)
    except (ValueError, OverflowError) as error:
        raise CursorError("this cursor is not one of this list") from error


def _conditions(operator_id: UUID, wanted: Filter, now: datetime) -> list[Any]:
    found: list[Any] = [col(Alarm.operator_id) == operator_id, *_of_view(wanted.view, now)]
    if wanted.severities:
        found.append(col(Alarm.severity).in_(wanted.severities))
    if wanted.station_id is not None:
        found.append(col(Alarm.station_id) == wanted.station_id)
    if wanted.code:
        found.append(col(Alarm.code) == wanted.code)
    if wanted.drill is not None:
        found.append(col(Alarm.drill).is_(wanted.drill))
    if wanted.since is not None:
        found.append(col(Alarm.raised_at) >= wanted.since)
    if wanted.until is not None:
        found.append(col(Alarm.raised_at) < wanted.until)
    return found


def _of_view(view: View, now: datetime) -> list[Any]:
    is_open = col(Alarm.cleared_at).is_(None)
    aside = col(Alarm.shelved_until) > now
    seen = col(Alarm.acknowledged_at)
    conditions: dict[View, list[Any]] = {
        View.OPEN: [is_open],
        View.UNSEEN: [is_open, seen.is_(None), _not_aside(now)],
        View.ACKNOWLEDGED: [is_open, seen.is_not(None)],
        View.SHELVED: [is_open, aside],
        View.CLEARED: [col(Alarm.cleared_at).is_not(None)],
        View.ALL: [],
    }
    return conditions[view]


def _not_aside(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(col(Alarm.shelved_until).is_(None), col(Alarm.shelved_until) <= now)


def _group(row: sa.RowMapping) -> Group:
    return Group(
        station_id=row["station_id"],
        code=row["code"],
        severity=list(Severity)[row["rank"]],
        params=row["params"],
        count=row["count"],
        unseen=row["unseen"],
        aside=row["aside"],
        repeats=int(row["repeats"]),
        objects=sorted(row["objects"]),
        first_raised_at=row["first"],
        last_raised_at=row["last"],
        drill=row["drill"],
    )
