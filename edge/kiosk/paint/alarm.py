"""The full-screen alarm, as large as the terminal allows."""

from __future__ import annotations

from collections.abc import Sequence

from edge.kiosk import big
from edge.kiosk.ink import Frame, Hit, Ink, Line, Span, apart, centred, fill, sized, wrapped
from edge.kiosk.look import Look
from edge.kiosk.paint.keys import KeyHint, keys
from edge.kiosk.views.alarm import AlarmScreenView

_BUTTON_ROWS = 3
_SIZES = (
    (big.TALL, big.MIDDLE, big.MIDDLE),
    (big.TALL, big.MIDDLE, 0),
    (big.MIDDLE, big.MIDDLE, 0),
    (big.TALL, 0, 0),
    (big.MIDDLE, 0, 0),
    (0, 0, 0),
)
"""Heights of word, place and value in pixels, the largest first; 0 is plain text."""


def alarm(
    view: AlarmScreenView,
    look: Look,
    hints: Sequence[KeyHint],
    size: tuple[int, int],
    *,
    lit: bool = True,
) -> Frame:
    """Return the alarm in exactly this size (width, height); `lit` is the lighter of two reds."""
    width, height = size
    ink = view.light if lit else view.dark
    top = _top(view, width, ink)
    foot = keys(hints, width, ink)
    button = _button(view, width, height, ink)
    room = height - len(top) - len(button.lines) - 1
    middle = _middle(view, look, width, room, ink)
    spare = max(0, room - len(middle))
    above = spare // 2
    lines = [*top, *((),) * above, *middle[:room], *((),) * (spare - above)]
    start = len(lines)
    lines += button.lines
    hits = [Hit(0, 0, width, height, "acknowledge")]
    hits += [hit._replace(y=hit.y + start) for hit in button.hits]
    hits += [hit._replace(y=height - 1) for hit in foot.hits]
    lines = [*lines[: height - 1], *foot.lines]
    return sized(Frame(tuple(lines), tuple(hits)), width, height, ink)


def _top(view: AlarmScreenView, width: int, ink: Ink) -> list[Line]:
    left = f" {view.drill} " if view.drill else " "
    line = apart((Span(f"{left}{view.time}", ink),), (Span(f"{view.queue}  ", ink),), width, ink)
    if not view.warning:
        return [line]
    warning = centred((Span(view.warning, view.button_ink),), width, view.button_ink)
    return [warning, line]


def _button(view: AlarmScreenView, width: int, height: int, ink: Ink) -> Frame:
    rows = _BUTTON_ROWS if height >= 20 else 1
    side = width // 8 if width >= 60 else 1
    inner = width - 2 * side
    lines = []
    for y in range(rows):
        text = (Span(view.button, view.button_ink),) if y == rows // 2 else ()
        middle = centred(text, inner, view.button_ink)
        lines.append(fill((Span(" " * side, ink), *middle), width, ink))
    return Frame(tuple(lines))


def _middle(view: AlarmScreenView, look: Look, width: int, room: int, ink: Ink) -> list[Line]:
    lines: list[Line] = []
    for sizes in _SIZES:
        lines = _composed(view, look, width, sizes, ink)
        if not _fits(lines, width):
            continue
        tight = [line for line in lines if line]
        if len(tight) <= room:
            return lines if len(lines) <= room else tight
    return [line for line in lines if line]


def _composed(
    view: AlarmScreenView, look: Look, width: int, sizes: tuple[int, int, int], ink: Ink
) -> list[Line]:
    drawn = look.signs.blocks
    texts = (view.word, view.place, view.value)
    lines: list[Line] = []
    for text, pixels in zip(texts, sizes, strict=True):
        rows = big.word(text, pixels) if pixels and drawn else None
        if rows is not None and len(rows[0]) > width and text is view.place:
            rows = _parted(text, pixels, width)
        if rows is None:
            rows = _spaced(text, width) if pixels or text is view.word else _plain(text, width)
        elif len(rows[0]) > width:
            rows = ("█" * (width + 1),)  # says that this size is too wide
        lines += [_centre(row, width, ink) for row in rows]
        if rows:
            lines.append(())
    for text in (view.title, view.done, view.advice, view.sound, view.escalation):
        lines += [_centre(row, width, ink) for row in _plain(text, width)]
    return lines


def _parted(place: str, pixels: int, width: int) -> tuple[str, ...]:
    """Return the area of a place large and what is in it below; from afar the area is enough."""
    area, _, rest = place.partition(": ")
    rows = big.word(area, pixels)
    if not rest or rows is None or len(rows[0]) > width:
        return ("█" * (width + 1),)  # says that this size is too wide
    return (*rows, "", *_plain(rest, width))


def _centre(row: str, width: int, ink: Ink) -> Line:
    if len(row) > width:
        return (Span(row, ink),)
    return centred((Span(row, ink),), width, ink)


def _plain(text: str, width: int) -> tuple[str, ...]:
    return tuple(wrapped(text, width - 2)) if text else ()


def _spaced(text: str, width: int) -> tuple[str, ...]:
    spaced = " ".join(text)
    return (spaced,) if text and len(spaced) * 2 <= width else _plain(text, width)


def _fits(lines: list[Line], width: int) -> bool:
    return all(not line or len(line[0].text) <= width for line in lines)
