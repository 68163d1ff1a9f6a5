"""Facts about transactions. Orders is the only slice that handles them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.ingest.handlers import Handlers, Together
from cloud.orders.book import Items, open_book
from cloud.orders.models import Order
from cloud.orders.settling import take_fact
from shared.contracts.events import (
    CommandSettled,
    TransactionAuthorized,
    TransactionEnded,
    TransactionFramesLogged,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)


async def on_facts(session: AsyncSession, items: Items) -> None:
    """Find or make the orders and work each out anew from all that is known."""
    items = await _ours(session, items)
    if not items:
        return
    with session.no_autoflush:
        book = await open_book(session, items)
        for context, event in items:
            if isinstance(event, CommandSettled):
                story = book.by_command(context, event.command_id)
            else:
                story = book.find_or_make(context, event)
            if story is not None:
                await take_fact(book, context, story, event)
        await book.write()


async def _ours(session: AsyncSession, items: Items) -> Items:
    """Leave out commands that started no order."""
    command_ids = [event.command_id for _, event in items if isinstance(event, CommandSettled)]
    if not command_ids:
        return items
    known = col(Order.start_command_id) == sa.any_(sa.literal(command_ids, sa.ARRAY(sa.Uuid)))
    ours = set(await session.scalars(select(Order.start_command_id).where(known)))
    return [
        (context, event)
        for context, event in items
        if not isinstance(event, CommandSettled) or event.command_id in ours
    ]


_HANDLER = Together(on_facts)
HANDLERS: Handlers = {
    TransactionAuthorized: _HANDLER,
    TransactionStarted: _HANDLER,
    TransactionStartFailed: _HANDLER,
    TransactionUnreachable: _HANDLER,
    TransactionResumed: _HANDLER,
    TransactionEnded: _HANDLER,
    TransactionFramesLogged: _HANDLER,
    CommandSettled: _HANDLER,
}
