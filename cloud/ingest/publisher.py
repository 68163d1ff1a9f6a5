"""Commands down: outbox rows are published again and again until settled or expired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlmodel import col, or_, select

from cloud.core import metrics
from cloud.core.commands import CHANNEL, CommandRow
from cloud.core.transient import is_transient
from shared.clock import Clock
from shared.contracts.words import Outcome

logger = logging.getLogger(__name__)

_RESEND_S = (2, 5, 10, 20, 40, 60)
_ROWS_MAX = 100
_LOOK_EVERY_S = 1.0

Publish = Callable[[str, bytes], Awaitable[bool]]
"""Sends a command to a station with QoS 1; False if there is no connection."""


class CommandPublisher:
    """Sends what is due. Several workers may run one each: rows are locked, not shared out."""

    def __init__(
        self,
        *,
        sessions: async_sessionmaker[AsyncSession],
        publish: Publish,
        connected: asyncio.Event,
        clock: Clock,
        time_scale: float = 1.0,
    ) -> None:
        self._sessions = sessions
        self._publish = publish
        self._connected = connected
        self._clock = clock
        # The demo's wall clock runs fast, but a station's answer still takes real seconds.
        self._time_scale = time_scale
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at once: somebody wrote a command."""
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await self._connected.wait()
            try:
                full = await self._publish_due()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("database is away, commands wait error=%r", error)
                full = False
            if not full:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_EVERY_S)
            self._wake.clear()

    async def _publish_due(self) -> bool:
        async with self._sessions() as session, session.begin():
            now = self._clock.now()
            rows = (
                await session.scalars(
                    select(CommandRow)
                    .where(
                        col(CommandRow.settled_at).is_(None),
                        or_(
                            col(CommandRow.next_send_at) <= now,
                            col(CommandRow.expires_at) <= now,
                        ),
                    )
                    .order_by(col(CommandRow.id))
                    .limit(_ROWS_MAX)
                    .with_for_update(skip_locked=True)
                )
            ).all()
            await asyncio.gather(*(self._send(row, now) for row in rows))
        return len(rows) == _ROWS_MAX

    async def _send(self, row: CommandRow, now: datetime) -> None:
        if row.expires_at is not None and row.expires_at <= now:
            row.settled_at, row.next_send_at = now, None
            row.outcome, row.reason = Outcome.EXPIRED, "no answer in time"
            return
        if await self._publish(row.station_no, row.envelope()):
            wait_s = _RESEND_S[min(row.sent, len(_RESEND_S) - 1)]
            row.sent += 1
            row.next_send_at = now + timedelta(seconds=wait_s * self._time_scale)
            metrics.COMMANDS.labels(row.kind).inc()


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Wake the publisher on every new command until cancelled; without it a second is lost."""
    while True:
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(url)
            try:
                connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *_: wake())
                await lost.wait()
            finally:
                await connection.close(timeout=2)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            logger.debug("not listening for commands error=%r", error)
        await asyncio.sleep(1.0)
