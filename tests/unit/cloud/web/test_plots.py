"""Small plots: what stands where, what is above the line, what is said of it."""

from __future__ import annotations

import pytest

from cloud.web.plots import HEIGHT, WIDTH, Value, plot


def test_the_first_stands_left_and_what_is_above_the_line_says_so() -> None:
    drawn = plot([Value(1.0), Value(None), Value(9.0, "late", hollow=True)], limit=5.0)
    first, last = drawn.dots
    assert first.x < last.x
    assert first.y > drawn.line_y > last.y
    assert [dot.over for dot in drawn.dots] == [False, True]
    assert (last.text, last.hollow) == ("late", True)
    assert (drawn.middle, drawn.worst, drawn.over) == (5.0, 9.0, 1)


def test_exactly_at_the_line_is_within() -> None:
    drawn = plot([Value(5.0)], limit=5.0)
    assert (drawn.over, drawn.dots[0].y) == (0, drawn.line_y)


def test_without_values_there_is_only_the_line() -> None:
    for values in ([], [Value(None)]):
        drawn = plot(values, limit=5.0)
        assert (drawn.dots, drawn.middle, drawn.worst) == ((), None, None)


@pytest.mark.parametrize("values", [[0.0], [-3.0, 0.0, 1e9], [5.0] * 60])
def test_all_of_it_stands_in_the_box(values: list[float]) -> None:
    drawn = plot([Value(value) for value in values], limit=5.0)
    for dot in drawn.dots:
        assert 0 <= dot.x <= WIDTH
        assert 0 <= dot.y <= HEIGHT
    assert 0 <= drawn.line_y <= HEIGHT
