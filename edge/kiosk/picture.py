"""A picture of the screen as SVG: every character stands in its own cells, Chinese in two.

Half blocks and bars are drawn as rectangles, so that no seams show.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from rich.cells import cell_len

from edge.kiosk.ink import Frame, Ink, Line

_CELL_WIDTH, _CELL_HEIGHT = 10, 20
_BASELINE = 15
_FONT_SIZE = 16
_FONTS = "'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace"
# Parts of a cell that a block character fills: (top, height) in eighths.
_FILLED = {"█": (0, 8), "▀": (0, 4)} | {
    character: (8 - eighths, eighths) for eighths, character in enumerate("▁▂▃▄▅▆▇", 1)
}


def svg(frame: Frame) -> str:
    """Return a frame as an SVG document."""
    width = max((sum(cell_len(span.text) for span in line) for line in frame.lines), default=0)
    size = f"{width * _CELL_WIDTH} {len(frame.lines) * _CELL_HEIGHT}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'width="{width * _CELL_WIDTH}" height="{len(frame.lines) * _CELL_HEIGHT}" '
        f'font-family="{_FONTS}" font-size="{_FONT_SIZE}" shape-rendering="crispEdges">'
    )
    body = "".join(part for y, line in enumerate(frame.lines) for part in _line(line, y))
    return f"{head}{body}</svg>\n"


def _line(line: Line, y: int) -> Iterator[str]:
    left = 0
    top = y * _CELL_HEIGHT
    for text, ink in line:
        width = cell_len(text)
        yield _box(left * _CELL_WIDTH, top, width * _CELL_WIDTH, _CELL_HEIGHT, ink.bg)
        yield from _characters(text, left, top, ink)
        left += width


def _characters(text: str, left: int, top: int, ink: Ink) -> Iterator[str]:
    """Yield runs of text of one width, and block characters as rectangles."""
    run, run_left = "", left
    for character in text:
        filled = _FILLED.get(character)
        plain = filled is None and character != " "
        if not plain or (run and cell_len(run[0]) != cell_len(character)):
            yield _text(run, run_left, top, ink)
            run = ""
        if filled is not None:
            yield _box(
                left * _CELL_WIDTH,
                top + filled[0] * _CELL_HEIGHT / 8,
                _CELL_WIDTH,
                filled[1] * _CELL_HEIGHT / 8,
                ink.fg,
            )
        if plain:
            run_left = run_left if run else left
            run += character
        left += cell_len(character)
    yield _text(run, run_left, top, ink)


def _text(run: str, left: int, top: int, ink: Ink) -> str:
    if not run:
        return ""
    weight = ' font-weight="bold"' if ink.bold else ""
    length = cell_len(run) * _CELL_WIDTH
    return (
        f'<text x="{left * _CELL_WIDTH}" y="{top + _BASELINE}" fill="{ink.fg}"{weight} '
        f'textLength="{length}" lengthAdjust="spacingAndGlyphs">{escape(run)}</text>'
    )


def _box(left: float, top: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'
