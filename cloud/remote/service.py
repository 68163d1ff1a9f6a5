"""Having stations and charge points do something. Functions take an open transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.access import service as access
from cloud.core.commands import CommandRow, enqueue_command, find_command
from cloud.orders import service as orders
from cloud.orders.rules import OrderState
from cloud.stations import lookup
from shared.contracts import commands as c
from shared.contracts.events import Token
from shared.contracts.words import RefusalReason

LIFE = timedelta(minutes=2)
"""Three tries of ten seconds fit in, and a link that comes back."""
CARDS_LIFE = timedelta(minutes=10)
"""Eleven cards go in a frame, and each frame waits for its answer."""
UPDATE_SLACK = timedelta(minutes=3)
_RUNNING = frozenset({OrderState.AUTHORISED, OrderState.STARTING, OrderState.CHARGING})
_CARDS = (c.SetOfflineCards, c.ClearOfflineCards, c.QueryOfflineCards)


async def command_charge_point(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_no: str,
    charge_point_no: str,
    command: c.AnyCommand,
    now: datetime,
) -> CommandRow:
    """Ask a station to have one of its charge points do something.

    Raises:
        StationNotFoundError, ChargePointNotFoundError: No such charge point.
    """
    station = await lookup.station_by_no(session, operator_id, station_no)
    await lookup.charge_point(session, station.id, charge_point_no)
    return await _enqueue(session, station.id, command, now + _life(command), now)


def _life(command: c.AnyCommand) -> timedelta:
    if isinstance(command, c.UpdateFirmware):
        return timedelta(minutes=command.timeout_min) + UPDATE_SLACK
    return CARDS_LIFE if isinstance(command, _CARDS) else LIFE


async def emergency_stop(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_no: str,
    charge_point_no: str,
    connector_no: int,
    reason: str,
    lift: bool,
    now: datetime,
) -> CommandRow:
    """Stop a connector, a charge point or a station and block it, or lift HQ's own block.

    A stop never expires: a station that is away carries it out when it is back.

    Raises:
        StationNotFoundError, ChargePointNotFoundError: No such place.
    """
    station = await lookup.station_by_no(session, operator_id, station_no)
    if connector_no:
        await lookup.connector(session, station.id, charge_point_no, connector_no)
    elif charge_point_no:
        await lookup.charge_point(session, station.id, charge_point_no)
    kind = c.ResetEmergencyStop if lift else c.EmergencyStop
    command = kind(charge_point_no=charge_point_no, connector_no=connector_no, reason=reason)
    return await _enqueue(session, station.id, command, now + LIFE if lift else None, now)


async def change_limit(
    session: AsyncSession, *, operator_id: UUID, order_id: UUID, limit_fen: int, now: datetime
) -> CommandRow:
    """Change what a running charge may cost; 0 is without limit, as far as its token has none.

    A lower limit counts once the station has taken it over (`note_limits`): until then the charge
    may cost what it might before.

    Raises:
        OrderNotFoundError: No such order.
        OrderOverError: It does not run.
        TokenRefusedError: Its token has less left.
    """
    order = await orders.locked_order(session, operator_id=operator_id, order_id=order_id)
    if order.transaction_id is None or order.state not in _RUNNING:
        raise orders.OrderOverError("this order does not run", state=order.state)
    if order.token_kind is not None:
        token = Token(order.token_kind, order.token_value)
        left_fen = await access.left_for(
            session,
            operator_id=operator_id,
            token=token,
            place=(order.station_id, order.charge_point_no, order.connector_no),
            beside_fen=order.limit_fen,
            now=now,
        )
        if left_fen is not None:
            limit_fen = limit_fen or left_fen
            if limit_fen > left_fen or left_fen <= 0:
                raise orders.TokenRefusedError(
                    "its token has less left",
                    reason=RefusalReason.LIMIT_REACHED,
                    left_fen=max(left_fen, 0),
                )
    await orders.set_limit(session, order, _looser(order.limit_fen, limit_fen), now=now)
    command = c.UpdateBalance(transaction_id=order.transaction_id, limit_fen=limit_fen)
    return await _enqueue(session, order.station_id, command, now + LIFE, now)


async def note_limits(session: AsyncSession, done: Mapping[UUID, datetime]) -> None:
    """Count running charges at the limits that their stations have taken over.

    Args:
        session: An open transaction.
        done: Commands that were carried out, of whatever kind, and when HQ heard so.
    """
    rows = await session.scalars(
        select(CommandRow)
        .where(
            col(CommandRow.id).in_(done),
            CommandRow.kind == c.UpdateBalance.__name__,
            col(CommandRow.settled_at).is_(None),
        )
        .order_by(col(CommandRow.station_id), col(CommandRow.id))
    )
    for row in rows.all():
        command = row.read_command()
        assert isinstance(command, c.UpdateBalance), "of this kind"
        order = await orders.order_of_transaction(
            session, station_id=row.station_id, transaction_id=command.transaction_id
        )
        if order is not None and order.state in _RUNNING:
            await orders.set_limit(session, order, command.limit_fen, now=done[row.id])


def _looser(one_fen: int, other_fen: int) -> int:
    return max(one_fen, other_fen) if one_fen and other_fen else 0


async def _enqueue(
    session: AsyncSession,
    station_id: UUID,
    command: c.AnyCommand,
    expires_at: datetime | None,
    now: datetime,
) -> CommandRow:
    command_id = await enqueue_command(session, station_id, command, expires_at=expires_at, now=now)
    row = await find_command(session, command_id)
    assert row is not None, "just written"
    return row
