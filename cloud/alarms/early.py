"""Facts about alarms of which HQ has not heard yet: kept until it does, then taken in.

Lanes are many, and a batch that was set aside is handled after those that came later.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, delete

from cloud.alarms.models import Alarm, Early, FormerId
from cloud.core.db import Sessions
from shared.clock import Clock
from shared.contracts.envelope import pack_events, unpack_events
from shared.contracts.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmShelved,
    SirenSilenced,
)

if TYPE_CHECKING:
    from datetime import datetime

KEPT = timedelta(days=400)
"""As long as the other evidence; a beginning that has not come by then does not come."""

Step = AlarmAcknowledged | AlarmShelved | AlarmEscalated | SirenSilenced | AlarmCleared


class Place(Struct, frozen=True):
    """Where a fact stands among those of its station: its batch, and the station's clock.

    Without a stream, for what HQ itself finds, only the clock counts.
    """

    at: datetime
    stream_id: int = 0
    seq: int = 0

    def is_before(self, alarm: Alarm, *, is_worse: bool) -> bool:
        """Whether something newer is known of an alarm than a beginning that may be worse.

        Facts of different streams, as after a lost disk, are as new as they come. In one batch
        the clock decides, but never against an alarm: it may have been set back meanwhile.
        """
        if self.stream_id != alarm.told_stream:
            return False
        if self.stream_id and self.seq == alarm.told_seq:
            return alarm.cleared_at is None and not is_worse and self.at < alarm.told_at
        return (self.seq, self.at) < (alarm.told_seq, alarm.told_at)

    def may_end(self, alarm: Alarm) -> bool:
        """Whether an alarm that is known by its cause alone is not newer than its end."""
        if self.stream_id != alarm.told_stream:
            return self.at >= alarm.told_at
        return (self.seq, self.at) >= (alarm.told_seq, alarm.told_at)


async def keep(
    session: AsyncSession,
    *,
    operator_id: UUID,
    station_id: UUID,
    event: Step,
    place: Place,
    now: datetime,
) -> None:
    """Keep a fact; of one kind the newest."""
    statement = insert(Early).values(
        station_id=station_id,
        alarm_id=event.alarm_id,
        kind=type(event).__name__,
        operator_id=operator_id,
        fact=pack_events((event,)),
        stream_id=place.stream_id,
        seq=place.seq,
        at=place.at,
        received_at=now,
    )
    new = statement.excluded
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["station_id", "alarm_id", "kind"],
            set_={name: new[name] for name in ("fact", "stream_id", "seq", "at")},
            where=sa.tuple_(new.seq, new.at) >= sa.tuple_(col(Early.seq), col(Early.at)),
        )
    )


async def take(session: AsyncSession, station_id: UUID, alarm_id: UUID) -> list[tuple[Step, Place]]:
    """Return what was kept of an alarm, the end last, and keep it no longer."""
    rows = await session.scalars(
        delete(Early)
        .where(col(Early.station_id) == station_id, col(Early.alarm_id) == alarm_id)
        .returning(Early)
    )
    found: list[tuple[Step, Place]] = []
    for row in rows.all():
        [fact] = unpack_events(row.fact)
        assert isinstance(fact, Step), "nothing else is kept"
        found.append((fact, Place(row.at, row.stream_id, row.seq)))
    return sorted(
        found, key=lambda each: (isinstance(each[0], AlarmCleared), each[1].seq, each[1].at)
    )


async def is_former(session: AsyncSession, station_id: UUID, alarm_id: UUID) -> bool:
    """Whether a station has given the same alarm another id since."""
    return await session.get(FormerId, (station_id, alarm_id)) is not None


async def purge_early(sessions: Sessions, clock: Clock) -> None:
    """Forget facts whose beginning never came."""
    async with sessions() as session, session.begin():
        await session.execute(delete(Early).where(col(Early.received_at) < clock.now() - KEPT))
