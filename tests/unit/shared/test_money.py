"""Exact arithmetic: half-up division and shares that add up."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.energy import format_kwh
from shared.money import divide_half_up, format_yuan, share_out

AMOUNTS = st.integers(0, 10**15)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(2675, 10, 268), (2665, 10, 267), (-5, 10, -1), (-4, 10, 0), (4, 10, 0), (0, 3, 0)],
)
def test_halves_go_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    assert divide_half_up(numerator, denominator) == expected


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_denominator_must_be_positive(denominator: int) -> None:
    with pytest.raises(ValueError, match="denominator"):
        divide_half_up(1, denominator)


@given(numerator=st.integers(-(10**18), 10**18), denominator=st.integers(1, 10**9))
def test_division_is_never_off_by_more_than_a_half(numerator: int, denominator: int) -> None:
    error = divide_half_up(numerator, denominator) - Fraction(numerator, denominator)
    assert abs(error) <= Fraction(1, 2)
    assert divide_half_up(-numerator, denominator) == -divide_half_up(numerator, denominator)


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [
        (10_000, [1, 1, 1], [3334, 3333, 3333]),
        (4321, [123456, 102345, 65432, 32109], [1650, 1368, 874, 429]),
        (2000, [3617, 1360], [1453, 547]),
        (5, [0, 0], [5, 0]),
        (0, [3, 4], [0, 0]),
    ],
)
def test_shares_go_by_largest_remainder(
    total: int, weights: list[int], expected: list[int]
) -> None:
    assert share_out(total, weights) == expected


@given(total=AMOUNTS, weights=WEIGHTS)
def test_shares_add_up_and_stay_within_one_of_exact(total: int, weights: list[int]) -> None:
    parts = share_out(total, weights)
    assert sum(parts) == total
    if any(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(total * weight, sum(weights))) < 1
            assert weight or part == 0


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [1, -1])])
def test_what_cannot_be_shared_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        share_out(total, weights)


def test_amounts_are_printed_exactly() -> None:
    assert [format_yuan(fen) for fen in (-1234, 5, 9137, 0)] == ["-12.34", "0.05", "91.37", "0.00"]
    assert [format_kwh(dwh) for dwh in (201234, -1, 0)] == ["20.1234", "-0.0001", "0.0000"]
