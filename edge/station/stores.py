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
        self._lost = journal.lost
        self._report_owed = False

    def at_start(self, now_ms: int) -> Effects:
        """Return the alarms that hold at the start."""
        effects = self._alarms(now_ms)
        if self._lost:
            effects.add(self._alarm("facts_lost", now_ms, facts=str(self._lost)))
        return effects

    def on_journal_trouble(self) -> None:
        """The disk fails, works again, its file was broken and is a new one, or a fact parked."""
        station, now_ms = self._station, self._station.now().wall_ms
        effects = Effects()
        is_new = self._journal.recovered != self._recovered
        if is_new:
            self._recovered = self._journal.recovered
            effects.changes.extend(self._everything())
            effects.events.extend(station.alarms.raised_anew())
        effects.add(self._alarms(now_ms))
        station.perform(effects)
        if is_new:
            station.on_new_journal()

    def report(self) -> None:
        """Tell HQ how everything is; while the disk fails it is told once, when it works again."""
        if self._journal.failed:
            self._report_owed = True
        else:
            self._station.tell(self._station.state_report())

    def tick(self) -> Effects:
        """Show what was lost; store and tell everything again once there is room."""
        effects, journal, now_ms = Effects(), self._journal, self._station.now().wall_ms
        has_lost = journal.lost != self._lost
        if has_lost:
            effects.add(self._alarm("facts_lost", now_ms, facts=str(journal.lost)))
        if journal.failed or self._station.crowded:
            return effects
        if journal.refused != self._refused:
            self._refused, self._report_owed = journal.refused, True
            effects.changes.extend(self._everything())
        if has_lost:
            # The first time it may have been lost like the others: HQ gets the whole number now.
            self._lost = journal.lost
            effects.add(self._station.alarms.clear_alarm("facts_lost", alarms.STATION, now_ms))
            effects.events.extend(self._station.alarms.raised_anew())
            effects.add(self._alarm("facts_lost", now_ms, facts=str(journal.lost)))
        if self._report_owed:
            self._report_owed = False
            effects.events.append(self._station.state_report())
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
