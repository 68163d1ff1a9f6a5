"""Days that people choose, as instants on a station's clock. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def read_day(text: str) -> date | None:
    """Return the day of `2026-11-22`, None for what is no day of this century."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    # Arithmetic with days near the calendar's ends leaves it.
    return day if 2000 <= day.year <= 2100 else None


def begin_of(text: str, zone: ZoneInfo) -> datetime | None:
    """Return when a day begins there, None for what is no day."""
    day = read_day(text)
    return None if day is None else datetime.combine(day, time(), zone)


def end_of(text: str, zone: ZoneInfo) -> datetime | None:
    """Return when the day after begins there, None for what is no day."""
    day = read_day(text)
    return None if day is None else datetime.combine(day + timedelta(days=1), time(), zone)
