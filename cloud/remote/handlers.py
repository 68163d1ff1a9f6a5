"""Facts about what staff had stations do."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from cloud.ingest.handlers import Handlers, Together
from cloud.orders.book import Items
from cloud.remote import service
from shared.contracts.events import CommandSettled
from shared.contracts.words import Outcome


async def on_commands_settled(session: AsyncSession, items: Items) -> None:
    """Count limits as stations have taken them over.

    All together, and so before the commands are noted as settled: only the first word counts.
    """
    done = {
        event.command_id: context.received_at
        for context, event in items
        if isinstance(event, CommandSettled) and event.outcome is Outcome.DONE
    }
    if done:
        await service.note_limits(session, done)


HANDLERS: Handlers = {CommandSettled: Together(on_commands_settled)}
