"""Questions about alarms that pages ask."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.models import Alarm
from shared.contracts.words import Severity

_RANK = {severity: rank for rank, severity in enumerate(Severity)}


async def open_alarms(
    session: AsyncSession, operator_id: UUID, *, limit: int
) -> tuple[Sequence[Alarm], int]:
    """Return an operator's open alarms, worst and then newest first, and how many there are."""
    is_open = (Alarm.operator_id == operator_id, col(Alarm.cleared_at).is_(None))
    rank = sa.case(_RANK, value=col(Alarm.severity), else_=len(_RANK))
    rows = (
        await session.scalars(
            select(Alarm).where(*is_open).order_by(rank, col(Alarm.id).desc()).limit(limit)
        )
    ).all()
    if len(rows) < limit:
        return rows, len(rows)
    count = await session.scalar(select(sa.func.count()).select_from(Alarm).where(*is_open))
    return rows, count or 0
