"""What the station makes of danger after the engine acted: latches, alarms, facts of trips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.devices.chargers import reports as r
from edge.journal import Journal
from edge.safety import latches as latch_book
from edge.safety.engine import Trip
from edge.safety.ladder import Confirmed, NotConfirmed
from edge.safety.latches import Latch, Latches
from edge.station import alarms
from edge.station.effects import Effects
from shared.clock import from_ms
from shared.contracts import events as e

if TYPE_CHECKING:
    from edge.station.core import Station


class Guard:
    """Blocks and releases places; tells what tripped and how the stops ended."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._trips: dict[tuple[str, int], Trip] = {}

    # Blocking

    def release(self, latch: Latch, now: r.Moment, reason: str = "", by: str = "") -> Effects:
        """Lift a latch and clear its alarm; `reason` is what a person (`by`) said."""
        effects = Effects()
        change = self._station.latches.release(latch)
        if change is None:
            return effects
        effects.changes.append(change)
        place = latch.place
        subject = alarms.connector(*place) if place[0] else alarms.STATION
        clear = self._station.alarms.clear_alarm
        effects.add(clear(latch.cause, subject, now.wall_ms, reason, by))
        effects.add(self._show_latches(now))
        return effects

    def block(self, latch: Latch, now: r.Moment) -> Effects:
        """Set a latch and show it on everything that it blocks."""
        effects = Effects()
        effects.changes.append(self._station.latches.set(latch))
        effects.add(self._show_latches(now))
        return effects

    def _show_latches(self, now: r.Moment) -> Effects:
        effects = Effects()
        live, latches = self._station.live, self._station.latches
        for entry in live.all():
            latched = latches.blocks(entry.connector) is not None
            if latched is not entry.latched:
                effects.add(live.on_latch(entry.connector, now, latched=latched))
        return effects

    # Safety

    def on_trip(self, trip: Trip) -> None:
        """Latch, tell and raise; the engine has written the stop frame already."""
        station = self._station
        self._trips[trip.connector] = trip
        wall_ms = trip.at.wall_ms
        latch = Latch(*trip.connector, trip.cause, wall_ms, until_unplugged=True)
        effects = self.block(latch, trip.at)
        if running := station.book.on_connector(trip.connector):
            others = [t for t in station.book.group(running) if t is not running]
            effects.wishes.extend(w for other in others for w in station.book.stop(other).wishes)
        effects.events.append(_trip_event(trip, None))
        effects.add(
            station.alarms.raise_alarm(
                trip.cause,
                alarms.connector(*trip.connector),
                wall_ms,
                temperature_c=trip.detail,
                condition=trip.detail,
            )
        )
        station.perform(effects)

    def on_confirmed(self, confirmed: Confirmed) -> None:
        """Current was seen to be zero after a stop."""
        station = self._station
        place, now_ms = alarms.connector(*confirmed.connector), station.now().wall_ms
        effects = station.alarms.clear_alarm("stop_not_confirmed", place, now_ms)
        trip = self._trips.pop(confirmed.connector, None)
        if trip is not None and trip.cause == confirmed.cause:
            effects.events.append(_trip_event(trip, confirmed.zero_current_ms))
        station.perform(effects)

    def on_not_confirmed(self, failed: NotConfirmed) -> None:
        """The ladder came to its end and current still flows."""
        station = self._station
        place, now_ms = alarms.connector(*failed.connector), station.now().wall_ms
        station.perform(station.alarms.raise_alarm("stop_not_confirmed", place, now_ms))


def load_latches(journal: Journal) -> Latches:
    """Return the stored latches; after damage, with one that blocks the station."""
    damaged = journal.damaged
    latches = Latches(journal.load(latch_book.KIND), trusted=journal.clean)
    if journal.damaged > damaged:
        latches.distrust()
    return latches


def _trip_event(trip: Trip, zero_current_ms: int | None) -> e.SafetyTripped:
    return e.SafetyTripped(
        occurred_at=from_ms(trip.at.wall_ms),
        trip_id=trip.trip_id,
        cause=trip.cause,
        connectors=(trip.connector,),
        stop_sent_us=trip.stop_sent_us,
        zero_current_ms=zero_current_ms,
    )
