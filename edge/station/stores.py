"""What the station makes of trouble with its own files: alarms, and its state for a new file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge.journal import Change, Journal
from edge.station import alarms
from edge.station.effects import Effects
from shared.clock import from_ms
from shared.contracts.events import TelemetryDropped

if TYPE_CHECKING:
    from edge.station.core import Station


class StoreWatch:
    """Hears of the journal's and the telemetry's troubles."""

    def __init__(self, station: Station, journal: Journal) -> None:
        """Keep both; what the start itself found is in `at_start`."""
        self._station = station
        self._journal = journal
        self._recovered = journal.recovered
        self._refused = journal.refused

    def at_start(self, now_ms: int) -> Effects:
        """Return the alarms that hold at the start."""
        return self._alarms(now_ms)

    def on_journal_trouble(self) -> None:
        """The disk fails, works again, its file was broken and is a new one, or a fact parked."""
        station, now_ms = self._station, self._station.now().wall_ms
        effects = Effects()
        is_new = self._journal.recovered != self._recovered
        if is_new:
            self._recovered = self._journal.recovered
            effects.changes.extend(self._everything())
        effects.add(self._alarms(now_ms))
        station.perform(effects)
        if is_new:
            station.on_new_journal()

    def tick(self) -> Effects:
        """Store the whole state again when the journal had refused some, and has room now."""
        effects, journal = Effects(), self._journal
        if journal.refused != self._refused and not journal.failed and not self._station.crowded:
            self._refused = journal.refused
            effects.changes.extend(self._everything())
        return effects

    def on_telemetry_dropped(self, records: int, total: int) -> None:
        """The telemetry store had to drop its oldest."""
        now_ms = self._station.now().wall_ms
        effects = self._station.alarms.raise_alarm(
            "telemetry_dropped", alarms.STATION, now_ms, records=str(total)
        )
        effects.events.append(
            TelemetryDropped(occurred_at=from_ms(now_ms), records=records, total_records=total)
        )
        self._station.perform(effects)

    def _alarms(self, now_ms: int) -> Effects:
        reason = self._journal.failed or self._journal.recovered
        effects = self._alarm("storage_failed", now_ms, reason=reason or "")
        parked = self._journal.parked
        effects.add(self._alarm("fact_parked", now_ms, facts=str(parked or "")))
        return effects

    def _alarm(self, code: str, now_ms: int, **params: str) -> Effects:
        """Raise an alarm whose parameters say something, else clear it."""
        book = self._station.alarms
        if any(params.values()):
            return book.raise_alarm(code, alarms.STATION, now_ms, **params)
        return book.clear_alarm(code, alarms.STATION, now_ms)

    def _everything(self) -> Iterator[Change]:
        """Yield the whole state, for a store that is new and empty, or missed some of it."""
        station = self._station
        yield from station.latches.everything()
        yield from station.guard.everything()
        yield from station.book.everything()
        yield from station.alarms.everything()
        yield from station.protection.everything()
        yield from station.pins.everything()
        yield from station.instructions.everything()
        yield from station.registry.everything()
        yield from station.tariffs.everything()
        yield from station.access.everything()
        yield from station.starts.everything()
        yield from station.desk.everything()
