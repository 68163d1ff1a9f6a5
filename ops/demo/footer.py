"""Lines that stay at the bottom of a terminal while others scroll by above them."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Iterable
from typing import TextIO

_WIDE = frozenset("WF")


class Footer:
    """Owns the bottom of a terminal. What else is written there goes between `clear` and `show`."""

    def __init__(self, terminal: TextIO) -> None:
        """Prepare only."""
        self._terminal = terminal
        self._rows: list[str] = []

    def show(self, lines: Iterable[str]) -> None:
        """Put these lines there instead of those before; long ones are folded."""
        size = shutil.get_terminal_size()
        rows = [row for line in lines for row in fold(line, size.columns - 1)]
        self._replace(rows[-max(1, size.lines - 1) :])

    def clear(self) -> None:
        """Take the lines away; the cursor is where they began."""
        self._replace([])

    def _replace(self, rows: list[str]) -> None:
        up = f"\x1b[{len(self._rows) - 1}A" if len(self._rows) > 1 else ""
        self._terminal.write(f"\r{up}\x1b[J" + "\n".join(rows))
        self._terminal.flush()
        self._rows = rows


def fold(line: str, columns: int) -> list[str]:
    """Return the line in rows of at most so many columns, at spaces where there are any.

    A row has room for a Chinese character at least.
    """
    columns = max(columns, 2)
    rows = []
    while _width(line) > columns:
        end = _fitting(line, columns)
        at = line.rfind(" ", 1, end + 1)
        at = at if at > 0 else end
        rows.append(line[:at].rstrip())
        line = line[at:].lstrip()
    return [*rows, line]


def _fitting(line: str, columns: int) -> int:
    """Return how many characters fit."""
    taken = 0
    for index, character in enumerate(line):
        taken += _width(character)
        if taken > columns:
            return index
    return len(line)


def _width(text: str) -> int:
    """Return the columns that a text takes; a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in _WIDE else 1 for c in text)
