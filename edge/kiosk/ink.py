"""What a terminal can show: inked spans, lines, and frames with places to touch.

Widths are terminal cells: a Chinese character takes two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

_PLAIN = frozenset(map(chr, range(0x20, 0x7F)))


class Ink(NamedTuple):
    """Colours as `#rrggbb`, and weight."""

    fg: str
    bg: str
    bold: bool = False


class Span(NamedTuple):
    """A piece of a line in one ink."""

    text: str
    ink: Ink


Line = tuple[Span, ...]


class Hit(NamedTuple):
    """An area that answers a click or a touch with an action."""

    x: int
    y: int
    width: int
    height: int
    action: str

    def holds(self, x: int, y: int) -> bool:
        """Return whether a cell lies in the area."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


class Frame(NamedTuple):
    """Lines of equal width, and where they can be touched; later hits lie on top."""

    lines: tuple[Line, ...]
    hits: tuple[Hit, ...] = ()


EMPTY = Frame(())


def width_of(line: Iterable[Span]) -> int:
    """Return how many cells a line takes."""
    return sum(cell_len(span.text) for span in line)


def cut(text: str, width: int, mark: str = "~") -> str:
    """Return `text` in at most `width` cells; `mark` stands for what is left out."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(mark)
    if room < 0:
        return ""
    return _head(text, room) + mark


def _head(text: str, width: int) -> str:
    taken = 0
    for index, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return text[:index]
    return text


def pad(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, from the left."""
    text = cut(text, width)
    return text + " " * (width - cell_len(text))


def fill(line: Line, width: int, ink: Ink) -> Line:
    """Return a line in exactly `width` cells: cut, or filled with blanks of `ink`."""
    taken = width_of(line)
    if taken < width:
        return (*line, Span(" " * (width - taken), ink))
    if taken == width:
        return line
    kept: list[Span] = []
    room = width
    for span in line:
        text = _head(span.text, room)
        kept.append(Span(text, span.ink))
        room -= cell_len(text)
        if len(text) < len(span.text):
            break
    if room:
        kept.append(Span(" " * room, ink))
    return tuple(kept)


def apart(left: Line, right: Line, width: int, ink: Ink) -> Line:
    """Return `left` at the left edge and `right` at the right one; `right` gives way."""
    room = width - width_of(right)
    if width_of(left) > room:
        return fill(left, width, ink)
    return (*fill(left, room, ink), *right)


def centred(line: Line, width: int, ink: Ink) -> Line:
    """Return a line in the middle of `width` cells."""
    room = width - width_of(line)
    if room <= 0:
        return fill(line, width, ink)
    return fill((Span(" " * (room // 2), ink), *line), width, ink)


def wrapped(text: str, width: int) -> list[str]:
    """Return `text` in lines of at most `width` cells; breaks at blanks, and between Chinese."""
    lines: list[str] = []
    current = ""
    for piece in _pieces(text):
        if current and cell_len(current) + cell_len(piece.rstrip()) > width:
            lines.append(current.rstrip())
            current = ""
        while cell_len(piece.rstrip()) > width > 0:
            head = _head(piece, width) or piece[0]
            lines.append(head)
            piece = piece[len(head) :]
        current += piece if current else piece.lstrip()
    return [*lines, current.rstrip()]


def _pieces(text: str) -> list[str]:
    """Split after blanks and after each wide character; what follows a character stays with it."""
    pieces: list[str] = []
    word = ""
    for character in text:
        if character in "，。；：！？、）,.;:!?)" and word == "" and pieces:
            pieces[-1] += character
        elif character in _PLAIN and character != " ":
            word += character
        else:
            pieces.append(word + character)
            word = ""
    return [*pieces, word] if word else pieces


def blank(width: int, height: int, ink: Ink) -> Frame:
    """Return an empty area."""
    return Frame(((Span(" " * width, ink),),) * max(0, height))


def stack(frames: Iterable[Frame]) -> Frame:
    """Return frames one below the other."""
    lines: list[Line] = []
    hits: list[Hit] = []
    for frame in frames:
        top = len(lines)
        hits += [hit._replace(y=hit.y + top) for hit in frame.hits]
        lines += frame.lines
    return Frame(tuple(lines), tuple(hits))


def beside(frames: Sequence[Frame], widths: Sequence[int]) -> Frame:
    """Return frames of equal height side by side; `widths` are theirs."""
    lines = tuple(
        tuple(span for part in row for span in part)
        for row in zip(*(frame.lines for frame in frames), strict=True)
    )
    hits: list[Hit] = []
    left = 0
    for frame, width in zip(frames, widths, strict=True):
        hits += [hit._replace(x=hit.x + left) for hit in frame.hits]
        left += width
    return Frame(lines, tuple(hits))


def sized(frame: Frame, width: int, height: int, ink: Ink) -> Frame:
    """Return a frame in exactly this size: what is too much is left out at right and bottom."""
    lines = [fill(line, width, ink) for line in frame.lines[:height]]
    lines += [(Span(" " * width, ink),)] * (height - len(lines))
    return Frame(tuple(lines), frame.hits)
