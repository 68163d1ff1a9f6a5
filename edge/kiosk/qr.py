"""QR codes in half blocks: a terminal's cell shows two modules."""

from __future__ import annotations

from functools import lru_cache

from edge.kiosk.big import halves

QUIET = 4
"""Light modules around a code, as its standard wants them: readers look for its edge."""

TEXT_MAX = 271
"""Bytes of a code with 57 modules a side."""


@lru_cache(maxsize=4)
def code(text: str) -> tuple[str, ...]:
    """Return `text` as lines of a square code; dark modules are the ink, light ones its ground.

    Its version is the smallest that holds the text, so a short text makes large modules; a text
    that makes them too many for any terminal gives no lines.
    """
    if len(text.encode()) > TEXT_MAX:
        return ()
    import segno  # only a station without charge points needs it

    made = segno.make(text, micro=False)
    rows = [int("".join(map(str, row)), 2) for row in made.matrix_iter(border=QUIET)]
    width = len(rows)
    return halves([*rows, 0] if width % 2 else rows, width)
