"""What the terminal at hand can show, from its environment."""

from __future__ import annotations

from collections.abc import Mapping

from edge.kiosk.look import Language, Look
from edge.kiosk.palette import ASCII, FULL, SIXTEEN, UNICODE

_PYTHONS_WORD = frozenset({"C.UTF-8", "C.utf8", "UTF-8"})


def look_for(environ: Mapping[str, str], encoding: str, language: Language) -> Look:
    """Return the look for a terminal.

    Without UTF-8, and on Linux's own console (512 glyphs, none of them Chinese), it is English in
    ASCII, but a page has everything; colours are sixteen unless the terminal says that it has more.
    """
    rich_text = is_page(environ) or (
        "utf" in encoding.lower()
        and _locale_is_utf8(environ)
        and environ.get("TERM", "") != "linux"
    )
    many = (
        environ.get("COLORTERM", "") in {"truecolor", "24bit"}
        or "256" in environ.get("TERM", "")
        or environ.get("TERM", "").startswith(("foot", "xterm-kitty", "alacritty"))
        or environ.get("TEXTUAL_COLOR_SYSTEM", "") in {"truecolor", "256"}
    )
    return Look(language, FULL if many else SIXTEEN, UNICODE if rich_text else ASCII)


def is_page(environ: Mapping[str, str]) -> bool:
    """Return whether a browser shows the screen, whatever terminal its server was started on."""
    return bool(environ.get("TEXTUAL_DRIVER"))


def can_draw(environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Return whether there is something to draw on: a terminal that moves its cursor, or a page."""
    return is_page(environ) or (is_terminal and environ.get("TERM", "") not in {"", "dumb"})


def _locale_is_utf8(environ: Mapping[str, str]) -> bool:
    """Return whether the locale wants UTF-8; without any, the encoding decides alone.

    For `C`, and for a locale that is not installed, Python writes UTF-8 all the same and puts
    `LC_CTYPE=C.UTF-8` into the environment: beside a `LANG` that is not Python's word, not theirs.
    """
    every, letters, language = (environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    if letters in _PYTHONS_WORD and language:
        letters = ""
    named = every or letters or language
    return not named or "utf" in named.lower()
