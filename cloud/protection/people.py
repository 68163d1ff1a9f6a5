"""People on site: who may act at the screen, and what HQ asks them to do."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec import Struct
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select, update

from cloud.core.commands import CommandRow, enqueue_command, find_command
from cloud.protection.models import Instruction, PinHolder
from cloud.protection.service import station_row
from shared.clock import to_ms
from shared.contracts.commands import Instruct, PublishPins
from shared.contracts.events import InstructionAcknowledged
from shared.contracts.protection import Pin
from shared.ids import uuid7

PIN_DIGITS = 6
SHOWN_FOR = timedelta(hours=24)
"""How long a station that is away is still to be told an instruction."""

_hasher = PasswordHash((Argon2Hasher(),))


class Wanted(Struct, frozen=True):
    """Somebody who is to have a PIN; `renew` gives a new one to who has one."""

    name: str
    role: str
    renew: bool = False


async def set_pins(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    wanted: Sequence[Wanted],
    by: str,
    now: datetime,
) -> Mapping[str, str]:
    """Replace who may act at a station's screen, and tell the station.

    Whoever is not named any more loses the PIN; whoever has one keeps it.

    Returns:
        The new PINs by name: shown once, kept nowhere.
    """
    row = await station_row(
        session, operator_id=operator_id, station_id=station_id, for_update=True
    )
    known = {holder.name: holder for holder in await pins_of(session, station_id)}
    hashes = [holder.hash for holder in known.values()]
    made: dict[str, str] = {}
    for each in wanted:
        holder = known.pop(each.name, None)
        if holder is not None and not each.renew:
            holder.role = each.role
            session.add(holder)
            continue
        made[each.name] = await _new_pin(hashes, made.values())
        hash_ = await asyncio.to_thread(_hasher.hash, made[each.name])
        if holder is None:
            holder = PinHolder(
                id=uuid7(to_ms(now)),
                operator_id=operator_id,
                station_id=station_id,
                name=each.name,
                role=each.role,
                hash=hash_,
                created_at=now,
                created_by=by,
            )
        holder.role, holder.hash = each.role, hash_
        holder.created_at, holder.created_by = now, by
        session.add(holder)
    for gone in known.values():
        await session.delete(gone)
    row.pins_version += 1
    session.add(row)
    await session.flush()
    await send_pins(session, operator_id=operator_id, station_id=station_id, now=now)
    return made


async def pins_of(session: AsyncSession, station_id: UUID) -> Sequence[PinHolder]:
    """Return who may act at a station's screen, by name."""
    statement = select(PinHolder).where(PinHolder.station_id == station_id)
    return (await session.scalars(statement.order_by(col(PinHolder.name)))).all()


async def send_pins(
    session: AsyncSession, *, operator_id: UUID, station_id: UUID, now: datetime
) -> None:
    """Send a station its PINs as they are; nothing where nobody ever set any."""
    row = await station_row(session, operator_id=operator_id, station_id=station_id)
    if not row.pins_version:
        return
    holders = await pins_of(session, station_id)
    row.pins_command_id = await enqueue_command(
        session,
        station_id,
        PublishPins(
            version=row.pins_version,
            pins=tuple(Pin(name=each.name, role=each.role, hash=each.hash) for each in holders),
        ),
        expires_at=None,
        now=now,
        replace_kind=True,
    )
    session.add(row)


async def heal_pins(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    reported: int,
    now: datetime,
) -> None:
    """Compare the version that a station says it has with HQ's, and send what it lacks.

    A station that is ahead knows an HQ that was restored from a copy: HQ counts on from there,
    so that its next change is taken.
    """
    row = await station_row(
        session, operator_id=operator_id, station_id=station_id, for_update=True
    )
    if reported > row.pins_version:
        row.pins_version = reported
        session.add(row)
    elif reported < row.pins_version:
        sent = await find_command(session, row.pins_command_id) if row.pins_command_id else None
        if sent is None or sent.settled_at is not None:
            await send_pins(session, operator_id=operator_id, station_id=station_id, now=now)


async def instruct(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    text_zh: str,
    text_en: str,
    by: str,
    now: datetime,
) -> Instruction:
    """Show people at a station what to do; within a day, afterwards it is pointless."""
    instruction = Instruction(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        text_zh=text_zh,
        text_en=text_en,
        by=by,
        created_at=now,
    )
    instruction.command_id = await enqueue_command(
        session,
        station_id,
        Instruct(instruction_id=instruction.id, text_zh=text_zh, text_en=text_en, by=by),
        expires_at=now + SHOWN_FOR,
        now=now,
    )
    session.add(instruction)
    await session.flush()
    return instruction


async def commands_of(
    session: AsyncSession, instructions: Sequence[Instruction]
) -> dict[UUID, CommandRow]:
    """Return by which command each instruction travels, by the instruction's id."""
    ids = {each.command_id: each.id for each in instructions if each.command_id is not None}
    rows = await session.scalars(select(CommandRow).where(col(CommandRow.id).in_(ids)))
    return {ids[row.id]: row for row in rows}


async def note_instruction_acknowledged(
    session: AsyncSession, *, station_id: UUID, event: InstructionAcknowledged
) -> None:
    """Note who on site has read an instruction; the first stands."""
    await session.execute(
        update(Instruction)
        .where(
            col(Instruction.id) == event.instruction_id,
            col(Instruction.station_id) == station_id,
            col(Instruction.acknowledged_at).is_(None),
        )
        .values(acknowledged_at=event.occurred_at, acknowledged_by=event.by)
    )


async def _new_pin(hashes: Collection[str], new: Collection[str]) -> str:
    """Return a PIN that nobody else at the station has: it alone says who acts."""
    while True:
        pin = f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"
        if pin not in new and not await asyncio.to_thread(_fits_any, pin, hashes):
            return pin


def _fits_any(pin: str, hashes: Collection[str]) -> bool:
    return any(_hasher.verify(pin, hash_) for hash_ in hashes)
