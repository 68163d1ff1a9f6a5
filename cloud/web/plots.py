"""Small plots: values in a row as dots over a line that they should stay below. Pure.

`web/plot.html` draws them; units are those of its view box.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

WIDTH, HEIGHT = 320, 96
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 8, 8


class Value(Struct, frozen=True):
    """One value, None where there is none; `text` is said of it, `hollow` marks what was tried."""

    value: float | None
    text: str = ""
    hollow: bool = False


class Dot(Struct, frozen=True, kw_only=True):
    """Where a value stands."""

    x: float
    y: float
    text: str
    hollow: bool
    over: bool


class Plot(Struct, frozen=True, kw_only=True):
    """A plot: dots, where the line is, and what can be said in words."""

    dots: tuple[Dot, ...]
    line_y: float
    limit: float
    middle: float | None
    worst: float | None
    over: int
    width: int = WIDTH
    height: int = HEIGHT


def plot(values: Sequence[Value], *, limit: float) -> Plot:
    """Return a plot of values, the first at the left, from 0 to whatever is the highest."""
    known = [each.value for each in values if each.value is not None]
    top = max([limit, *known]) * 1.1
    inner_w, inner_h = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    step = inner_w / max(len(values) - 1, 1)

    def y_of(value: float) -> float:
        return round(_TOP + inner_h * (1 - max(value, 0) / top), 1)

    dots = tuple(
        Dot(
            x=round(_LEFT + place * step, 1),
            y=y_of(each.value),
            text=each.text,
            hollow=each.hollow,
            over=each.value > limit,
        )
        for place, each in enumerate(values)
        if each.value is not None
    )
    return Plot(
        dots=dots,
        line_y=y_of(limit),
        limit=limit,
        middle=median(known) if known else None,
        worst=max(known, default=None),
        over=sum(dot.over for dot in dots),
    )
