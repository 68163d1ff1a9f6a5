"""Alarms as CSV for spreadsheets, row by row: any number of them in little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import col
from sqlmodel.sql.expression import SelectOfScalar

from cloud.alarms.models import Alarm
from cloud.alarms.rules import texts_of
from cloud.core.csv_export import MARK, csv_line, csv_time, parts_of
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
    yield MARK + csv_line(COLUMNS)
    async for alarms in parts_of(sessions, statement, col(Alarm.id)):
        for alarm in alarms:
            station = stations.get(alarm.station_id) if alarm.station_id else None
            place = thing(texts, alarm.object, titles.get(alarm.station_id, {}))
            yield csv_line(_cells(alarm, station, place, texts))


def _cells(alarm: Alarm, station: Station | None, place: str, texts: Texts) -> tuple[str, ...]:
    zone = ZoneInfo(station.time_zone if station is not None else "UTC")
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
