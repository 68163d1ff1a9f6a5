"""What notices say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from uuid import UUID

from cloud.alarms.models import Alarm
from cloud.alarms.notify.messages import SHOWN_MAX, lines, message_of, subject
from cloud.alarms.notify.models import NoticeKind
from cloud.alarms.notify.senders import signature
from cloud.stations.models import Station
from shared.contracts.words import Severity

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
STATION = Station(
    id=UUID(int=1),
    operator_id=UUID(int=2),
    station_no="S-1",
    name_zh="一号站",
    name_en="Station one",
    time_zone="Asia/Shanghai",
    secret_hash="",
    created_at=NOW,
)


def alarm(number: int, code: str, severity: Severity, *, drill: bool = False) -> Alarm:
    return Alarm(
        id=UUID(int=number),
        operator_id=UUID(int=2),
        station_id=UUID(int=1),
        alarm_id=UUID(int=number),
        code=code,
        object="zone:A",
        severity=severity,
        drill=drill,
        raised_at=NOW,
        received_at=NOW,
        notify_from=NOW,
    )


def test_the_worst_comes_first_in_both_languages() -> None:
    alarms = [alarm(1, "door_open", Severity.MINOR), alarm(2, "smoke", Severity.CRITICAL)]
    message = message_of(NoticeKind.RAISED, alarms, STATION, NOW)
    assert subject(message, "en") == "[Critical] Alarm Station one S-1: Smoke (+1)"
    assert subject(message, "zh") == "[紧急] 告警 一号站 S-1: 烟雾报警 (+1)"
    text = lines(message, "zh")
    assert "区域 A · 2026-11-22 14:00:00 CST" in text
    assert any("拨打 119" in line for line in text)


def test_places_have_the_names_that_people_know() -> None:
    titles = {"zone:A": ("东侧", "East"), "sensor:t1": ("变压器", "Transformer")}
    places = {
        "zone:A": ("东侧", "East"),
        "sensor:t1/oil": ("变压器 · oil", "Transformer · oil"),
        "sensor:t2": ("传感器 t2", "Sensor t2"),
        "connector:32010600019236:1": ("充电枪 …019236 1号枪", "Connector …019236 #1"),
        "charge_point:32010600019236": ("充电桩 …019236", "Charge point …019236"),
        "station": ("场站", "Station"),
        "brand_new:x:y": ("brand_new x · y", "brand_new x · y"),
    }
    for object_, (zh, en) in places.items():
        one = alarm(1, "smoke", Severity.CRITICAL)
        one.object = object_
        message = message_of(NoticeKind.RAISED, [one], STATION, NOW, titles)
        [told] = message["alarms"]
        # Programs go by the object, people by the place.
        assert (told["object"], told["place"]) == (object_, {"zh": zh, "en": en})
        assert any(line.startswith(f"{zh} · ") for line in lines(message, "zh"))
        assert any(line.startswith(f"{en} · ") for line in lines(message, "en"))


def test_a_drill_is_marked_and_many_are_counted() -> None:
    many = [alarm(n, "siren_drill", Severity.INFO, drill=True) for n in range(1, SHOWN_MAX + 9)]
    message = message_of(NoticeKind.RAISED, many, STATION, NOW)
    assert subject(message, "en").startswith("[DRILL] [Info]")
    assert (len(message["alarms"]), message["count"]) == (SHOWN_MAX, SHOWN_MAX + 8)
    assert lines(message, "en")[-1] == "and 8 more"
    mixed = message_of(
        NoticeKind.RAISED, [*many, alarm(99, "smoke", Severity.CRITICAL)], STATION, NOW
    )
    assert mixed["drill"] is False


def test_receivers_can_check_who_sent_it() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    headers = signature("whsec_" + base64.b64encode(key).decode(), UUID(int=3), 1700000000, b"{}")
    signed = f"{UUID(int=3)}.1700000000.{{}}".encode()
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"


def test_a_stations_words_end_no_header() -> None:
    odd = alarm(1, "smoke", Severity.CRITICAL)
    odd.code = "self_test"
    odd.params = {"channel": "x\r\nBcc: all@example.com"}
    line = subject(message_of(NoticeKind.RAISED, [odd], STATION, NOW), "en")
    assert "\n" not in line
    assert "\r" not in line
