"""Facts about alarms."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms import service
from cloud.ingest.handlers import Handlers, Ingested
from shared.contracts.events import AlarmCleared, AlarmRaised, SafetyTripped


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
        session, operator_id=context.operator_id, station_id=context.station_id, event=event
    )


async def on_safety_tripped(session: AsyncSession, context: Ingested, event: SafetyTripped) -> None:
    """Keep it with its figures."""
    await service.note_trip(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
    )


HANDLERS: Handlers = {
    AlarmRaised: on_alarm_raised,
    AlarmCleared: on_alarm_cleared,
    SafetyTripped: on_safety_tripped,
}
