"""A trend: which points there are, and one of them over the last hours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import NamedTuple

from edge.kiosk.look import Look
from edge.kiosk.views.page import Tone
from edge.kiosk.views.pages import warning
from edge.kiosk.views.values import is_red, local, measured, point_value
from edge.view import PointView, StationView, TrendPoint
from shared.contracts.protection import CONTACTS, Quality

HOURS = (1, 6, 24)
_HOUR_MS = 3_600_000
_FLAT = 1.0  # a curve without movement is drawn in a range of this around it


@dataclass(frozen=True)
class ChartView:
    """A curve: `columns` are (lowest, highest) in 0…1 for each column, None without values."""

    columns: tuple[tuple[float, float] | None, ...]
    top: str
    bottom: str
    left: str
    right: str


class PointLine(NamedTuple):
    """A point in the list; `device` begins its title, "" where it has no points beside it."""

    device: str
    name: str
    value: str
    tone: Tone


@dataclass(frozen=True)
class TrendView:
    """The page: names and values of the points, and the chosen one's curve."""

    title: str
    points: tuple[PointLine, ...]
    chosen: int
    summary: str
    chart: ChartView | None
    message: str
    warning: str


def plottable(view: StationView) -> list[PointView]:
    """Return the points that have a trend, measurements before contacts."""
    return sorted(view.points, key=lambda point: point.quantity in CONTACTS)


def trend(
    view: StationView,
    look: Look,
    *,
    chosen: int,
    hours: int,
    points: Sequence[TrendPoint] | None,
    columns: int,
    message: str = "",
    stale: bool = False,
) -> TrendView:
    """Return the page; `points` None while they are not here yet, `columns` of the chart."""
    known = plottable(view)
    listed = _listed(known, view, look)
    chart, summary = None, ""
    if known:
        chosen = min(chosen, len(known) - 1)
        point = known[chosen]
        summary = look.title(point)
        if points:
            low = min(entry.low for entry in points)
            high = max(entry.high for entry in points)
            summary = look.text(
                "trend.summary",
                name=look.title(point),
                low=measured(point.quantity, low, look),
                high=measured(point.quantity, high, look),
            )
            chart = _chart(view, look, point, points, hours, columns)
    if not message and not chart:
        key = (
            "trend.no_points" if not known else "trend.loading" if points is None else "trend.empty"
        )
        message = look.text(key)
    title = look.text("trend.title", hours=hours)
    return TrendView(title, listed, chosen, summary, chart, message, warning(view, look, stale))


def _listed(known: Sequence[PointView], view: StationView, look: Look) -> tuple[PointLine, ...]:
    titles: dict[str, list[str]] = {}
    for point in known:
        titles.setdefault(point.device, []).append(look.title(point))
    shared = {device: _begin_alike(own) for device, own in titles.items() if len(own) > 1}
    lines = []
    for point in known:
        device, title = shared.get(point.device, ""), look.title(point)
        name = title[len(device) :].lstrip()
        lines.append(PointLine(device, name, point_value(point, look), _tone(point, view)))
    return tuple(lines)


def _begin_alike(titles: Sequence[str]) -> str:
    """Return the words that all titles begin with; the last word of a title is its own."""
    columns = zip(*(title.split(" ")[:-1] for title in titles), strict=False)
    return " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, columns))


def _tone(point: PointView, view: StationView) -> Tone:
    if is_red(point, view):
        return Tone.BAD
    return Tone.TEXT if point.quality is Quality.GOOD else Tone.WARN


def _chart(
    view: StationView,
    look: Look,
    point: PointView,
    points: Sequence[TrendPoint],
    hours: int,
    columns: int,
) -> ChartView:
    start_ms = view.at_ms - hours * _HOUR_MS
    low = min(entry.low for entry in points)
    high = max(entry.high for entry in points)
    if point.quantity in CONTACTS:
        low, high = 0.0, 1.0
    elif high - low < _FLAT:
        middle = (low + high) / 2
        low, high = middle - _FLAT / 2, middle + _FLAT / 2
    return ChartView(
        columns=_columns(points, start_ms, hours * _HOUR_MS, columns, low, high),
        top=measured(point.quantity, high, look) if point.quantity not in CONTACTS else "1",
        bottom=measured(point.quantity, low, look) if point.quantity not in CONTACTS else "0",
        left=f"{local(view, start_ms):%H:%M}",
        right=f"{local(view, view.at_ms):%H:%M}",
    )


def _columns(
    points: Sequence[TrendPoint], start_ms: int, span_ms: int, columns: int, low: float, high: float
) -> tuple[tuple[float, float] | None, ...]:
    """Return the range of each column; a step that is wider than a column fills those it covers."""
    cells: list[tuple[float, float] | None] = [None] * columns
    steps = sorted(points, key=lambda entry: entry.at_ms)
    width_ms = _step_ms(steps, span_ms)
    for entry in steps:
        first = int((entry.at_ms - start_ms) * columns / span_ms)
        last = int((entry.at_ms + width_ms - 1 - start_ms) * columns / span_ms)
        bottom, top = (entry.low - low) / (high - low), (entry.high - low) / (high - low)
        for index in range(max(0, first), min(columns - 1, max(first, last)) + 1):
            before = cells[index]
            cells[index] = (
                (bottom, top) if before is None else (min(before[0], bottom), max(before[1], top))
            )
    return tuple(cells)


def _step_ms(steps: Sequence[TrendPoint], span_ms: int) -> int:
    gaps = [later.at_ms - earlier.at_ms for earlier, later in pairwise(steps)]
    return min((gap for gap in gaps if gap > 0), default=span_ms // 100)
