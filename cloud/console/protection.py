"""How all stations protect themselves, side by side: gathers, reads only."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.alarms import drills
from cloud.alarms.trip_list import last_trips
from cloud.protection.standing import Protected, Standing, protected_stations
from cloud.stations import lookup

if TYPE_CHECKING:
    from cloud.alarms.models import Drill, Trip
    from cloud.stations.models import Station


class StationRow(Struct, frozen=True, kw_only=True):
    """One station: whether it does what HQ wants, its last trip and its last drill."""

    station: Station
    protected: Protected
    trip: Trip | None
    drill: Drill | None
    drill_due: bool
    drill_running: bool


class Everywhere(Struct, frozen=True, kw_only=True):
    """All stations; those with something amiss first, then by number."""

    rows: list[StationRow]
    now: datetime

    def count(self, *standings: Standing) -> int:
        """Return how many stations stand so."""
        return sum(row.protected.standing in standings for row in self.rows)

    @property
    def due(self) -> int:
        """How many stations are to have a drill."""
        return sum(row.drill_due for row in self.rows)


_WORST_FIRST = (
    Standing.REFUSED,
    Standing.DIFFERS,
    Standing.WAITING,
    Standing.NOTHING,
    Standing.AGREES,
)


async def gather(session: AsyncSession, *, operator_id: UUID, now: datetime) -> Everywhere:
    """Return how the stations of an operator stand."""
    stations = await lookup.stations_of(session, operator_id)
    protected = await protected_stations(session, operator_id)
    trips = await last_trips(session, operator_id)
    had = await drills.last_drills(session, operator_id)
    due = await drills.stations_saying(session, operator_id, drills.DUE)
    running = await drills.stations_saying(session, operator_id, drills.RUNNING)
    rows = [
        StationRow(
            station=each,
            protected=protected.get(each.id, Protected(newest=None, row=None)),
            trip=trips.get(each.id),
            drill=had.get(each.id),
            drill_due=each.id in due,
            drill_running=each.id in running,
        )
        for each in stations
    ]
    rows.sort(key=lambda row: _WORST_FIRST.index(row.protected.standing))
    return Everywhere(rows=rows, now=now)
