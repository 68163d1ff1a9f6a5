"""Facts about transactions. Orders is the only slice that handles them."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import select

from cloud.ingest.handlers import Handlers, Ingested
from cloud.orders.facts import find_or_make_order, lock_orders
from cloud.orders.models import Order
from cloud.orders.settling import take_fact
from shared.contracts.events import (
    CommandSettled,
    TransactionAuthorized,
    TransactionEnded,
    TransactionEvent,
    TransactionResumed,
    TransactionStarted,
    TransactionStartFailed,
    TransactionUnreachable,
)


async def on_transaction_fact(
    session: AsyncSession, context: Ingested, event: TransactionEvent
) -> None:
    """Find or make the order and work it out anew from all that is known."""
    await lock_orders(session, context.station_id)
    order = await find_or_make_order(session, context, event)
    await take_fact(session, context, order, event)


async def on_command_settled(
    session: AsyncSession, context: Ingested, event: CommandSettled
) -> None:
    """Note how a remote start was settled; other commands are not ours."""
    wanted = select(Order.id).where(
        Order.start_command_id == event.command_id, Order.station_id == context.station_id
    )
    order_id = await session.scalar(wanted)
    if order_id is None:
        return
    await lock_orders(session, context.station_id)
    order = await session.get_one(Order, order_id, populate_existing=True)
    await take_fact(session, context, order, event)


HANDLERS: Handlers = {
    TransactionAuthorized: on_transaction_fact,
    TransactionStarted: on_transaction_fact,
    TransactionStartFailed: on_transaction_fact,
    TransactionUnreachable: on_transaction_fact,
    TransactionResumed: on_transaction_fact,
    TransactionEnded: on_transaction_fact,
    CommandSettled: on_command_settled,
}
