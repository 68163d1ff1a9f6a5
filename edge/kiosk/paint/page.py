"""A page of text, with columns that line up, scrolled so that the chosen row is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len

from edge.kiosk.ink import Frame, Hit, Ink, Line, Span, apart, centred, cut, fill, sized, wrapped
from edge.kiosk.look import Look
from edge.kiosk.paint.keys import KeyHint, keys
from edge.kiosk.views.page import PageView, Row, Tone, ink_of

_MARGIN = 2
_GAP = 2
_LAST_MIN = 16  # the last column keeps at least this


class _Placed(NamedTuple):
    line: Line
    row: int
    action: str


def page(
    view: PageView, look: Look, hints: Sequence[KeyHint], size: tuple[int, int], *, scroll: int = 0
) -> Frame:
    """Return a page in exactly this size (width, height); `scroll` lines are above its top."""
    width, height = size
    colours = look.palette
    foot = keys(hints, width, colours.card)
    placed = _placed(view, look, width)
    room = max(0, height - (2 if view.warning else 1) - 1)
    first = _first(placed, view.chosen, scroll, room)
    shown = placed[first : first + room]
    note = _with_rest(view.note, len(placed) - first - len(shown), look)
    head = title_lines(view.title, note, view.warning, look, width)
    hits = [
        Hit(0, len(head) + y, width, 1, entry.action)
        for y, entry in enumerate(shown)
        if entry.action
    ]
    body = sized(Frame(tuple(entry.line for entry in shown)), width, room, colours.text)
    hits += [hit._replace(y=height - 1) for hit in foot.hits]
    lines = (*head, *body.lines, *foot.lines)
    return sized(Frame(lines, tuple(hits)), width, height, colours.text)


def length(view: PageView, look: Look, width: int) -> int:
    """Return how many lines the rows of a page take."""
    return len(_placed(view, look, width))


def _with_rest(note: str, below: int, look: Look) -> str:
    """Return the note of a page; what is below its last line is never left unsaid."""
    return f"{look.text('page.more', n=below)}  {note}".rstrip() if below > 0 else note


def title_lines(title: str, note: str, warning: str, look: Look, width: int) -> list[Line]:
    """Return the head of a page; a warning comes first, over the whole width."""
    colours = look.palette
    lines = [
        apart(
            (Span(f" {cut(title, width - 2)}", colours.card),),
            (Span(f"{note} ", colours.card),),
            width,
            colours.card,
        )
    ]
    if warning:
        lines.insert(0, centred((Span(warning, colours.bad_strip),), width, colours.bad_strip))
    return lines


def _first(placed: list[_Placed], chosen: int | None, scroll: int, room: int) -> int:
    first = min(scroll, max(0, len(placed) - room))
    if chosen is None:
        return first
    rows = [index for index, entry in enumerate(placed) if entry.row == chosen]
    if not rows:
        return first
    if rows[-1] >= first + room:
        first = rows[-1] - room + 1
    return min(first, rows[0])


def _placed(view: PageView, look: Look, width: int) -> list[_Placed]:
    placed: list[_Placed] = []
    columns = _columns(view.rows, width)
    for index, row in enumerate(view.rows):
        chosen = index == view.chosen
        lines = _lines(row, columns[index], look, width, chosen)
        placed += [_Placed(line, index, row.action) for line in lines]
    return placed


def _columns(rows: Sequence[Row], width: int) -> list[tuple[int, ...]]:
    """Return the widths of each row's columns: neighbours with as many cells line up."""
    found: list[tuple[int, ...]] = []
    start = 0
    while start < len(rows):
        count = len(rows[start].cells)
        end = start
        while end < len(rows) and len(rows[end].cells) == count and not rows[end].heading:
            end += 1
        end = max(end, start + 1)
        group = rows[start:end]
        sizes = [
            max(cell_len(row.cells[c].text) for row in group) for c in range(max(0, count - 1))
        ]
        found += [_fitting(sizes, width)] * len(group)
        start = end
    return found


def _fitting(sizes: list[int], width: int) -> tuple[int, ...]:
    """Return column widths that leave room for the last column; the widest give way."""
    room = width - 2 * _MARGIN - _LAST_MIN - _GAP * len(sizes)
    while sum(sizes) > max(room, 4 * len(sizes)):
        sizes[sizes.index(max(sizes))] -= 1
    return tuple(sizes)


def _lines(row: Row, sizes: tuple[int, ...], look: Look, width: int, chosen: bool) -> list[Line]:
    ground = look.palette.chosen if chosen else look.palette.text
    if not row.cells:
        return [fill((), width, ground)]
    margin = Span(f"{look.signs.cursor} " if chosen else " " * _MARGIN, ground)
    if row.heading:
        ink = look.palette.text._replace(bold=True)
        return [fill((margin, Span(row.cells[0].text, ink)), width, ground)]
    before: list[Span] = [margin]
    for cell, size in zip(row.cells[:-1], sizes, strict=True):
        text = cut(cell.text, size)
        ink = _ink(cell.tone, look, chosen)
        before.append(Span(text + " " * (size - cell_len(text) + _GAP), ink))
    last = row.cells[-1]
    left = sum(cell_len(span.text) for span in before)
    pieces = wrapped(last.text, max(4, width - left - _MARGIN))
    ink = _ink(last.tone, look, chosen)
    below = (Span(" " * left, ground),)
    return [
        fill((*(before if index == 0 else below), Span(piece, ink)), width, ground)
        for index, piece in enumerate(pieces)
    ]


def _ink(tone: Tone, look: Look, chosen: bool) -> Ink:
    return look.palette.chosen if chosen else ink_of(tone, look.palette)
