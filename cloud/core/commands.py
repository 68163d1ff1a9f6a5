"""Wishes to stations, as rows: written in the transaction that wants them, sent after it.

A row is published again and again until the station settles it or it expires; the publisher
lives in `cloud.ingest.publisher`.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from msgspec import MsgspecError, msgpack
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, Index, SQLModel, col, select, text

from cloud.core.columns import UtcDateTime, text_enum
from shared.clock import to_ms
from shared.contracts.commands import (
    AnyCommand,
    Command,
    PublishAccessList,
    PublishPins,
    UpdateFirmware,
)
from shared.contracts.envelope import CommandEnvelope, encode
from shared.contracts.words import Outcome
from shared.ids import uuid7

_encoder = msgpack.Encoder()
_decoder: msgpack.Decoder[AnyCommand] = msgpack.Decoder(AnyCommand)
_stations = sa.table(
    "stations_station", sa.column("id"), sa.column("operator_id"), sa.column("station_no")
)
"""Named, not imported: core stands below stations, as with a foreign key."""

TIME_SCALE = "time_scale"
"""Key in a session's `info`: how much faster than real the wall clock runs."""
_SECRETS: dict[str, dict[str, object]] = {
    UpdateFirmware.__name__: {"password": ""},
    PublishAccessList.__name__: {"entries": ()},
    PublishPins.__name__: {"pins": ()},
}
"""What of a command is not kept once it is over: passwords, and their hashes."""
CHANNEL = "core_command"
"""PostgreSQL channel that says a new command waits."""


class CommandRow(SQLModel, table=True):
    """One command and how it ended. `next_send_at` is empty once nothing is to be sent."""

    __tablename__ = "core_command"
    __table_args__ = (
        Index("ix_core_command_due", "next_send_at", postgresql_where=text("settled_at IS NULL")),
    )

    id: UUID = Field(primary_key=True)
    operator_id: UUID
    station_id: UUID = Field(foreign_key="stations_station.id", index=True)
    station_no: str
    kind: str
    command: bytes
    issued_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_send_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    sent: int = 0
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    outcome: Outcome | None = Field(default=None, sa_type=text_enum(Outcome))
    reason: str = ""
    answer: bytes = b""

    def read_command(self) -> AnyCommand:
        """Return the command itself."""
        command: AnyCommand = _decoder.decode(self.command)
        return command

    def settle(self, outcome: Outcome, reason: str, now: datetime) -> None:
        """Note how it ended; nothing is sent any more, and what was secret in it is forgotten."""
        self.settled_at, self.next_send_at = now, None
        self.outcome, self.reason = outcome, reason
        secrets = _SECRETS.get(self.kind)
        if secrets is None:
            return
        try:
            self.command = _encoder.encode(replace(self.read_command(), **secrets))
        except MsgspecError:
            # Of a version that nobody here reads: what is secret in it cannot be told apart.
            self.command = b""

    def envelope(self) -> bytes:
        """Return what goes on the wire."""
        return encode(
            CommandEnvelope(
                command_id=self.id,
                station_no=self.station_no,
                issued_at=self.issued_at,
                expires_at=self.expires_at,
                command=self.read_command(),
            )
        )


class UnknownStationError(LookupError):
    """A command for a station that is not there: a bug of the caller."""


async def enqueue_command(
    session: AsyncSession,
    station_id: UUID,
    command: Command,
    *,
    expires_at: datetime | None,
    now: datetime,
    command_id: UUID | None = None,
    replace_kind: bool = False,
) -> UUID:
    """Have a station told something, if and only if this transaction commits.

    Args:
        session: An open transaction; the caller commits.
        station_id: Whom to tell.
        command: What.
        expires_at: When it is pointless; None = never (stops, versioned data). Under a demo's
            fast clock the time left is stretched, because answers still take real seconds.
        now: HQ's time.
        command_id: The caller's own id, so that it can wait for the settlement.
        replace_kind: Unsettled older commands of this kind to this station are superseded:
            for versioned data, of which only the last matters.

    Raises:
        UnknownStationError: No such station.
    """
    found = (
        await session.execute(
            sa.select(_stations.c.operator_id, _stations.c.station_no).where(
                _stations.c.id == station_id
            )
        )
    ).one_or_none()
    if found is None:
        raise UnknownStationError(station_id)
    if expires_at is not None:
        expires_at = now + (expires_at - now) * session.info.get(TIME_SCALE, 1.0)
    kind = type(command).__name__
    if replace_kind:
        await _supersede(session, station_id, kind, now)
    row = CommandRow(
        id=command_id or uuid7(to_ms(now)),
        operator_id=found.operator_id,
        station_id=station_id,
        station_no=found.station_no,
        kind=kind,
        command=_encoder.encode(command),
        issued_at=now,
        expires_at=expires_at,
        next_send_at=now,
    )
    session.add(row)
    await session.flush()
    # NOTIFY is transactional: the publisher hears of it exactly when the row is there.
    await session.execute(sa.text(f"NOTIFY {CHANNEL}"))
    return row.id


async def settle_command(
    session: AsyncSession,
    *,
    station_id: UUID,
    command_id: UUID,
    outcome: Outcome,
    reason: str,
    answer: bytes,
    now: datetime,
) -> CommandRow | None:
    """Note how a command ended; the first word stands. None for one not of this station."""
    row = await session.scalar(
        select(CommandRow)
        .where(CommandRow.id == command_id, CommandRow.station_id == station_id)
        .with_for_update()
    )
    if row is None or row.settled_at is not None:
        return row
    row.settle(outcome, reason, now)
    row.answer = answer
    session.add(row)
    return row


async def confirm_command(
    session: AsyncSession, *, station_id: UUID, kind: str, charge_point_no: str, reason: str
) -> None:
    """Note that the newest command of a kind to a charge point had its effect after all.

    Its answer may have been only *accepted*, or lost with the link when the device restarted.
    """
    rows = await session.scalars(
        select(CommandRow)
        .where(
            CommandRow.station_id == station_id,
            CommandRow.kind == kind,
            col(CommandRow.outcome).in_([Outcome.ACCEPTED, Outcome.FAILED]),
        )
        .order_by(col(CommandRow.id).desc())
        .with_for_update()
    )
    for row in rows:
        if row.command and getattr(row.read_command(), "charge_point_no", "") == charge_point_no:
            row.outcome, row.reason = Outcome.DONE, reason
            session.add(row)
            return


async def find_command(session: AsyncSession, command_id: UUID) -> CommandRow | None:
    """Return a command with its outcome, if it has one yet."""
    return await session.get(CommandRow, command_id)


async def _supersede(session: AsyncSession, station_id: UUID, kind: str, now: datetime) -> None:
    older = await session.scalars(
        select(CommandRow)
        .where(
            CommandRow.station_id == station_id,
            CommandRow.kind == kind,
            col(CommandRow.settled_at).is_(None),
        )
        .order_by(col(CommandRow.id))
        .with_for_update()
    )
    for row in older:
        row.settle(Outcome.EXPIRED, "superseded", now)
        session.add(row)
