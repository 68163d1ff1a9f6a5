"""Alarm texts in the reader's language."""

from __future__ import annotations

import pytest

from cloud.alarms.rules import texts_of
from cloud.core.language import wants_chinese
from shared.contracts.alarm_codes import CATALOGUE


@pytest.mark.parametrize(
    ("header", "chinese"),
    [
        ("", False),
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("en-GB,en;q=0.9,zh;q=0.8", False),
        ("fr,zh;q=0.5", True),
        ("en;q=0.3,zh;q=0.7", True),
        ("zh;q=x,en", False),
        ("fr", False),
    ],
)
def test_the_first_known_language_wins(header: str, chinese: bool) -> None:
    assert wants_chinese(header) is chinese


def test_what_is_not_given_is_left_open() -> None:
    assert (
        texts_of("clock_offset", {"offset_s": "75"}, chinese=True).title == "充电桩时钟偏差 75 秒"
    )
    assert texts_of("clock_offset", {}, chinese=False).title == "Charge point clock off by … s"
    assert texts_of("clock_offset", {"offset_s": ""}, chinese=True).title == "充电桩时钟偏差 … 秒"
    # What comes from outside is no template.
    odd = {"offset_s": "{x}", "x": "y"}
    assert texts_of("clock_offset", odd, chinese=False).title.endswith("{x} s")


def test_a_code_of_a_newer_station_is_its_own_title() -> None:
    assert texts_of("brand_new", {}, chinese=True).title == "brand_new"


@pytest.mark.parametrize("code", sorted(CATALOGUE))
@pytest.mark.parametrize("chinese", [True, False])
def test_every_alarm_says_something(code: str, chinese: bool) -> None:
    texts = texts_of(code, {}, chinese=chinese)
    assert texts.title
    assert texts.advice
    assert "{" not in texts.title + texts.advice
