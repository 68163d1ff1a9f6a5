"""In which language, signs and colours the screen speaks; and its texts."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Protocol

from edge.kiosk.clean import plainer
from edge.kiosk.palette import FULL, UNICODE, Palette, Signs


class Language(StrEnum):
    """Languages of the screen."""

    ZH = "zh"
    EN = "en"

    @property
    def other(self) -> Language:
        """Return the other language."""
        return Language.EN if self is Language.ZH else Language.ZH


@lru_cache(maxsize=1)
def texts() -> dict[str, dict[str, str]]:
    """Return the table of texts: key → language → text. Texts may have parameters in braces."""
    source = files("edge.kiosk").joinpath("texts.toml").read_text(encoding="utf-8")
    return {
        f"{group}.{name}": languages
        for group, entries in tomllib.loads(source).items()
        for name, languages in entries.items()
    }


class _Titled(Protocol):
    @property
    def title_zh(self) -> str: ...
    @property
    def title_en(self) -> str: ...


@dataclass(frozen=True)
class Look:
    """How the screen looks now. Without UTF-8 it is English in ASCII."""

    language: Language = Language.ZH
    palette: Palette = FULL
    signs: Signs = UNICODE

    def text(self, key: str, **parameters: object) -> str:
        """Return a text in the current language.

        Raises:
            KeyError: The table has no such text.
        """
        text = texts()[key][self.spoken]
        text = text.format(**parameters) if parameters else text
        return text if self.signs.blocks else plainer(text)

    @property
    def spoken(self) -> Language:
        """Return the language that the terminal can show."""
        return self.language if self.signs.blocks else Language.EN

    def pick(self, zh: str, en: str) -> str:
        """Return one of two texts from the agent; an empty one gives way to the other."""
        first, second = (zh, en) if self.spoken is Language.ZH else (en, zh)
        text = first or second
        return text if self.signs.blocks else plainer(text)

    def title(self, of: _Titled) -> str:
        """Return the title of a view."""
        return self.pick(of.title_zh, of.title_en)
