"""Pages of text: a title, rows of cells in tones, perhaps a cursor."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from edge.kiosk.ink import Ink
from edge.kiosk.palette import Palette


class Tone(StrEnum):
    """What a cell means; the palette knows its ink."""

    TEXT = "text"
    DIM = "dim"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    BUSY = "busy"


def ink_of(tone: Tone, palette: Palette) -> Ink:
    """Return the ink of a tone on a page."""
    inks = {
        Tone.TEXT: palette.text,
        Tone.DIM: palette.dim,
        Tone.GOOD: palette.good,
        Tone.WARN: palette.warn,
        Tone.BAD: palette.bad,
        Tone.BUSY: palette.busy,
    }
    return inks[tone]


class Cell(NamedTuple):
    """One cell of a row."""

    text: str
    tone: Tone = Tone.TEXT


@dataclass(frozen=True)
class Row:
    """One row: several cells are columns, one cell is a paragraph, none is a gap.

    `heading` rows stand out. `action` is done when the row is touched.
    """

    cells: tuple[Cell, ...] = ()
    heading: bool = False
    action: str = ""


@dataclass(frozen=True)
class PageView:
    """A page of text. `chosen` is the index of the row under the cursor, or None."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""
    warning: str = ""
    chosen: int | None = None


GAP = Row()


def heading(text: str) -> Row:
    """Return a heading."""
    return Row((Cell(text),), heading=True)


def fact(name: str, value: str, tone: Tone = Tone.TEXT) -> Row:
    """Return a named value."""
    return Row((Cell(name, Tone.DIM), Cell(value, tone)))


def paragraph(text: str, tone: Tone = Tone.TEXT) -> Row:
    """Return a text that may take several lines."""
    return Row((Cell(text, tone),))
