"""What is shown of an address never has its password."""

from __future__ import annotations

import pytest

from shared.urls import hide_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://user:secret@db/hq", "mysql://user:***@db/hq"),
        ("redis://:secret@cache:6379/0", "redis://:***@cache:6379/0"),
        ("redis://user:sec:r@/e t@cache/0", "redis://user:***@cache/0"),
        ("redis://user://secret@cache/0", "redis://user:***@cache/0"),
        ("postgresql:/user:secret@db", "postgresql:***@db"),
        ("user:secret@broker", "user:***@broker"),
        ("['redis://user:secret@cache']", "['redis://user:***@cache']"),
        ("redis://cache/0?password=secret&db=1", "redis://cache/0?password=***&db=1"),
        ("postgresql://db/hq?sslpassword=secret", "postgresql://db/hq?sslpassword=***"),
    ],
)
def test_a_password_is_hidden(text: str, shown: str) -> None:
    assert hide_password(text) == shown


@pytest.mark.parametrize(
    "text", ["", "redis://cache:6379/0", "postgresql://hq@/hq?host=/tmp/a", "no address"]
)
def test_the_rest_stays(text: str) -> None:
    assert hide_password(text) == text
