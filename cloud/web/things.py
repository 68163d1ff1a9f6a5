"""What an alarm is about, in words: the one place where the console, notices and files name it."""

from __future__ import annotations

from collections.abc import Mapping

from cloud.web.formats import tail
from cloud.web.texts import Texts

_SHOWN = 6
"""Digits of a charge point's number that people tell it by."""


def thing(t: Texts, object_: str, titles: Mapping[str, tuple[str, str]]) -> str:
    """Return the name of an object as in `AlarmRaised.object`; a kind of a newer station as it is.

    A sensor or zone is called what the station's document calls it, which `titles` has in zh and
    en by `sensor:NAME` and `zone:NAME`; a charge point by the end of its number.
    """
    kind, _, name = object_.partition(":")
    part, _, point = name.partition("/")
    if title := titles.get(f"{kind}:{part}"):
        called = t.name(*title)
        return f"{called} · {point}" if point else called
    word = t.word("object", kind)
    match kind:
        case "connector":
            number, _, connector_no = name.partition(":")
            return f"{word} {tail(number, _SHOWN)} {t('connector.short', n=connector_no)}"
        case "charge_point":
            return f"{word} {tail(name, _SHOWN)}"
        case _:
            return " ".join(filter(None, (word, name.replace(":", " · "))))
