"""The line of keys at the bottom; each of them can be touched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len

from edge.kiosk.ink import Frame, Hit, Ink, Line, Span, fill


class KeyHint(NamedTuple):
    """A key as it is named on the keyboard, what it does in a word, and the action."""

    key: str
    text: str
    action: str


def keys(hints: Iterable[KeyHint], width: int, ink: Ink) -> Frame:
    """Return one line with as many keys as fit."""
    line: Line = ()
    hits = []
    left = 1
    for hint in hints:
        text = f"{hint.key} {hint.text}"
        taken = cell_len(text)
        if left + taken > width:
            break
        line = (*line, Span(f" {text} ", ink))
        hits.append(Hit(left - 1, 0, taken + 2, 1, hint.action))
        left += taken + 2
    return Frame((fill(line, width, ink),), tuple(hits))
