"""Sends what the planner wrote: claim, commit, send, note what became of it.

A notice is claimed by putting its next try off, so that of all workers one sends it, and one
that dies in between leaves it to the others. One notice a channel is on its way at a time: a
channel that hangs delays nobody else's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms import service
from cloud.alarms.notify.models import Channel, Notice, NoticeState
from cloud.alarms.notify.planner import failing_object, plan
from cloud.alarms.notify.senders import SendError, Senders
from cloud.alarms.rules import RANK
from cloud.core.commands import TIME_SCALE
from cloud.core.db import Sessions
from cloud.core.transient import is_transient
from shared.clock import Clock

if TYPE_CHECKING:
    from datetime import datetime

logger = logging.getLogger(__name__)

FAILING = "notices_failing"
TRIES_MAX = 5
RETRY_S = (5.0, 30.0, 120.0, 600.0)
"""Pauses after the first, second … try."""
_LEASE_S = 60.0
_TURN_S = 1.0
_ON_THE_WAY_MAX = 32
_ERROR_MAX = 500


class Notifier:
    """Plans and sends notices; any number of workers may have one."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        senders: Senders,
        clock: Clock,
        retry_s: Sequence[float] = RETRY_S,
    ) -> None:
        self._sessions = sessions
        self._senders = senders
        self._clock = clock
        self._retry_s = retry_s
        self._busy: set[UUID] = set()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; the database's being away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self.turn(tasks)
                except Exception as error:
                    if is_transient(error):
                        logger.warning("notices are put off error=%r", error)
                    else:
                        # A bug in here must not end what takes in every station's facts.
                        logger.exception("notices failed")
                try:
                    async with asyncio.timeout(_TURN_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def turn(self, tasks: asyncio.TaskGroup) -> None:
        """Plan once, and send what is due in tasks of the group."""
        self._wake.clear()
        async with self._sessions() as session, session.begin():
            await plan(session, self._clock.now())
        if len(self._busy) >= _ON_THE_WAY_MAX:
            return
        async with self._sessions() as session, session.begin():
            claimed = await self._claim(session, self._clock.now())
        for notice, channel in claimed:
            self._busy.add(channel.id)
            tasks.create_task(self._deliver(notice, channel))

    async def _claim(self, session: AsyncSession, now: datetime) -> list[tuple[Notice, Channel]]:
        rank = sa.case(RANK, value=col(Notice.severity), else_=len(RANK))
        due = (col(Notice.next_try_at) <= now, col(Notice.channel_id).not_in(self._busy))
        first = (
            sa.select(col(Notice.id))
            .ext(distinct_on(col(Notice.channel_id)))
            .where(*due)
            .order_by(col(Notice.channel_id), rank, col(Notice.id))
        )
        rows = (
            await session.scalars(
                select(Notice)
                .where(*due, col(Notice.id).in_(first))
                .limit(_ON_THE_WAY_MAX - len(self._busy))
                .with_for_update(skip_locked=True)
            )
        ).all()
        claimed = []
        for notice in rows:
            notice.tries += 1
            notice.next_try_at = now + self._real(session, _LEASE_S)
            session.add(notice)
            channel = await session.get(Channel, notice.channel_id)
            assert channel is not None, "a foreign key"
            claimed.append((notice, channel))
        return claimed

    async def _deliver(self, notice: Notice, channel: Channel) -> None:
        try:
            error = ""
            try:
                if notice.tries > TRIES_MAX:
                    # Whoever tried before died of it, five times.
                    raise SendError("given up: no try came to an end")
                await self._senders.send(channel, notice, self._clock.now())
            except SendError as refused:
                error = str(refused)[:_ERROR_MAX]
            await self._note(notice, channel, error)
        except Exception as error:
            if not is_transient(error):
                logger.exception("a notice failed notice=%s", notice.id)
            # Unnoted it is sent again once its claim ends; receivers know it by its id.
            else:
                logger.warning("what became of a notice is not kept notice=%s", notice.id)
        finally:
            self._busy.discard(channel.id)
            self._wake.set()

    async def _note(self, sent: Notice, channel: Channel, error: str) -> None:
        now = self._clock.now()
        async with self._sessions() as session, session.begin():
            notice = await session.get_one(Notice, sent.id, with_for_update=True)
            if notice.state is not NoticeState.WAITING or notice.tries != sent.tries:
                return
            notice.last_error = error
            if not error:
                notice.state, notice.sent_at, notice.next_try_at = NoticeState.SENT, now, None
            elif notice.tries < TRIES_MAX:
                pause_s = self._retry_s[min(notice.tries, len(self._retry_s)) - 1]
                notice.next_try_at = now + self._real(session, pause_s)
            else:
                notice.state, notice.next_try_at = NoticeState.DEAD, None
            session.add(notice)
            await self._say_failing(session, notice, channel, now)
        if error:
            logger.warning(
                "notice not sent channel=%s try=%d error=%s", channel.name, sent.tries, error
            )

    async def _say_failing(
        self, session: AsyncSession, notice: Notice, channel: Channel, now: datetime
    ) -> None:
        object_ = failing_object(channel)
        if notice.state is NoticeState.DEAD:
            await service.raise_of_hq(
                session,
                operator_id=channel.operator_id,
                code=FAILING,
                object_=object_,
                now=now,
                params={"channel": channel.name},
            )
        elif notice.state is NoticeState.SENT:
            await service.clear_own(
                session,
                operator_id=channel.operator_id,
                station_id=None,
                code=FAILING,
                object_=object_,
                now=now,
            )

    @staticmethod
    def _real(session: AsyncSession, seconds: float) -> timedelta:
        """Return real seconds in HQ's time, which runs faster in a demo."""
        return timedelta(seconds=seconds * session.info.get(TIME_SCALE, 1.0))
