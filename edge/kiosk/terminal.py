"""What the terminal at hand can show, from its environment."""

from __future__ import annotations

from collections.abc import Mapping

from edge.kiosk.look import Language, Look
from edge.kiosk.palette import ASCII, FULL, SIXTEEN, UNICODE


def look_for(environ: Mapping[str, str], encoding: str, language: Language) -> Look:
    """Return the look for a terminal.

    Without UTF-8, and on Linux's own console (512 glyphs, none of them Chinese), it is English in
    ASCII; colours are sixteen unless the terminal says that it has more.
    """
    rich_text = "utf" in encoding.lower() and environ.get("TERM", "") != "linux"
    many = (
        environ.get("COLORTERM", "") in {"truecolor", "24bit"}
        or "256" in environ.get("TERM", "")
        or environ.get("TERM", "").startswith(("foot", "xterm-kitty", "alacritty"))
        or environ.get("TEXTUAL_COLOR_SYSTEM", "") in {"truecolor", "256"}
    )
    return Look(language, FULL if many else SIXTEEN, UNICODE if rich_text else ASCII)
