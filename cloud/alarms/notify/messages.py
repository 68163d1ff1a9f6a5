"""What a notice says: data for programs, and lines for people in zh or en. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from cloud.alarms.notify.models import NoticeKind
from cloud.alarms.rules import RANK, texts_of, worst
from cloud.web.texts import catalogue
from cloud.web.things import thing

if TYPE_CHECKING:
    from cloud.alarms.models import Alarm
    from cloud.protection.titles import Titles
    from cloud.stations.models import Station

SHOWN_MAX = 50
_KINDS = {
    NoticeKind.RAISED: ("告警", "Alarm"),
    NoticeKind.ESCALATED: ("升级: 无人确认的告警", "Escalation: nobody acknowledged"),
    NoticeKind.REMINDER: ("提醒: 无人确认的告警", "Reminder: nobody acknowledged"),
    NoticeKind.CLEARED: ("告警已消除", "Alarm cleared"),
    NoticeKind.TEST: ("通知测试", "Test notice"),
}
_SEVERITIES = {
    "critical": ("紧急", "Critical"),
    "major": ("重要", "Major"),
    "minor": ("次要", "Minor"),
    "info": ("提示", "Info"),
}


def message_of(
    kind: NoticeKind,
    alarms: Sequence[Alarm],
    station: Station | None,
    now: datetime,
    titles: Titles | None = None,
) -> dict[str, Any]:
    """Return what is sent, as data; the worst alarms first, at most fifty of `count`.

    `titles` are what people call the station's sensors and zones.
    """
    ordered = sorted(alarms, key=lambda alarm: (RANK[alarm.severity], alarm.raised_at))
    return {
        "type": f"alarm.{kind.value}",
        "at": _iso(now),
        "station": None
        if station is None
        else {
            "number": station.station_no,
            "name": {"zh": station.name_zh, "en": station.name_en},
            "time_zone": station.time_zone,
        },
        "severity": worst(alarm.severity for alarm in alarms).value if alarms else "info",
        "drill": bool(alarms) and all(alarm.drill for alarm in alarms),
        "count": len(alarms),
        "alarms": [_alarm(alarm, titles or {}) for alarm in ordered[:SHOWN_MAX]],
    }


def subject(message: dict[str, Any], language: str) -> str:
    """Return one line: a drill's mark, severity, station, the worst alarm, how many more."""
    zh = language == "zh"
    kind = NoticeKind(message["type"].removeprefix("alarm."))
    parts = []
    if message["drill"]:
        parts.append("[演练]" if zh else "[DRILL]")
    if message["alarms"]:
        parts.append(f"[{_SEVERITIES[message['severity']][0 if zh else 1]}]")
    parts.append(_KINDS[kind][0 if zh else 1])
    if station := message["station"]:
        parts.append(f"{station['name']['zh' if zh else 'en']} {station['number']}:")
    if message["alarms"]:
        parts.append(message["alarms"][0]["title"]["zh" if zh else "en"])
    if message["count"] > 1:
        parts.append(f"(+{message['count'] - 1})")
    # A station's own words may hold line ends, which would end the header of a mail.
    return " ".join(" ".join(parts).split())


def lines(message: dict[str, Any], language: str) -> list[str]:
    """Return the text: one alarm a paragraph, times on the station's clock."""
    zh = language == "zh"
    word = "zh" if zh else "en"
    station = message["station"]
    zone = ZoneInfo(station["time_zone"] if station else "UTC")
    text = [subject(message, language), ""]
    for alarm in message["alarms"]:
        at = datetime.fromisoformat(alarm["raised_at"]).astimezone(zone)
        severity = _SEVERITIES[alarm["severity"]][0 if zh else 1]
        drill = ("[演练] " if zh else "[DRILL] ") if alarm["drill"] else ""
        text += [
            f"{drill}{severity} · {alarm['title'][word]}",
            f"{alarm['place'][word]} · {at:%Y-%m-%d %H:%M:%S %Z}",
            alarm["advice"][word],
            "",
        ]
    if message["count"] > len(message["alarms"]):
        more = message["count"] - len(message["alarms"])
        text.append(f"另有 {more} 条" if zh else f"and {more} more")
    return text


def _alarm(alarm: Alarm, titles: Titles) -> dict[str, Any]:
    zh, en = (texts_of(alarm.code, alarm.params, chinese=chinese) for chinese in (True, False))
    return {
        "id": str(alarm.id),
        "code": alarm.code,
        "object": alarm.object,
        "place": {word: thing(texts, alarm.object, titles) for word, texts in catalogue().items()},
        "severity": alarm.severity.value,
        "drill": alarm.drill,
        "title": {"zh": zh.title, "en": en.title},
        "advice": {"zh": zh.advice, "en": en.advice},
        "raised_at": _iso(alarm.raised_at),
        "cleared_at": _iso(alarm.cleared_at) if alarm.cleared_at else None,
        "acknowledged_by": alarm.acknowledged_by,
    }


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")
