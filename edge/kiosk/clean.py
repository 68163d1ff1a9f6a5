"""Texts that may be drawn: what vehicles and devices say could hold a terminal's commands."""

from __future__ import annotations

from typing import TypeVar, cast

from msgspec import Struct, structs

_T = TypeVar("_T")
_PLAINER = str.maketrans({"°": "", "–": "-", "·": "-", "↓": "Dn", "→": "Rt", "…": "~"})
_WIDE_BLANK = "\u3000"


def printable(value: _T, *, plain: bool = False) -> _T:
    """Return `value` with every text in it printable; the same object where nothing was wrong.

    `plain` leaves English in ASCII only; texts in Chinese have an English twin.
    """
    if isinstance(value, str):
        good = value.isprintable() and (value.isascii() or not plain)
        return value if good else cast("_T", _cleaned(value, plain=plain))
    if isinstance(value, tuple):
        cleaned = tuple(printable(entry, plain=plain) for entry in value)
        same = all(new is old for new, old in zip(cleaned, value, strict=True))
        return value if same else cast("_T", cleaned)
    if isinstance(value, Struct):
        changes = {}
        for name in value.__struct_fields__:
            old = getattr(value, name)
            new = printable(old, plain=plain and not name.endswith("_zh"))
            if new is not old:
                changes[name] = new
        return structs.replace(value, **changes) if changes else value
    return value


def _cleaned(text: str, *, plain: bool) -> str:
    """Blanks of every kind become blanks; what cannot be seen is left out."""
    text = text.replace(_WIDE_BLANK, "  ")
    kept = (" " if letter.isspace() else letter for letter in text)
    text = "".join(letter for letter in kept if letter.isprintable())
    return plainer(text) if plain else text


def plainer(text: str) -> str:
    """Return a text in ASCII."""
    return text.translate(_PLAINER).encode("ascii", "replace").decode("ascii")
