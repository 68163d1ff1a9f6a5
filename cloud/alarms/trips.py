"""What the stations' safety did by itself: trips with their figures, and drills."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from cloud.alarms.models import Alarm, Drill, Trip
from shared.clock import to_ms
from shared.contracts.events import DrillFinished, SafetyTripped
from shared.ids import uuid7

AROUND = timedelta(minutes=1)
"""A trip and its alarm are of one moment, read twice from the clock."""
_SHOWN_MAX = 20
_FILLED_IN = ("zero_current_ms", "siren_us", "contactor_us")


async def note_trip(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: SafetyTripped,
    now: datetime,
) -> None:
    """Keep a trip; sent again with figures that were awaited, these are filled in.

    A figure that is there is never taken away again, and lists only grow, so that facts may
    come twice and in any order.
    """
    statement = insert(Trip).values(
        id=uuid7(to_ms(now)),
        operator_id=operator_id,
        station_id=station_id,
        trip_id=event.trip_id,
        cause=event.cause,
        object=event.object,
        zone=event.zone,
        connectors=[list(connector) for connector in event.connectors],
        stop_sent_us=event.stop_sent_us,
        siren_us=event.siren_us,
        contactors=list(event.contactors),
        contactor_us=event.contactor_us,
        zero_current_ms=event.zero_current_ms,
        drill=event.drill,
        at=event.occurred_at,
    )
    new = statement.excluded
    values: dict[str, Any] = {
        name: sa.func.coalesce(new[name], getattr(Trip, name)) for name in _FILLED_IN
    }
    values["stop_sent_us"] = sa.func.greatest(new.stop_sent_us, col(Trip.stop_sent_us))
    for name in ("connectors", "contactors"):
        old = getattr(Trip, name)
        longer = sa.func.jsonb_array_length(new[name]) > sa.func.jsonb_array_length(old)
        values[name] = sa.case((longer, new[name]), else_=old)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["operator_id", "station_id", "trip_id"], set_=values
        )
    )


async def note_drill(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: DrillFinished,
    now: datetime,
) -> None:
    """Keep a drill with what each output did. Repeating is harmless."""
    await session.execute(
        insert(Drill)
        .values(
            id=uuid7(to_ms(now)),
            operator_id=operator_id,
            station_id=station_id,
            drill_id=event.drill_id,
            by=event.by,
            ok=all(output.ok for output in event.outputs),
            outputs=msgspec.to_builtins(event.outputs),
            at=event.occurred_at,
        )
        .on_conflict_do_nothing()
    )


async def trips_of(session: AsyncSession, alarm: Alarm) -> Sequence[Trip]:
    """Return what a station's safety did about an alarm, oldest first."""
    conditions = [
        col(Trip.station_id) == alarm.station_id,
        col(Trip.cause) == alarm.code,
        col(Trip.object).in_((alarm.object, "")),
        col(Trip.at) >= alarm.raised_at - AROUND,
    ]
    if alarm.cleared_at is not None:
        conditions.append(col(Trip.at) <= alarm.cleared_at + AROUND)
    statement = select(Trip).where(*conditions).order_by(col(Trip.at)).limit(_SHOWN_MAX)
    return (await session.scalars(statement)).all()
