"""Words and digits that are read from three metres: bitmaps drawn with half blocks.

The bitmaps are data, made once by `python -m ops.kiosk.draw_words`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

TALL, MIDDLE = 24, 16
"""Heights that there are, in pixels; a line of cells shows two."""

_HALVES = " ▀▄█"
_BLANK_SHARE = 3  # a blank is a third of the height wide
_TIGHT = 1

# Three by five pixels, rows from the top, the left pixel highest.
_DIGITS = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 1, 1, 1),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    ".": (0, 0, 0, 0, 2),
    "-": (0, 0, 7, 0, 0),
}
_DIGIT_WIDTH = 3


class Glyph(NamedTuple):
    """One character: its width and its rows, the leftmost pixel highest."""

    width: int
    rows: tuple[int, ...]


@lru_cache(maxsize=2)
def _table(height: int) -> bytes:
    data = files("edge.kiosk").joinpath("data", f"words_{height}.txt").read_bytes()
    return b"\n" + data


@lru_cache(maxsize=256)
def glyph(character: str, height: int) -> Glyph | None:
    """Return the bitmap of a character, or None where there is none."""
    if character == " ":
        return Glyph(height // _BLANK_SHARE, (0,) * height)
    table = _table(height)
    start = table.find(b"\n%04x " % ord(character))
    if start < 0:
        return None
    _, width_text, bits = table[start + 1 : table.index(b"\n", start + 1)].split()
    width = int(width_text)
    digits = (width + 3) // 4
    rows = tuple(
        int(bits[row * digits : (row + 1) * digits], 16) >> (digits * 4 - width)
        for row in range(height)
    )
    return Glyph(width, rows)


@lru_cache(maxsize=64)
def word(text: str, height: int) -> tuple[str, ...] | None:
    """Return `text` as lines of half blocks, `height` pixels high; None if a character lacks."""
    glyphs = [glyph(character, height) for character in text]
    known = [entry for entry in glyphs if entry is not None]
    if not text or len(known) < len(glyphs):
        return None
    gap = _TIGHT
    rows = []
    for y in range(height):
        row = 0
        for entry in known:
            row = (row << entry.width + gap) | (entry.rows[y] << gap)
        rows.append(row)
    return halves(rows, sum(entry.width + gap for entry in known))


@lru_cache(maxsize=512)
def number(text: str, scale: int = 1) -> tuple[str, ...]:
    """Return digits as three lines of half blocks, or five when `scale` is 2."""
    rows = []
    for y in range(5):
        row = 0
        for character in text:
            bits = _DIGITS.get(character, (0,) * 5)[y]
            row = (row << _DIGIT_WIDTH + 1) | (bits << 1)
        rows.append(row)
    width = len(text) * (_DIGIT_WIDTH + 1)
    if scale == 1:
        return halves([*rows, 0], width)
    wide = [_stretched(row, width) for row in rows]
    return halves([row for row in wide for _ in range(2)], width * 2)


def _stretched(row: int, width: int) -> int:
    bits = f"{row:0{width}b}"
    return int("".join(bit * 2 for bit in bits), 2)


def halves(rows: list[int], width: int) -> tuple[str, ...]:
    """Return pairs of pixel rows, the leftmost pixel highest, as lines of half blocks."""
    lines = []
    for y in range(0, len(rows) - 1, 2):
        upper, lower = f"{rows[y]:0{width}b}", f"{rows[y + 1]:0{width}b}"
        lines.append(
            "".join(
                _HALVES[(up == "1") + 2 * (low == "1")]
                for up, low in zip(upper, lower, strict=True)
            )
        )
    return tuple(lines)
