"""Dialogs: a question with choices, and a PIN that is typed or tapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from edge.kiosk.ink import Frame, Hit, Ink, Line, Span, centred, cut, fill, sized, wrapped
from edge.kiosk.look import Look
from edge.kiosk.paint.keys import KeyHint, keys

_WIDTH_MAX = 64
_PAD_ROWS = (("1", "2", "3"), ("4", "5", "6"), ("7", "8", "9"), ("back", "0", "enter"))
_KEY_WIDTH = 9


@dataclass(frozen=True)
class DialogView:
    """A question. `choices` are numbered from 1; `digits` is the length of the PIN so far."""

    title: str
    lines: tuple[str, ...]
    choices: tuple[str, ...] = ()
    chosen: int = 0
    digits: int | None = None
    error: str = ""
    warning: str = ""
    danger: bool = False


def dialog(view: DialogView, look: Look, hints: Sequence[KeyHint], size: tuple[int, int]) -> Frame:
    """Return the dialog in the middle of a terminal of this size (width, height)."""
    width, height = size
    colours = look.palette
    ink = colours.text
    inner = min(_WIDTH_MAX, width - 2)
    lines, hits = _box(view, look, inner, height - 2)
    foot = keys(hints, width, colours.card)
    above = max(0, (height - 1 - len(lines)) // 2)
    left = (width - inner) // 2
    rows: list[Line] = [()] * above
    if view.warning:
        rows[:1] = [centred((Span(view.warning, colours.bad_strip),), width, colours.bad_strip)]
        above = max(above, 1)
    rows += [(Span(" " * left, ink), *line) for line in lines]
    placed = [hit._replace(x=hit.x + left, y=hit.y + above) for hit in hits]
    placed += [hit._replace(y=height - 1) for hit in foot.hits]
    body = sized(Frame(tuple(rows)), width, height - 1, ink)
    return sized(Frame((*body.lines, *foot.lines), tuple(placed)), width, height, ink)


def _box(view: DialogView, look: Look, width: int, room: int) -> tuple[list[Line], list[Hit]]:
    colours = look.palette
    bar = colours.bad_strip if view.danger else colours.info_strip
    ground = colours.card._replace(bold=False)
    lines: list[Line] = [fill((Span(f" {view.title}", bar),), width, bar), fill((), width, ground)]
    hits: list[Hit] = []
    for text in view.lines:
        lines += [
            fill((Span(f"  {piece}", ground),), width, ground) for piece in wrapped(text, width - 4)
        ]
    for index, choice in enumerate(view.choices):
        chosen = index == view.chosen
        ink = colours.chosen if chosen else ground
        mark = look.signs.cursor if chosen else " "
        hits.append(Hit(0, len(lines), width, 1, f"choose({index})"))
        lines.append(fill((Span(f" {mark} {index + 1}  {choice}", ink),), width, ink))
    if view.digits is not None:
        _pin(view.digits, look, width, room, ground, lines, hits)
    # One line always, so that the keys of the pad stay where they are.
    ink = colours.bad_strip if view.error else ground
    lines.append(fill((Span(f"  {cut(view.error, width - 4)}", ink),), width, ink))
    lines.append(fill((), width, ground))
    return lines, hits


def _pin(
    digits: int, look: Look, width: int, room: int, ground: Ink, lines: list[Line], hits: list[Hit]
) -> None:
    field = look.palette.button
    shown = f" {look.signs.secret * digits:<12} "
    lines.append(
        fill((Span(f"  {look.text('pin.label')}  ", ground), Span(shown, field)), width, ground)
    )
    lines.append(fill((), width, ground))
    if len(lines) + 2 * len(_PAD_ROWS) + 2 > room:
        return
    left = max(0, (width - 3 * _KEY_WIDTH) // 2)
    for row in _PAD_ROWS:
        line: Line = (Span(" " * left, ground),)
        for column, key in enumerate(row):
            name = key if key.isdigit() else look.text(f"pin.{key}")
            room_left = _KEY_WIDTH - 1 - cell_len(name)
            text = " " * (room_left // 2) + name + " " * (room_left - room_left // 2)
            line = (*line, Span(text, look.palette.chosen), Span(" ", ground))
            hits.append(
                Hit(left + column * _KEY_WIDTH, len(lines), _KEY_WIDTH - 1, 1, f"tap('{key}')")
            )
        lines.append(fill(line, width, ground))
        lines.append(fill((), width, ground))
