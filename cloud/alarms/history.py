"""The life of an alarm, step by step; each step is also told to whoever looks, once committed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.models import Alarm, Moment, Source, Step
from shared.clock import to_ms
from shared.ids import uuid7

CHANNEL = "alarms_moment"
"""PostgreSQL channel that names each new moment: `OPERATOR_ID MOMENT_ID`."""


async def add_moment(
    session: AsyncSession,
    alarm: Alarm,
    step: Step,
    *,
    source: Source,
    at: datetime,
    now: datetime,
    by: str = "",
    details: Mapping[str, str] | None = None,
) -> Moment:
    """Note a step; `at` is when it happened, `now` HQ's time. Writes what the session holds."""
    moment = Moment(
        id=uuid7(to_ms(now)),
        operator_id=alarm.operator_id,
        alarm_row_id=alarm.id,
        step=step,
        source=source,
        by=by,
        details=dict(details or {}),
        at=at,
    )
    session.add(alarm)
    await session.flush()
    session.add(moment)
    await session.flush()
    # NOTIFY is transactional: listeners hear of it exactly when the row is there.
    payload = f"{alarm.operator_id} {moment.id}"
    await session.execute(sa.select(sa.func.pg_notify(CHANNEL, payload)))
    return moment


async def moments_of(session: AsyncSession, alarm_row_id: UUID) -> Sequence[Moment]:
    """Return the life of an alarm, oldest first."""
    return (
        await session.scalars(
            select(Moment)
            .where(Moment.alarm_row_id == alarm_row_id)
            .order_by(col(Moment.at), col(Moment.id))
        )
    ).all()
