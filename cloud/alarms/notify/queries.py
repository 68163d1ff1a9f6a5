"""Questions about notices that pages ask."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.notify.models import Channel, Notice, Told

_SHOWN_MAX = 50


async def notices_about(
    session: AsyncSession, alarm_row_id: UUID
) -> Sequence[tuple[Notice, Channel]]:
    """Return who was told of an alarm, over which channel, oldest first."""
    ids = sa.select(col(Told.notice_id)).where(col(Told.alarm_row_id) == alarm_row_id)
    rows = await session.execute(
        select(Notice, Channel)
        .join(Channel, col(Channel.id) == col(Notice.channel_id))
        .where(col(Notice.id).in_(ids))
        .order_by(col(Notice.id))
        .limit(_SHOWN_MAX)
    )
    return [(notice, channel) for notice, channel in rows.all()]
