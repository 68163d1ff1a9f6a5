"""Facts into the database: inbox row, handlers and command outbox in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cloud.core import metrics
from cloud.core.after_commit import AfterCommit
from cloud.core.transient import is_transient
from cloud.ingest.batches import Batch, Waiting
from cloud.ingest.handlers import Handler, Ingested, Together
from cloud.ingest.inbox import Key, claim, key_of, park
from shared.backoff import delays
from shared.clock import to_ms
from shared.contracts.envelope import pack_events, unpack_events
from shared.contracts.events import AlarmRaised, AnyEvent, Event
from shared.contracts.topics import Lane
from shared.contracts.words import Severity
from shared.errors import MalformedContractError
from shared.ids import uuid7

logger = logging.getLogger(__name__)

_URGENCY = {lane: rank for rank, lane in enumerate(Lane)}
_BATCHES_MAX = 64

Committed = Callable[[Sequence[Batch]], Awaitable[None]]
"""Told which batches are committed, to acknowledge them."""


class EventWriter:
    """Handles alarms, bills and states, in this order, many batches to a transaction."""

    def __init__(
        self,
        *,
        sessions: async_sessionmaker[AsyncSession],
        handlers: dict[type[Event], tuple[Handler, ...]],
        committed: Committed,
        waiting_bytes_max: int = 64 * 1024 * 1024,
    ) -> None:
        self._sessions = sessions
        self._handlers = handlers
        self._committed = committed
        self._waiting = Waiting(waiting_bytes_max)
        self._random = Random()  # noqa: S311 - spreads retries, guards nothing
        self._quiet = asyncio.Event()
        self._quiet.set()

    def offer(self, batch: Batch) -> bool:
        """Take a batch, False if there is no room."""
        self._quiet.clear()
        return self._waiting.offer(batch)

    async def quiet(self, limit_s: float) -> None:
        """Wait while there is something to handle, at most so long: for who may come later."""
        if not self._quiet.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self._quiet.wait()

    async def run(self) -> None:
        """Handle batches until cancelled. The database's being away only delays them."""
        while True:
            if not self._waiting.bytes:
                self._quiet.set()
            await self._waiting.some()
            batches = self._waiting.take(records_max=5_000)
            batches.sort(key=lambda batch: _URGENCY[batch.uplink.lane])
            for start in range(0, len(batches), _BATCHES_MAX):
                group = batches[start : start + _BATCHES_MAX]
                await self._write(sorted(group, key=_lock_order))

    async def _write(self, batches: list[Batch]) -> None:
        for delay_s in delays(self._random, first_s=0.1, max_s=5.0):
            try:
                with metrics.COMMIT_SECONDS.labels("events").time():
                    await self._commit(batches)
            except Exception as error:
                if not is_transient(error):
                    logger.exception("transaction failed batches=%d", len(batches))
                    await self._write_apart(batches)
                    return
                logger.warning("database is away, trying again error=%r", error)
            else:
                await self._committed(batches)
                return
            await asyncio.sleep(delay_s)

    async def _write_apart(self, batches: list[Batch]) -> None:
        """Write one by one what failed together, where no savepoint caught what is wrong.

        Only the culprit stays unacknowledged and comes again.
        """
        if len(batches) > 1:
            for batch in batches:
                await self._write([batch])

    async def _commit(self, batches: list[Batch]) -> None:
        after = AfterCommit()
        async with self._sessions() as session, session.begin():
            if not await self._handle_together(session, batches, after):
                for batch in batches:
                    await self._handle_or_park(session, batch, after)
        await after.run()

    async def _handle_together(
        self, session: AsyncSession, batches: list[Batch], after: AfterCommit
    ) -> bool:
        """Handle all batches under one savepoint; False if one of them cannot be handled."""
        try:
            async with session.begin_nested():
                handled = await self._handle(session, batches)
        except Exception as error:
            if is_transient(error):
                raise
            # Which of them it was shows when each has a savepoint of its own.
            logger.debug("batches are handled one by one batches=%d", len(batches), exc_info=True)
            return False
        self._note(batches, handled, after)
        return True

    async def _handle_or_park(
        self, session: AsyncSession, batch: Batch, after: AfterCommit
    ) -> None:
        try:
            async with session.begin_nested():
                handled = await self._handle(session, [batch])
        except Exception as error:
            if is_transient(error):
                raise
            await self._handle_apart(session, batch, error, after)
        else:
            self._note([batch], handled, after)

    async def _handle(self, session: AsyncSession, batches: Sequence[Batch]) -> dict[Key, Ingested]:
        """Handle those batches that are new; return where the facts of each came from."""
        fresh = await claim(await raw_connection(session), batches)
        handled: dict[Key, Ingested] = {}
        facts: list[tuple[Ingested, Event]] = []
        for batch in batches:
            key = key_of(batch)
            # The same batch may stand twice among them.
            if key in fresh and key not in handled:
                context = handled[key] = context_of(batch)
                facts += ((context, event) for event in unpack_events(batch.uplink.body))
        await dispatch_all(self._handlers, session, facts)
        await session.flush()
        return handled

    def _note(
        self, batches: Sequence[Batch], handled: dict[Key, Ingested], after: AfterCommit
    ) -> None:
        for batch in batches:
            context = handled.pop(key_of(batch), None)
            if context is not None:
                after.extend(context.after)
            outcome = "duplicate" if context is None else "handled"
            metrics.BATCHES.labels(batch.uplink.lane, outcome).inc()

    async def _handle_apart(
        self, session: AsyncSession, batch: Batch, error: Exception, after: AfterCommit
    ) -> None:
        """Handle a batch's facts one by one, and park those that cannot be handled.

        Whatever a handler trips over, it would trip over again: it must hold up neither its
        station for ever nor the bills that happen to stand beside it.
        """
        await claim(await raw_connection(session), [batch])
        try:
            events = unpack_events(batch.uplink.body)
        except MalformedContractError:
            await self._park(session, batch, error, after)
            return
        bad: list[AnyEvent] = []
        for event in events:
            refused = await self._try_one(session, batch, event, after)
            if refused is not None:
                bad.append(event)
                error = refused
        if bad:
            body = None if len(bad) == len(events) else pack_events(bad)
            await self._park(session, batch, error, after, body=body)
        else:
            metrics.BATCHES.labels(batch.uplink.lane, "handled").inc()

    async def _try_one(
        self, session: AsyncSession, batch: Batch, event: Event, after: AfterCommit
    ) -> Exception | None:
        """Handle a fact; return why it cannot be."""
        context = context_of(batch)
        try:
            async with session.begin_nested():
                await dispatch(self._handlers, session, context, event)
        except Exception as error:
            if is_transient(error):
                raise
            return error
        after.extend(context.after)
        return None

    async def _park(
        self,
        session: AsyncSession,
        batch: Batch,
        error: Exception,
        after: AfterCommit,
        *,
        body: bytes | None = None,
    ) -> None:
        uplink = batch.uplink
        where = (batch.station.station_no, uplink.lane, uplink.seq)
        logger.error("batch parked station=%s lane=%s seq=%d", *where, exc_info=error)
        await park(await raw_connection(session), batch, repr(error), body=body)
        context = context_of(batch)
        await report_parked(self._handlers, session, context, batch)
        after.extend(context.after)
        metrics.BATCHES.labels(uplink.lane, "parked").inc()


async def dispatch(
    handlers: dict[type[Event], tuple[Handler, ...]],
    session: AsyncSession,
    context: Ingested,
    event: Event,
) -> None:
    """Call everybody who cares about a fact, in layer order."""
    await dispatch_all(handlers, session, [(context, event)])


async def dispatch_all(
    handlers: dict[type[Event], tuple[Handler, ...]],
    session: AsyncSession,
    facts: Sequence[tuple[Ingested, Event]],
) -> None:
    """Call everybody who cares about some facts: first who takes them together."""
    together: dict[Together, list[tuple[Ingested, Event]]] = {}
    for context, event in facts:
        for handler in handlers.get(type(event), ()):
            if isinstance(handler, Together):
                together.setdefault(handler, []).append((context, event))
    for taker, taken in together.items():
        await taker.handle(session, taken)
    for context, event in facts:
        for handler in handlers.get(type(event), ()):
            if not isinstance(handler, Together):
                await handler(session, context, event)
        metrics.EVENTS.labels(type(event).__name__).inc()


async def report_parked(
    handlers: dict[type[Event], tuple[Handler, ...]],
    session: AsyncSession,
    context: Ingested,
    batch: Batch,
) -> None:
    """Raise the alarm that somebody must look at a parked batch; HQ's own fact, same way."""
    alarm = AlarmRaised(
        occurred_at=context.received_at,
        alarm_id=uuid7(to_ms(context.received_at)),
        code="batch_parked",
        severity=Severity.MAJOR,
        object="station",
        params={"lane": batch.uplink.lane.value, "seq": str(batch.uplink.seq)},
    )
    try:
        async with session.begin_nested():
            await dispatch(handlers, session, context, alarm)
    except Exception as error:
        if is_transient(error):
            raise
        # The batch is parked whether or not its alarm can be raised.
        logger.exception("alarm about a parked batch failed")


def _lock_order(batch: Batch) -> tuple[str, int, int, int]:
    """Handlers lock stations: taken in the same order everywhere, workers never deadlock."""
    uplink = batch.uplink
    return batch.station.station_no, _URGENCY[uplink.lane], batch.stream_id, uplink.seq


def context_of(batch: Batch) -> Ingested:
    """Return where a batch's facts come from."""
    station = batch.station
    return Ingested(
        operator_id=station.operator_id,
        station_id=station.station_id,
        station_no=station.station_no,
        zone=station.zone,
        received_at=batch.received_at,
        stream_id=batch.stream_id,
        seq=batch.uplink.seq,
    )


async def raw_connection(session: AsyncSession) -> Any:
    """Return the asyncpg connection under a session, inside its transaction."""
    connection = await session.connection()
    raw = await connection.get_raw_connection()
    return raw.driver_connection
