"""The wall in three shapes: blocks from 100×30, tight cards from 80×24, below that a list."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from edge.kiosk import big
from edge.kiosk.ink import (
    Frame,
    Hit,
    Ink,
    Line,
    Span,
    apart,
    beside,
    blank,
    centred,
    cut,
    fill,
    sized,
    stack,
)
from edge.kiosk.look import Look
from edge.kiosk.paint.card import card
from edge.kiosk.paint.keys import KeyHint, keys
from edge.kiosk.paint.setup import setup
from edge.kiosk.views.status import StripView
from edge.kiosk.views.wall import CardView, FigureView, HeaderView, PowerView, SensorView, WallView

_BIG_WIDTH, _BIG_HEIGHT = 100, 30
_CARD_WIDTH, _CARD_HEIGHT = 80, 22
_COLUMNS_MAX = 4
_CARD_ROWS_MAX = 23
_GAP = 1


def wall(view: WallView, look: Look, hints: Sequence[KeyHint], width: int, height: int) -> Frame:
    """Return the wall in exactly this size."""
    colours = look.palette
    large = width >= _BIG_WIDTH and height >= _BIG_HEIGHT
    top = [_header(view.header, look, width) if large else _one_line(view.header, look, width)]
    if width >= _CARD_WIDTH:
        top.append(Frame((_power(view.power, look, width),)))
    top.append(_strip(view.strip, look, width))
    if view.banner:
        line = fill((Span(f" {view.banner}", colours.info_strip),), width, colours.info_strip)
        top.append(Frame((line,), (Hit(0, 0, width, 1, "instruction"),)))
    head = stack(top)
    foot = [keys(_paged(view, look, hints), width, colours.card)]
    if height >= _CARD_HEIGHT and view.sensors:
        foot.insert(0, Frame((_sensors(view.sensors, look, width),), _whole(width, "trends")))
    tail = stack(foot)
    room = height - len(head.lines) - len(tail.lines)
    body = _body(view, look, width, max(0, room))
    return sized(stack((head, body, tail)), width, height, colours.text)


def _paged(view: WallView, look: Look, hints: Sequence[KeyHint]) -> list[KeyHint]:
    if view.pages < 2:
        return list(hints)
    place = look.text("wall.page", n=view.page + 1, of=view.pages)
    return [KeyHint("PgDn", place, "turn(1)"), *hints]


def _whole(width: int, action: str) -> tuple[Hit, ...]:
    return (Hit(0, 0, width, 1, action),)


def _header(view: HeaderView, look: Look, width: int) -> Frame:
    colours = look.palette
    ink = colours.head
    figures = [_figure(figure, look, ink) for figure in view.figures]
    right_width = sum(size for _, size in figures)
    left_width = width - right_width
    rows: list[Line] = [
        (Span(f"  {cut(view.name, left_width - 3)}", ink),),
        (Span(f"  {view.time}", ink._replace(fg=colours.text.fg)),),
        (Span(f"  {view.link}", ink._replace(fg=view.link_ink.fg)),),
        (),
    ]
    left = Frame(tuple(fill(row, left_width, ink) for row in rows))
    parts = [left, *(frame for frame, _ in figures)]
    return beside(parts, [left_width, *(size for _, size in figures)])


def _figure(view: FigureView, look: Look, ground: Ink) -> tuple[Frame, int]:
    ink = ground._replace(fg=view.ink.fg)
    dim = ground._replace(fg=look.palette.dim.fg, bold=False)
    drawn = big.number(view.value) if look.signs.blocks else ("", view.value, "")
    width = max(cell_len(view.title), *map(cell_len, drawn)) + 3
    rows = [(Span(view.title, dim),), *((Span(row, ink),) for row in drawn)]
    return Frame(tuple(fill(row, width, ground) for row in rows)), width


def _one_line(view: HeaderView, look: Look, width: int) -> Frame:
    """Return name, time and figures in one line; what does not fit goes from the left."""
    ink = look.palette.head
    figures: list[Span] = []
    for figure in view.figures[1:]:
        figures.append(Span(f" {figure.title} ", ink._replace(fg=look.palette.dim.fg, bold=False)))
        figures.append(Span(figure.value, ink._replace(fg=figure.ink.fg)))
    figures.append(Span(" ", ink))
    room = width - sum(cell_len(span.text) for span in figures)
    time = view.time[-8:]
    link = Span(f"  {view.link}", ink._replace(fg=view.link_ink.fg))
    name_room = room - len(time) - 3
    name = cut(view.name, max(0, name_room))
    left: Line = (Span(f" {name}  {time}", ink),)
    if cell_len(left[0].text) + cell_len(link.text) <= room:
        left = (*left, link)
    return Frame((apart(left, tuple(figures), width, ink),))


def _power(view: PowerView, look: Look, width: int) -> Line:
    colours = look.palette
    label = Span(f" {view.text} ", colours.head)
    if view.fraction is None:
        return fill((label,), width, colours.head)
    room = width - cell_len(label.text) - 1
    full = round(room * view.fraction)
    bar = Ink(colours.track.fg, view.ink.fg)
    spans = (label, Span(" " * full, bar), Span(" " * (room - full), colours.track))
    return fill(spans, width, colours.head)


def _strip(view: StripView, look: Look, width: int) -> Frame:
    """Return the strip: its first item always, the others while they fit."""
    text = view.items[0]
    for index, item in enumerate(view.items[1:], 1):
        longer = f"{text}  {look.signs.bullet}  {item}"
        rest = len(view.items) - index - 1
        if cell_len(longer) + (6 if rest else 0) > width - 2:
            text = f"{text}  +{len(view.items) - index}"
            break
        text = longer
    text = cut(text, width)
    line = centred((Span(text, view.ink),), width, view.ink)
    return Frame((line,), _whole(width, "alarms"))


def _body(view: WallView, look: Look, width: int, height: int) -> Frame:
    ink = look.palette.text
    if view.setup is not None:
        return setup(view.setup, look, width, height)
    if width < _CARD_WIDTH or height < _card_rows(view.cards, width) * 2:
        return _abnormal(view.abnormal, look, width, height)
    return sized(_cards(view.cards, look, width, height), width, height, ink)


def _card_rows(cards: tuple[CardView, ...], width: int) -> int:
    return -(-len(cards) // _columns(len(cards), width))


def _columns(cards: int, width: int) -> int:
    most = _COLUMNS_MAX if width >= _BIG_WIDTH else _COLUMNS_MAX - 1
    if cards <= most:
        return max(1, cards)
    return most if cards > 2 * most else -(-cards // 2)


def _cards(cards: tuple[CardView, ...], look: Look, width: int, height: int) -> Frame:
    ink = look.palette.text
    columns = _columns(len(cards), width)
    rows = -(-len(cards) // columns)
    tall = min(_CARD_ROWS_MAX, height // rows)
    # All alike: what one card has room for, each has.
    share = (width - _GAP) // columns
    left = (width - _GAP - share * columns) // 2
    between = 1 if tall >= 4 and (height - rows * tall < rows) and tall % 2 == 0 else 0
    lines = []
    for start in range(0, len(cards), columns):
        parts: list[Frame] = [blank(left, tall, ink)]
        sizes: list[int] = [left]
        for view in cards[start : start + columns]:
            parts += [blank(_GAP, tall, ink), _spaced(view, look, share - _GAP, tall, between)]
            sizes += [_GAP, share - _GAP]
        lines.append(sized(beside(parts, sizes), width, tall, ink))
        if height - rows * tall >= rows:
            lines.append(blank(width, 1, ink))
    return stack(lines)


def _spaced(view: CardView, look: Look, width: int, height: int, between: int) -> Frame:
    frame = card(view, width, height - between, look.signs.blocks)
    return sized(frame, width, height, look.palette.text)


def _abnormal(entries: tuple[SensorView, ...], look: Look, width: int, height: int) -> Frame:
    ink = look.palette.text
    if not entries:
        text = f"{look.signs.tick} {look.text('wall.nothing_abnormal')}"
        return sized(
            Frame((centred((Span(text, look.palette.good),), width, ink),)), width, height, ink
        )
    lines = [
        (Span(f" {entry.title}  ", ink), Span(f" {entry.value} ", entry.ink)) for entry in entries
    ]
    if len(lines) > height > 0:
        rest = len(lines) - height + 1
        lines = [*lines[: height - 1], (Span(f" +{rest}", ink), Span("", ink))]
    return sized(Frame(tuple(lines)), width, height, ink)


def _sensors(entries: tuple[SensorView, ...], look: Look, width: int) -> Line:
    ink = look.palette.head
    spans: list[Span] = []
    taken = 0
    for index, entry in enumerate(entries):
        size = cell_len(entry.title) + cell_len(entry.value) + 4
        rest = len(entries) - index
        if taken + size + (5 if rest > 1 else 0) > width:
            spans.append(Span(f"  +{rest}", ink._replace(fg=look.palette.dim.fg)))
            break
        spans.append(Span(f"  {entry.title} ", ink._replace(fg=look.palette.dim.fg, bold=False)))
        spans.append(Span(f"{entry.value} ", ink._replace(fg=entry.ink.fg)))
        taken += size
    return fill(tuple(spans), width, ink)
