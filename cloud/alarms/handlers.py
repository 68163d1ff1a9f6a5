"""Facts about alarms."""

from __future__ import annotations

import logging

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms import life, service, trips
from cloud.alarms.early import Place
from cloud.alarms.rules import OF_HQ
from cloud.alarms.twin_watch import is_twice
from cloud.ingest.handlers import Handlers, Ingested
from shared.contracts.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmShelved,
    CommandSettled,
    DrillFinished,
    Event,
    SafetyTripped,
    SirenSilenced,
    StationStateReported,
)

logger = logging.getLogger(__name__)


async def on_alarm_raised(session: AsyncSession, context: Ingested, event: AlarmRaised) -> None:
    """Open it."""
    await service.raise_alarm(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
        # What HQ found while taking in a batch has no place in that batch's stream.
        place=None if event.code in OF_HQ else _place(context, event),
    )


async def on_alarm_cleared(session: AsyncSession, context: Ingested, event: AlarmCleared) -> None:
    """Close it."""
    await service.clear_alarm(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
        place=_place(context, event),
    )


async def on_step(session: AsyncSession, context: Ingested, event: life.StepOnSite) -> None:
    """Note what was done about it on site."""
    await service.note_step(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
        place=_place(context, event),
    )


async def on_command_settled(
    session: AsyncSession, context: Ingested, event: CommandSettled
) -> None:
    """Take back what the station did not put aside."""
    await service.note_settled(
        session, station_id=context.station_id, event=event, now=context.received_at
    )


async def on_safety_tripped(session: AsyncSession, context: Ingested, event: SafetyTripped) -> None:
    """Keep it with its figures."""
    await trips.note_trip(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
    )


async def on_drill_finished(session: AsyncSession, context: Ingested, event: DrillFinished) -> None:
    """Keep it with what each output did."""
    await trips.note_drill(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
    )


async def on_state_reported(
    session: AsyncSession, context: Ingested, event: StationStateReported
) -> None:
    """Close what the station has forgotten; of two agents neither knows what the other has open."""
    if await is_twice(session, context.station_id):
        return
    closed = await service.close_forgotten(
        session, station_id=context.station_id, event=event, now=context.received_at
    )
    if closed:
        logger.warning(
            "alarms that the station has forgotten station=%s alarms=%d", context.station_no, closed
        )


def _place(context: Ingested, event: Event) -> Place:
    return Place(event.occurred_at, context.stream_id, context.seq)


HANDLERS: Handlers = {
    AlarmRaised: on_alarm_raised,
    AlarmCleared: on_alarm_cleared,
    AlarmAcknowledged: on_step,
    AlarmShelved: on_step,
    CommandSettled: on_command_settled,
    AlarmEscalated: on_step,
    SirenSilenced: on_step,
    SafetyTripped: on_safety_tripped,
    DrillFinished: on_drill_finished,
    StationStateReported: on_state_reported,
}
