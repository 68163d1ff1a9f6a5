"""COMPOSITION ROOT of the ingest worker: batches in, commands out, presence, periodic jobs."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg
from prometheus_client import start_http_server
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms.broker_watch import BrokerWatch
from cloud.alarms.early import purge_early
from cloud.alarms.notify.delivery import Notifier
from cloud.alarms.notify.jobs import purge_notices
from cloud.alarms.notify.senders import MailServer, Senders
from cloud.alarms.twin_watch import look_for_twins
from cloud.core.connections import Connections, check_database, open_connections
from cloud.core.transient import is_transient
from cloud.ingest.batches import Batch, Directory, KnownStation, Pool, StreamIds
from cloud.ingest.events import EventWriter, context_of, dispatch, report_parked
from cloud.ingest.handlers import Handler, Ingested, merge
from cloud.ingest.jobs import purge_commands, purge_idempotency, purge_inbox
from cloud.ingest.publisher import CommandPublisher, listen
from cloud.ingest.receiver import BrokerAddress, Link, Sinks
from cloud.live.handlers import make_handlers
from cloud.live.presence import Presence
from cloud.live.store import LiveStore
from cloud.orders.jobs import (
    bill_old_estimates,
    fail_unanswered_orders,
    release_held_orders,
    review_lost_orders,
)
from cloud.settings import Settings
from cloud.slices import HANDLER_TABLES
from cloud.stations.lookup import station_of_any
from cloud.stations.service import zone_of
from cloud.telemetry.partitions import Partitions
from cloud.telemetry.writer import TelemetryWriter
from shared.clock import Clock
from shared.contracts.events import Event
from shared.contracts.topics import Lane, down_command

logger = logging.getLogger(__name__)

_POOL_MAX = 4


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is done again and again; `every_s` is real time."""

    name: str
    every_s: float
    do: Callable[[], Awaitable[object]]


class Worker:
    """One ingest worker; any number of them may run beside each other."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        connections: Connections,
        pool: Pool,
        senders: Senders,
    ) -> None:
        self._settings = settings
        self._sessions = connections.sessions
        self.live = LiveStore(connections.redis)
        self._handlers: dict[type[Event], tuple[Handler, ...]] = merge(
            *HANDLER_TABLES, make_handlers(self.live)
        )
        self._partitions = Partitions(pool, clock)
        self.events = EventWriter(
            sessions=self._sessions,
            handlers=self._handlers,
            committed=self._acknowledge,
        )
        self.telemetry = TelemetryWriter(
            pool=pool,
            partitions=self._partitions,
            committed=self._acknowledge,
            on_parked=self._on_parked,
            on_latest=self.live.on_latest,
            clock=clock,
            give_way=self.events.quiet,
            linger_s=settings.worker.telemetry_linger_ms / 1000,
        )
        self.presence = Presence(
            redis=connections.redis,
            sessions=self._sessions,
            dispatch=self._dispatch,
            link_up_since=lambda: self.link.up_since_s,
            clock=clock,
            silence_s=settings.worker.presence_s,
            sweep_s=settings.worker.sweep_s,
        )
        self.link = Link(
            address=_broker_address(settings),
            directory=Directory(self._find_station, clock),
            streams=StreamIds(pool),
            sinks=self._sinks(),
            clock=clock,
            client_id=settings.worker.name or _own_name(),
        )
        self.publisher = CommandPublisher(
            sessions=self._sessions,
            publish=self._publish_command,
            connected=self.link.connected,
            clock=clock,
            time_scale=settings.time_scale,
        )
        self.broker_watch = BrokerWatch(
            redis=connections.redis,
            sessions=self._sessions,
            connected=self.link.connected.is_set,
            clock=clock,
            patience_s=settings.worker.broker_down_s,
        )
        self.notifier = Notifier(sessions=self._sessions, senders=senders, clock=clock)
        self.jobs = self._jobs(pool, clock)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._partitions.make_ahead()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.events.run())
            tasks.create_task(self.telemetry.run())
            tasks.create_task(self.live.run())
            tasks.create_task(self.presence.run())
            tasks.create_task(self.publisher.run())
            tasks.create_task(self.notifier.run())
            tasks.create_task(listen(self._settings.database.raw_url, self.publisher.wake))
            for job in self.jobs:
                tasks.create_task(_repeat(job))
            tasks.create_task(self.link.run())

    def _jobs(self, pool: Pool, clock: Clock) -> tuple[Job, ...]:
        return (
            Job("broker_watch", 1.0, self.broker_watch.look),
            Job("station_twice", 60.0, lambda: look_for_twins(self._sessions, clock)),
            Job("partitions", 600.0, self._partitions.make_ahead),
            Job("fail_unanswered", 1.0, lambda: fail_unanswered_orders(self._sessions, clock)),
            Job("release_held", 60.0, lambda: release_held_orders(self._sessions, clock)),
            Job("bill_estimates", 600.0, lambda: bill_old_estimates(self._sessions, clock)),
            Job("review_lost", 600.0, lambda: review_lost_orders(self._sessions, clock)),
            Job("purge_inbox", 3_600.0, lambda: purge_inbox(pool, clock)),
            Job("purge_commands", 3_600.0, lambda: purge_commands(pool, clock)),
            Job("purge_early", 3_600.0, lambda: purge_early(self._sessions, clock)),
            Job("purge_notices", 3_600.0, lambda: purge_notices(self._sessions, clock)),
            Job("purge_idempotency", 3_600.0, lambda: purge_idempotency(pool, clock)),
        )

    def _sinks(self) -> Sinks:
        return Sinks(
            batches={
                Lane.ALARM: self.events.offer,
                Lane.BILL: self.events.offer,
                Lane.STATE: self.events.offer,
                Lane.TELEMETRY: self.telemetry.offer,
            },
            on_live=self.live.on_live,
            on_status=self.presence.on_status,
            on_heard=self.presence.heard,
        )

    async def _acknowledge(self, batches: Sequence[Batch]) -> None:
        await self.link.acknowledge(batches)

    async def _publish_command(self, station_no: str, payload: bytes) -> bool:
        return await self.link.publish(down_command(station_no), payload, qos=1)

    async def _dispatch(self, session: AsyncSession, context: Ingested, event: Event) -> None:
        await dispatch(self._handlers, session, context, event)

    async def _on_parked(self, batch: Batch) -> None:
        try:
            async with self._sessions() as session, session.begin():
                await report_parked(self._handlers, session, context_of(batch), batch)
        except Exception as error:
            if not is_transient(error):
                raise
            # The batch is kept and was logged; only its alarm is missing.
            logger.warning("alarm about a parked batch failed error=%r", error)

    async def _find_station(self, station_no: str) -> KnownStation | None:
        async with self._sessions() as session:
            found = await station_of_any(session, station_no)
        if found is None:
            return None
        return KnownStation(found.operator_id, found.id, found.station_no, zone_of(found))


@asynccontextmanager
async def open_worker(settings: Settings) -> AsyncIterator[Worker]:
    """Open everything, yield a worker that does not run yet, close everything.

    Raises:
        UnreachableError: The database does not answer or is of another version.
    """
    clock = settings.make_clock()
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(
            open_connections(
                settings.database.url,
                settings.redis.url,
                pool_size=settings.database.pool_size,
                time_scale=settings.time_scale,
            )
        )
        await check_database(connections.engine)
        pool = await stack.enter_async_context(
            asyncpg.create_pool(settings.database.raw_url, min_size=1, max_size=_POOL_MAX)
        )
        senders = Senders(
            allowed=settings.notify.allowed_networks,
            mail=_mail_server(settings),
            ca_file=settings.notify.ca_file,
        )
        stack.push_async_callback(senders.close)
        yield Worker(settings, clock=clock, connections=connections, pool=pool, senders=senders)


async def run_worker(settings: Settings) -> None:
    """Work until cancelled. Raises UnreachableError."""
    async with open_worker(settings) as worker:
        if settings.worker.metrics_port:
            start_http_server(settings.worker.metrics_port, addr="127.0.0.1")
        logger.info("worker runs")
        await worker.run()


async def _repeat(job: Job) -> None:
    while True:
        try:
            await job.do()
        except Exception as error:
            if is_transient(error):
                logger.warning("job is put off job=%s error=%r", job.name, error)
            else:
                # One job's bug must not end what takes in every station's facts.
                logger.exception("job failed job=%s", job.name)
        await asyncio.sleep(job.every_s)


def _broker_address(settings: Settings) -> BrokerAddress:
    broker = settings.broker
    return BrokerAddress(
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password=broker.read_password(),
        tls_ca_file=str(broker.tls_ca_file) if broker.tls_ca_file else None,
    )


def _mail_server(settings: Settings) -> MailServer | None:
    smtp = settings.smtp
    if not smtp.host:
        return None
    return MailServer(
        host=smtp.host,
        port=smtp.port,
        security=smtp.security,
        sender=smtp.sender,
        username=smtp.username,
        password=smtp.read_password(),
    )


def _own_name() -> str:
    return f"vw-hq-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
