"""Whatever an agent may ever show, every screen can draw it: a screen that dies hides alarms."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from edge.kiosk.clean import printable
from edge.kiosk.ink import Frame, width_of
from edge.kiosk.look import Language, Look
from edge.kiosk.paint import alarm, page, trend, wall
from edge.kiosk.paint.keys import KeyHint
from edge.kiosk.palette import ASCII, SIXTEEN
from edge.kiosk.views import pages, sheets
from edge.kiosk.views.alarm import alarm_screen
from edge.kiosk.views.trend import trend as trend_view
from edge.kiosk.views.wall import page_count
from edge.kiosk.views.wall import wall as wall_view
from edge.view import StationView, TrendPoint

_YEAR_3000_MS = 32_503_680_000_000
_HINTS = (KeyHint("A", "OK", "acknowledge"),)
_LOOKS = st.sampled_from([Look(Language.ZH), Look(Language.EN), Look(Language.ZH, SIXTEEN, ASCII)])
_SIZES = st.sampled_from([(160, 45), (106, 30), (80, 24), (60, 20), (40, 10), (7, 2)])
_TEXTS = st.one_of(
    st.text(alphabet="aB3 充电桩。,", max_size=30),
    st.text(max_size=30),
    st.sampled_from(["", "\x1b[2J", "a\nb", "\u202eabc", "Asia/Shanghai", "0.1", "{x}"]),
)


def of(kind: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Return a strategy for a type as the view uses them."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(*(of(one, name) for one in inside))
    if origin is tuple:
        return st.lists(of(inside[0]), max_size=14 if name == "charge_points" else 4).map(tuple)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return struct(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if kind is int and name.endswith("_ms"):
        return st.integers(0, _YEAR_3000_MS)
    if kind is int:
        return st.integers(-10, 2**40)
    if kind is float:
        return st.floats(-1e6, 1e9, allow_nan=False)
    return {bool: st.booleans(), str: _TEXTS, type(None): st.none()}[kind]


def struct(kind: type[Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{name: of(hints[name], name) for name in kind.__struct_fields__})


STATIONS = struct(StationView)


def check(frame: Frame, size: tuple[int, int], look: Look) -> None:
    assert len(frame.lines) == size[1]
    for line in frame.lines:
        assert width_of(line) == size[0]
        assert all(span.text.isprintable() for span in line)
        assert look.signs.blocks or all(span.text.isascii() for span in line)


@pytest.mark.timeout(240)
@settings(max_examples=60, deadline=None)
@given(view=STATIONS, look=_LOOKS, size=_SIZES, stale=st.booleans(), index=st.integers(0, 20))
def test_every_screen_draws_every_station(
    view: StationView, look: Look, size: tuple[int, int], stale: bool, index: int
) -> None:
    view = printable(view, plain=not look.signs.blocks)
    for number in range(page_count(view)):
        shown = wall_view(view, look, page=number, stale=stale)
        check(wall.wall(shown, look, _HINTS, *size), size, look)
    calls = alarm_screen(view, look, stale=stale)
    if calls is not None:
        check(alarm.alarm(calls, look, _HINTS, size), size, look)
    texts = [
        pages.alarm_list(view, look, chosen=index, stale=stale),
        pages.system(view, look, stale=stale),
        sheets.responder(view, look, stale=stale),
        sheets.drill(view, look, stale=stale),
    ]
    texts += [
        pages.detail(view, look, entry.charge_point_no, chosen=index)
        for entry in view.charge_points[:2]
    ]
    texts += [sheets.instruction(view, look, entry) for entry in view.instructions[:1]]
    for text in texts:
        check(page.page(text, look, _HINTS, size, scroll=index), size, look)


@settings(max_examples=60, deadline=None)
@given(
    view=STATIONS,
    look=_LOOKS,
    size=_SIZES,
    steps=st.lists(struct(TrendPoint), max_size=20),
    index=st.integers(0, 20),
)
def test_every_curve_is_drawn(
    view: StationView, look: Look, size: tuple[int, int], steps: list[TrendPoint], index: int
) -> None:
    view = printable(view, plain=not look.signs.blocks)
    columns = trend.chart_columns(size[0])
    shown = trend_view(view, look, chosen=index, hours=6, points=steps, columns=columns)
    check(trend.trend(shown, look, _HINTS, size), size, look)


def test_a_name_cannot_command_the_terminal() -> None:
    assert printable("\x1b[2J站\u3000\u202e\n") == "[2J站   "
    assert printable("站 °C") == "站 °C"
