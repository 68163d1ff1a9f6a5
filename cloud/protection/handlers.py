"""Facts about protection: what holds at a station, what it refused, who read an instruction."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.ingest.handlers import Handlers, Ingested
from cloud.protection import people, service
from shared.contracts.events import (
    CommandSettled,
    InstructionAcknowledged,
    ProtectionActivated,
    StationStateReported,
)


async def on_protection_activated(
    session: AsyncSession, context: Ingested, event: ProtectionActivated
) -> None:
    """Take it over; a station that is behind is sent the newest."""
    await service.note_activated(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        event=event,
        now=context.received_at,
    )


async def on_state_reported(
    session: AsyncSession, context: Ingested, event: StationStateReported
) -> None:
    """Send the PINs to a station that has older ones."""
    await people.heal_pins(
        session,
        operator_id=context.operator_id,
        station_id=context.station_id,
        reported=event.pins_version,
        now=context.received_at,
    )


async def on_command_settled(
    session: AsyncSession, context: Ingested, event: CommandSettled
) -> None:
    """Note a refusal."""
    await service.note_settled(session, station_id=context.station_id, event=event)


async def on_instruction_acknowledged(
    session: AsyncSession, context: Ingested, event: InstructionAcknowledged
) -> None:
    """Note who read it."""
    await people.note_instruction_acknowledged(session, station_id=context.station_id, event=event)


HANDLERS: Handlers = {
    ProtectionActivated: on_protection_activated,
    CommandSettled: on_command_settled,
    InstructionAcknowledged: on_instruction_acknowledged,
    StationStateReported: on_state_reported,
}
