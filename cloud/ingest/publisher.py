"""Commands down: outbox rows are published again and again until settled or expired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from msgspec import MsgspecError
from sqlalchemy import update
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


@dataclass(frozen=True, slots=True)
class _Due:
    """A command on its way."""

    id: UUID
    station_no: str
    kind: str
    payload: bytes


class CommandPublisher:
    """Sends what is due. Several workers may run one each: rows are leased, not shared out."""

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
                if is_transient(error):
                    logger.warning("database is away, commands wait error=%r", error)
                else:
                    # What takes in every station's facts runs beside this and must go on.
                    logger.exception("commands wait")
                full = False
            if not full:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._wake.wait()
            self._wake.clear()

    async def _publish_due(self) -> bool:
        """Send what is due; True if there may be more.

        Rows are leased until their next sending and let go before the broker is waited for.
        """
        due, full = await self._lease_due()
        sent = await asyncio.gather(*(self._publish(each.station_no, each.payload) for each in due))
        for each, is_sent in zip(due, sent, strict=True):
            if is_sent:
                metrics.COMMANDS.labels(each.kind).inc()
        await self._give_back([each.id for each, ok in zip(due, sent, strict=True) if not ok])
        return full

    async def _lease_due(self) -> tuple[list[_Due], bool]:
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
            due = [each for row in rows if (each := self._lease(row, now)) is not None]
        return due, len(rows) == _ROWS_MAX

    def _lease(self, row: CommandRow, now: datetime) -> _Due | None:
        """Return what to send, None if the command is over."""
        if row.expires_at is not None and row.expires_at <= now:
            row.settle(Outcome.EXPIRED, "no answer in time", now)
            return None
        try:
            payload = row.envelope()
        except MsgspecError as error:
            # A kind that this version does not know: it would stand in the way for ever.
            logger.exception("command cannot be read command=%s kind=%s", row.id, row.kind)
            row.settle(Outcome.FAILED, f"cannot be read: {error}", now)
            return None
        wait_s = _RESEND_S[min(row.sent, len(_RESEND_S) - 1)]
        row.sent += 1
        row.next_send_at = now + timedelta(seconds=wait_s * self._time_scale)
        return _Due(row.id, row.station_no, row.kind, payload)

    async def _give_back(self, ids: list[UUID]) -> None:
        """Have commands sent as soon as there is a broker again."""
        if not ids:
            return
        async with self._sessions() as session, session.begin():
            await session.execute(
                update(CommandRow)
                .where(col(CommandRow.id).in_(ids), col(CommandRow.settled_at).is_(None))
                .values(sent=CommandRow.sent - 1, next_send_at=self._clock.now())
            )


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
