"""Numbers and times as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cloud.web import formats
from cloud.web.texts import catalogue

NOW = datetime(2026, 11, 22, 6, 3, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.kw(60_450), "60.5"),
        (formats.kw(49), "0.0"),
        (formats.kw(-1_250), "-1.3"),
        (formats.kwh(123_456), "12.35"),
        (formats.kwh(-50), "-0.01"),
        (formats.exact_kwh(201_234), "20.1234"),
        (formats.yuan(9_137), "¥91.37"),
        (formats.exact_yuan(91_368_251_331), "91.368251331"),
        (formats.e4_yuan(913_683), "¥91.3683"),
        (formats.price(123_456), "1.23456"),
        (formats.whole(0), "0"),
        (formats.tail("1234567890"), "…34567890"),
        (formats.tail("12345678"), "12345678"),
        (formats.masked("D14B0A54F1C2E3A4"), "…E3A4"),
        (formats.masked("123"), "…"),
        (formats.masked(""), ""),
    ],
)
def test_figures(shown: str, expected: str) -> None:
    assert shown == expected


def test_what_is_not_known_is_a_dash() -> None:
    dashes = {
        formats.kw(None),
        formats.kwh(None),
        formats.exact_kwh(None),
        formats.yuan(None),
        formats.exact_yuan(None),
        formats.e4_yuan(None),
        formats.price(None),
        formats.whole(None),
        formats.moment(None, "UTC"),
        formats.moment_s(None, "UTC"),
    }
    assert dashes == {"–"}


def test_times_are_the_stations() -> None:
    assert formats.moment(NOW, "Asia/Shanghai") == "11-22 14:03"
    assert formats.moment_s(NOW, "Asia/Shanghai") == "11-22 14:03:22"
    assert formats.full_moment(NOW, "Asia/Shanghai") == "2026-11-22 14:03:22+08:00 Asia/Shanghai"
    assert formats.full_moment(None, "Asia/Shanghai") == ""


@pytest.mark.parametrize(
    ("age", "english", "chinese"),
    [
        (timedelta(seconds=-3), "0 s ago", "0 秒前"),
        (timedelta(seconds=59), "59 s ago", "59 秒前"),
        (timedelta(minutes=3), "3 min ago", "3 分钟前"),
        (timedelta(hours=23), "23 h ago", "23 小时前"),
        (timedelta(days=2), "2 d ago", "2 天前"),
    ],
)
def test_ages(age: timedelta, english: str, chinese: str) -> None:
    texts = catalogue()
    assert formats.ago(NOW - age, NOW, texts["en"]) == english
    assert formats.ago(NOW - age, NOW, texts["zh"]) == chinese
    assert formats.ago(None, NOW, texts["en"]) == "never"
