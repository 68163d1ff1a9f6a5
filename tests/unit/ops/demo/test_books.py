"""Comparing books: one altered figure in any of the three is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ops.demo.books import Comparison, Entry, compare

BOOK = [Entry(f"T{number}", 10_000 + number, 100 + number) for number in range(5)]


def test_equal_books_are_ok_in_any_order() -> None:
    result = compare(BOOK, BOOK[::-1], BOOK[2:] + BOOK[:2])

    assert result == Comparison(transactions=5, orders=5)
    assert result.ok


@pytest.mark.parametrize("book", [0, 1, 2])
@pytest.mark.parametrize(
    "change", [{"payable_fen": 104}, {"payable_fen": None}, {"energy_dwh": 10_004}]
)
def test_one_altered_figure_in_any_book_is_a_mismatch(book: int, change: dict[str, Any]) -> None:
    books = [list(BOOK) for _ in range(3)]
    books[book][3] = replace(BOOK[3], **change)

    result = compare(*books)

    assert not result.ok
    assert [line.split(":")[0] for line in result.mismatches] == ["T3"]


@pytest.mark.parametrize("book", [1, 2])
def test_a_transaction_that_station_or_hq_lacks_is_lost(book: int) -> None:
    books = [list(BOOK) for _ in range(3)]
    del books[book][0]

    result = compare(*books)

    assert (result.ok, result.lost) == (False, ("T0",))


@pytest.mark.parametrize("book", [0, 1, 2])
def test_a_transaction_twice_is_duplicated(book: int) -> None:
    books = [list(BOOK) for _ in range(3)]
    books[book].append(BOOK[1])

    result = compare(*books)

    assert (result.ok, result.duplicated) == (False, ("T1",))


@pytest.mark.parametrize("book", [1, 2])
def test_a_transaction_that_no_charge_point_made_is_unknown(book: int) -> None:
    books = [list(BOOK) for _ in range(3)]
    books[book].append(Entry("X", 1, 1))

    result = compare(*books)

    assert (result.ok, result.unknown) == (False, ("X",))
