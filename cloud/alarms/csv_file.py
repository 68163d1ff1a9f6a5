"""Alarms as CSV for spreadsheets, row by row: any number of them in little memory."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Alarm
from cloud.alarms.rules import texts_of
from cloud.core.db import Sessions
from cloud.web.texts import Texts, catalogue
from cloud.web.things import thing

if TYPE_CHECKING:
    from cloud.protection.titles import Titles
    from cloud.stations.models import Station

COLUMNS = (
    "id",
    "station_no",
    "station",
    "severity",
    "code",
    "title",
    "place",
    "object",
    "drill",
    "raised_at",
    "cleared_at",
    "acknowledged_at",
    "acknowledged_by",
    "shelved_until",
    "shelved_reason",
    "repeats",
    "escalation_level",
)
_ROWS_AT_ONCE = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def csv_lines(
    sessions: Sessions,
    statement: SelectOfScalar[Alarm],
    stations: Mapping[UUID, Station],
    titles: Mapping[UUID | None, Titles],
    *,
    chinese: bool,
) -> AsyncIterator[bytes]:
    """Yield a file: UTF-8 with its mark so that spreadsheets see Chinese, newest alarm first.

    Times are ISO 8601 on the station's clock, places what people call them: `titles` by station.
    """
    texts = catalogue()["zh" if chinese else "en"]
    yield b"\xef\xbb\xbf" + csv_line(COLUMNS)
    ordered = statement.order_by(col(Alarm.id).desc()).execution_options(yield_per=_ROWS_AT_ONCE)
    async with sessions() as session:
        async for alarm in await session.stream_scalars(ordered):
            station = stations.get(alarm.station_id) if alarm.station_id else None
            place = thing(texts, alarm.object, titles.get(alarm.station_id, {}))
            yield csv_line(_cells(alarm, station, place, texts))


def _cells(alarm: Alarm, station: Station | None, place: str, texts: Texts) -> tuple[str, ...]:
    zone = station.time_zone if station is not None else "UTC"
    return (
        str(alarm.id),
        station.station_no if station is not None else "",
        texts.name(station.name_zh, station.name_en) if station is not None else "",
        alarm.severity.value,
        alarm.code,
        texts_of(alarm.code, alarm.params, chinese=texts.chinese).title,
        place,
        alarm.object,
        "true" if alarm.drill else "false",
        csv_time(alarm.raised_at, zone),
        csv_time(alarm.cleared_at, zone),
        csv_time(alarm.acknowledged_at, zone),
        alarm.acknowledged_by,
        csv_time(alarm.shelved_until, zone),
        alarm.shelved_reason,
        str(alarm.repeats),
        str(alarm.escalation_level),
    )


def csv_time(at: datetime | None, zone: str) -> str:
    """Return an instant as ISO 8601 on a station's clock, "" for none."""
    if at is None:
        return ""
    return at.astimezone(UTC if zone == "UTC" else ZoneInfo(zone)).isoformat(timespec="seconds")


def csv_line(cells: tuple[str, ...]) -> bytes:
    """Return a line of a file that spreadsheets open."""
    text = io.StringIO()
    # A spreadsheet would run what looks like a formula.
    csv.writer(text).writerow([f"'{c}" if c.startswith(_FORMULA) else c for c in cells])
    return text.getvalue().encode()
