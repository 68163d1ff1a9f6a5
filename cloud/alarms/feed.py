"""New moments of alarms, from the database to every viewer of this process, as they commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.history import CHANNEL
from cloud.alarms.models import Alarm, Moment
from cloud.core.commands import TIME_SCALE
from cloud.core.db import Sessions
from cloud.core.transient import is_transient
from shared.clock import to_ms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

logger = logging.getLogger(__name__)

REPLAY = timedelta(seconds=60)
"""How far back a viewer whose line broke is told what it missed."""
_REPLAY_MAX = 1_000
_OVERLAP_MS = 2_000
_WAITING_MAX = 1_000

News = tuple[Moment, Alarm]


class AlarmFeed:
    """Listens to the database, reads each new moment once, hands it to the operator's viewers."""

    def __init__(self, sessions: Sessions, database_url: str) -> None:
        self._sessions = sessions
        self._url = database_url
        self._viewers: dict[UUID, set[asyncio.Queue[News | None]]] = {}
        self._heard: asyncio.Queue[tuple[UUID, UUID]] = asyncio.Queue(_WAITING_MAX)
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Listen and hand on until cancelled; the database's being away is waited for."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._hand_on())

    @contextmanager
    def viewer(self, operator_id: UUID) -> Iterator[asyncio.Queue[News | None]]:
        """Have an operator's news put into a queue; None says that some may be missing."""
        queue: asyncio.Queue[News | None] = asyncio.Queue(_WAITING_MAX)
        self._viewers.setdefault(operator_id, set()).add(queue)
        try:
            yield queue
        finally:
            here = self._viewers[operator_id]
            here.discard(queue)
            if not here:
                del self._viewers[operator_id]

    async def _listen(self) -> None:
        while True:
            lost = asyncio.Event()
            try:
                connection = await asyncpg.connect(self._url)
                try:
                    connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                    await connection.add_listener(CHANNEL, self._on_notice)
                    self.listening.set()
                    await lost.wait()
                finally:
                    self.listening.clear()
                    await connection.close(timeout=2)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                logger.debug("not listening for alarms error=%r", error)
            self._say_missed()
            await asyncio.sleep(1.0)

    def _on_notice(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        operator, _, moment = str(payload).partition(" ")
        operator_id = UUID(operator)
        if operator_id not in self._viewers:
            return
        try:
            self._heard.put_nowait((operator_id, UUID(moment)))
        except asyncio.QueueFull:
            self._say_missed()

    async def _hand_on(self) -> None:
        while True:
            heard = [await self._heard.get()]
            while not self._heard.empty():
                heard.append(self._heard.get_nowait())
            try:
                async with self._sessions() as session:
                    news = await _read(session, [moment_id for _, moment_id in heard])
            except Exception as error:
                if is_transient(error):
                    logger.warning("news of alarms cannot be read error=%r", error)
                else:
                    # One moment that cannot be read must not end everybody's stream.
                    logger.exception("news of alarms failed")
                self._say_missed()
                continue
            for each in news:
                self._put(each[0].operator_id, each)

    def _put(self, operator_id: UUID, news: News | None) -> None:
        for queue in self._viewers.get(operator_id, ()):
            if queue.full():
                # Too slow to follow: it starts afresh rather than see a part.
                while not queue.empty():
                    queue.get_nowait()
                news = None
            queue.put_nowait(news)

    def _say_missed(self) -> None:
        for operator_id in self._viewers:
            self._put(operator_id, None)


async def missed(
    session: AsyncSession, operator_id: UUID, last_id: UUID, now: datetime
) -> list[News]:
    """Return what came after a moment, at most a minute back, oldest first.

    It begins a little before, because ids are given before commits: a viewer may see one twice.
    """
    scale = session.info.get(TIME_SCALE, 1.0)
    last_ms = last_id.int >> 80
    since_ms = max(last_ms - int(_OVERLAP_MS * scale), to_ms(now - REPLAY * scale))
    rows = await session.execute(
        select(Moment, Alarm)
        .join(Alarm, col(Alarm.id) == col(Moment.alarm_row_id))
        .where(
            Moment.operator_id == operator_id,
            col(Moment.id) >= UUID(int=since_ms << 80),
            Moment.id != last_id,
        )
        .order_by(col(Moment.id))
        .limit(_REPLAY_MAX)
    )
    return [(moment, alarm) for moment, alarm in rows.all()]


async def _read(session: AsyncSession, moment_ids: Sequence[UUID]) -> list[News]:
    rows = await session.execute(
        select(Moment, Alarm)
        .join(Alarm, col(Alarm.id) == col(Moment.alarm_row_id))
        .where(col(Moment.id).in_(moment_ids))
        .order_by(col(Moment.id))
    )
    return [(moment, alarm) for moment, alarm in rows.all()]
