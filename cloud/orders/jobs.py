"""Periodic work on orders."""

from __future__ import annotations

import logging

from cloud.core.db import Sessions
from cloud.orders.service import bill_estimates, fail_unanswered, release_held, review_lost
from shared.clock import Clock

logger = logging.getLogger(__name__)


async def fail_unanswered_orders(sessions: Sessions, clock: Clock) -> None:
    """Fail remote starts that expired without a word of the station."""
    async with sessions() as session, session.begin():
        failed = await fail_unanswered(session, now=clock.now())
    if failed:
        logger.info("remote starts without an answer orders=%d", failed)


async def release_held_orders(sessions: Sessions, clock: Clock) -> None:
    """Wait no longer for parallel charges of which a part is never heard of."""
    async with sessions() as session, session.begin():
        released = await release_held(session, now=clock.now())
    if released:
        logger.warning("parallel charges that never ended orders=%d", released)


async def bill_old_estimates(sessions: Sessions, clock: Clock) -> None:
    """Wait no longer for records that never come."""
    async with sessions() as session, session.begin():
        billed = await bill_estimates(session, now=clock.now())
    if billed:
        logger.warning("estimates billed without a record orders=%d", billed)


async def review_lost_orders(sessions: Sessions, clock: Clock) -> None:
    """Ask somebody about charges of which nothing is heard any more."""
    async with sessions() as session, session.begin():
        lost = await review_lost(session, now=clock.now())
    if lost:
        logger.warning("charges of which nothing is heard any more orders=%d", lost)
