"""Periodic work on notices."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from sqlmodel import col, delete

from cloud.alarms.notify.models import Notice, NoticeState, Told
from cloud.core.db import Sessions
from shared.clock import Clock

KEPT = timedelta(days=400)
"""As long as the other evidence."""


async def purge_notices(sessions: Sessions, clock: Clock) -> None:
    """Forget notices that nobody can ask for any more; what still waits stays."""
    before = clock.now() - KEPT
    async with sessions() as session, session.begin():
        await session.execute(delete(Told).where(col(Told.at) < before))
        waiting = col(Notice.state) == NoticeState.WAITING
        await session.execute(
            delete(Notice).where(col(Notice.created_at) < before, sa.not_(waiting))
        )
