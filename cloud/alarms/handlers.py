"""Facts about alarms."""

from __future__ import annotations

import logging

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms import life, service, trips
from cloud.ingest.handlers import Handlers, Ingested
from shared.contracts.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmShelved,
    DrillFinished,
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
    )


async def on_alarm_cleared(session: AsyncSession, context: Ingested, event: AlarmCleared) -> None:
    """Close it."""
    await service.clear_alarm(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
    )


async def on_alarm_acknowledged(
    session: AsyncSession, context: Ingested, event: AlarmAcknowledged
) -> None:
    """Note who saw it."""
    await life.note_acknowledged(
        session, station_id=context.station_id, event=event, now=context.received_at
    )


async def on_alarm_shelved(session: AsyncSession, context: Ingested, event: AlarmShelved) -> None:
    """Note that it was put aside on site."""
    await life.note_shelved(
        session, station_id=context.station_id, event=event, now=context.received_at
    )


async def on_alarm_escalated(
    session: AsyncSession, context: Ingested, event: AlarmEscalated
) -> None:
    """Note that nobody on site acknowledged it."""
    await life.note_escalated(
        session, station_id=context.station_id, event=event, now=context.received_at
    )


async def on_siren_silenced(session: AsyncSession, context: Ingested, event: SirenSilenced) -> None:
    """Note who switched its sound off."""
    await life.note_silenced(
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
    """Close what the station has forgotten."""
    closed = await service.close_forgotten(
        session, station_id=context.station_id, event=event, now=context.received_at
    )
    if closed:
        logger.warning(
            "alarms that the station has forgotten station=%s alarms=%d", context.station_no, closed
        )


HANDLERS: Handlers = {
    AlarmRaised: on_alarm_raised,
    AlarmCleared: on_alarm_cleared,
    AlarmAcknowledged: on_alarm_acknowledged,
    AlarmShelved: on_alarm_shelved,
    AlarmEscalated: on_alarm_escalated,
    SirenSilenced: on_siren_silenced,
    SafetyTripped: on_safety_tripped,
    DrillFinished: on_drill_finished,
    StationStateReported: on_state_reported,
}
