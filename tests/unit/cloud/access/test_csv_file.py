"""Tokens as CSV: what is wrong is said by line and column; what is written can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from cloud.access.csv_file import InvalidFileError, header_line, read_tokens, token_line
from cloud.access.models import AccessToken
from shared.contracts.words import TokenKind

NOW = datetime(2026, 11, 22, tzinfo=UTC)
CARD = "D14B0A54F1C2E3A4"


def wrong(text: str | bytes) -> list[tuple[int, str]]:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(InvalidFileError) as caught:
        read_tokens(data)
    assert caught.value.context["error_count"] >= len(caught.value.context["errors"])
    return [(each["line"], each["column"]) for each in caught.value.context["errors"]]


def test_each_wrong_cell_is_named() -> None:
    rows = (
        "kind,value,limit_fen,frozen,expires_at,password_md5\n"
        f"card,{CARD},100,no,,\n"
        "card,12,,,,\n"
        "moon,x,,,,\n"
        "account,a,-5,perhaps,2027-01-01T00:00:00,zz\n"
        f"card,{CARD.lower()},,,,\n"
        "account,b,1,yes,2027-01-01T00:00:00Z,,,surplus\n"
    )
    assert wrong(rows) == [
        (3, "value"),
        (4, "kind"),
        (5, "frozen"),
        (5, "limit_fen"),
        (5, "expires_at"),
        (5, "password_md5"),
        (6, "value"),
        (7, ""),
    ]


@pytest.mark.parametrize(
    ("data", "places"),
    [
        ("", [(1, "kind"), (1, "value")]),
        ("kind,number\n", [(1, "value"), (1, "number")]),
        (b"kind,value\ncard,\xff\n", [(2, "")]),
        ('kind,value\ncard,"x\n', [(2, "")]),
        (b"x" * (8 * 1024 * 1024 + 1), [(1, "")]),
        ("kind,value\n" + "account,\n" * 300, [(line, "value") for line in range(2, 102)]),
    ],
)
def test_files_that_are_none(data: str | bytes, places: list[tuple[int, str]]) -> None:
    assert wrong(data) == places


def test_what_is_written_can_be_read() -> None:
    token = AccessToken(
        id=UUID(int=1),
        operator_id=UUID(int=2),
        kind=TokenKind.ACCOUNT,
        value="@fleet",
        holder='=HYPERLINK("x"), 张三',
        limit_fen=500,
        expires_at=NOW,
        created_at=NOW,
        updated_at=NOW,
    )
    text = (header_line() + token_line(token, ["1001", "1002"], 7)).decode()
    assert text.startswith("\ufeffkind,value")
    assert "password" not in text
    assert ",=" not in text
    [row] = read_tokens(text.encode())
    assert (row.line, row.token.value, row.token.holder) == (2, "@fleet", token.holder)
    assert (row.token.limit_fen, row.token.expires_at) == (500, NOW)
    assert row.token.station_nos == ["1001", "1002"]
    assert "password_md5" not in row.given
    assert "frozen" in row.given
