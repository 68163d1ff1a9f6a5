"""The trend page: points on the left, the curve of one of them in block characters."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from edge.kiosk.ink import Frame, Hit, Line, Span, apart, beside, cut, fill, sized, stack
from edge.kiosk.look import Look
from edge.kiosk.paint.keys import KeyHint, keys
from edge.kiosk.paint.page import title_lines
from edge.kiosk.views.page import ink_of
from edge.kiosk.views.trend import ChartView, TrendView

_AXIS = 10
_SHORT_WORD = 2
_LIST_SHARE, _LIST_MAX = 3, 40


def list_width(width: int) -> int:
    """Return the width of the list of points."""
    return min(_LIST_MAX, width // _LIST_SHARE)


def chart_columns(width: int) -> int:
    """Return how many columns the curve has on a terminal of this width."""
    return max(1, width - list_width(width) - _AXIS - 2)


def trend(view: TrendView, look: Look, hints: Sequence[KeyHint], size: tuple[int, int]) -> Frame:
    """Return the page in exactly this size (width, height)."""
    width, height = size
    ink = look.palette.text
    head = title_lines(view.title, "", view.warning, look, width)
    foot = keys(hints, width, look.palette.card)
    room = max(0, height - len(head) - 1)
    left = list_width(width)
    parts = (_list(view, look, left, room), _curve(view, look, width - left, room))
    body = sized(beside(parts, (left, width - left)), width, room, ink)
    return sized(stack((Frame(tuple(head)), body, foot)), width, height, ink)


def _list(view: TrendView, look: Look, width: int, height: int) -> Frame:
    first = max(0, view.chosen - height + 1)
    lines: list[Line] = []
    hits = []
    for index, point in enumerate(view.points[first : first + height], first):
        ground = look.palette.chosen if index == view.chosen else look.palette.text
        ink = ground if index == view.chosen else ink_of(point.tone, look.palette)
        name = shortened(point.device, point.name, max(4, width - cell_len(point.value) - 3))
        value = Span(f"{point.value} ", ink)
        lines.append(apart((Span(f" {name}", ground),), (value,), width, ground))
        hits.append(Hit(0, index - first, width, 1, f"choose({index})"))
    return sized(Frame(tuple(lines), tuple(hits)), width, height, look.palette.text)


def shortened(device: str, name: str, width: int) -> str:
    """Return a title in at most `width` cells; what tells it from its neighbours goes last.

    Of the device its last short word stays (the A of `Smoke detector A`), then its beginning.
    """
    room = width - cell_len(name) - 1
    if not device or room < 1:
        return cut(name, width)
    if cell_len(device) <= room:
        return f"{device} {name}"
    start, _, last = device.rpartition(" ")
    if start and cell_len(last) <= _SHORT_WORD < room - cell_len(last):
        return f"{cut(start, room - cell_len(last) - 1)} {last} {name}"
    return f"{cut(device, room)} {name}"


def _curve(view: TrendView, look: Look, width: int, height: int) -> Frame:
    colours = look.palette
    lines: list[Line] = [
        (Span(f"  {cut(view.summary, width - 3)}", colours.head._replace(bg=colours.text.bg)),),
        (),
    ]
    if view.chart is None:
        lines.append((Span(f"  {view.message}", colours.dim),))
    else:
        lines += chart(view.chart, look, height - 4)
        lines.append(_times(view.chart, look, width))
    return sized(Frame(tuple(lines)), width, height, colours.text)


def chart(view: ChartView, look: Look, height: int) -> list[Line]:
    """Return the curve as columns of eighths, with its highest and lowest value beside it."""
    steps = look.signs.steps
    lines: list[Line] = []
    for y in range(height):
        floor = height - 1 - y
        label = view.top if y == 0 else view.bottom if y == height - 1 else ""
        cells = "".join(_cell(column, floor, height, steps) for column in view.columns)
        lines.append(
            (Span(f"{label:>{_AXIS - 1}} ", look.palette.dim), Span(cells, look.palette.busy))
        )
    return lines


def _cell(column: tuple[float, float] | None, floor: int, height: int, steps: str) -> str:
    """Return how much of one cell the column fills; what is known shows at least a sliver."""
    if column is None:
        return " "
    filled = column[1] * height - floor
    least = 1 if floor == 0 else 0
    eighths = max(least, min(len(steps) - 1, round(filled * (len(steps) - 1))))
    return steps[max(0, eighths)]


def _times(view: ChartView, look: Look, width: int) -> Line:
    room = len(view.columns)
    gap = max(1, room - len(view.left) - len(view.right))
    text = " " * _AXIS + view.left + " " * gap + view.right
    return fill((Span(text, look.palette.dim),), width, look.palette.text)
