"""A charge point's card: its name, then one solid block of colour a connector."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len

from edge.kiosk import big
from edge.kiosk.ink import Frame, Hit, Ink, Line, Span, apart, beside, fill, stack, width_of
from edge.kiosk.views.wall import BlockView, CardView

_BIG_ROWS = 3  # a block as high as this shows its charge in large digits
_HUGE_ROWS = 6  # five for the digits, one between blocks
_PAIR_WIDTH = 20  # a block narrower than this is not split further


@lru_cache(maxsize=64)
def card(view: CardView, width: int, height: int, drawn: bool) -> Frame:
    """Return a card; touching it opens the charge point. Cards repeat, so they are remembered.

    `drawn` says whether the terminal can draw half blocks.
    """
    name = apart(
        (Span(f" {view.title}", view.ink),), (Span(f"{view.power} ", view.ink),), width, view.ink
    )
    body = _blocks(view.blocks, width, height - 1, drawn)
    whole = stack((Frame((name,)), body))
    hit = Hit(0, 0, width, height, f"detail('{view.charge_point_no}')")
    return Frame(whole.lines[:height], (hit,))


def _blocks(blocks: tuple[BlockView, ...], width: int, height: int, drawn: bool) -> Frame:
    """Return the blocks below each other; where they would not fit, in pairs beside each other."""
    if not blocks or height <= 0:
        return Frame(())
    if len(blocks) > height and width >= 2 * _PAIR_WIDTH:
        half = -(-len(blocks) // 2)
        left, right = width // 2, width - width // 2
        columns = [
            _column(blocks[:half], left, height, drawn),
            _column(blocks[half:], right, height, drawn),
        ]
        return beside(columns, (left, right))
    return _column(blocks, width, height, drawn)


def _column(blocks: tuple[BlockView, ...], width: int, height: int, drawn: bool) -> Frame:
    shown = blocks[:height]
    base, extra = divmod(height, len(shown))
    frames = [block(view, width, base + (index < extra), drawn) for index, view in enumerate(shown)]
    return stack(frames)


def block(view: BlockView, width: int, height: int, drawn: bool) -> Frame:
    """Return one connector's block."""
    ink = view.ink
    if height == 1:
        return Frame((_one_line(view, width),))
    head: Line = (Span(f" {view.letter} {view.sign} {view.word}", ink),)
    lines: list[Line] = [head, *((Span(f"   {fact}", ink),) for fact in view.facts)]
    text_width = max(width_of(line) for line in lines)
    digits = _digits(view, width - text_width - 2, height, drawn)
    rows = []
    for y in range(height):
        left = lines[y] if y < len(lines) else ()
        right: Line = (Span(digits[y] + " ", ink),) if y < len(digits) else ()
        gap: Line = (Span(" ", ink),) if right else ()
        room = width - width_of(right) - len(gap)
        rows.append((*fill(left, room, ink), *gap, *right))
    if view.fraction is not None and height > max(len(lines), len(digits)):
        rows[-1] = _bar(view.fraction, width, ink, drawn)
    return Frame(tuple(rows))


def _digits(view: BlockView, room: int, height: int, drawn: bool) -> tuple[str, ...]:
    """Return the charge as large as beside the text there is room for."""
    if not view.soc or not drawn or height < _BIG_ROWS:
        return (f"{view.soc}%",) if view.soc else ()
    shapes = [big.number(view.soc, 2)] if height >= _HUGE_ROWS else []
    for digits in (*shapes, big.number(view.soc)):
        if len(digits[0]) <= room:
            return digits
    return (f"{view.soc}%",)


def _one_line(view: BlockView, width: int) -> Line:
    left = f" {view.letter} {view.sign} {view.word}"
    right = f" {view.soc}% " if view.soc else " "
    text = "  ".join((left, *view.facts[:1]))
    if cell_len(text) + 1 + cell_len(right) > width:
        text = left
    return apart((Span(text, view.ink),), (Span(right, view.ink),), width, view.ink)


def _bar(fraction: float, width: int, ink: Ink, drawn: bool) -> Line:
    """Return a thin bar in the block's own colours."""
    room = max(0, width - 2)
    full = round(room * min(1.0, fraction))
    mark, rest = ("▬", "·") if drawn else ("=", "-")
    return fill((Span(f" {mark * full}{rest * (room - full)}", ink),), width, ink)
