"""The words of all pages in zh and en, from `i18n/*.toml`. Both have the same keys, or nothing
starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import Request

from cloud.core.language import wants_chinese

LANGUAGES = ("zh", "en")
COOKIE = "vw_lang"


class Texts:
    """The words of one language."""

    def __init__(self, language: str, words: Mapping[str, str]) -> None:
        self.language = language
        self.words = words

    @property
    def chinese(self) -> bool:
        """Whether this is Chinese."""
        return self.language == "zh"

    def __call__(self, key: str, **values: object) -> str:
        """Return a text with its braces filled. Raises KeyError: a key of ours is missing."""
        return self.words[key].format(**values) if values else self.words[key]

    def word(self, group: str, value: object) -> str:
        """Return the word for a value; one that a newer program sent stands for itself."""
        return self.words.get(f"{group}.{value}", str(value))

    def name(self, zh: str, en: str) -> str:
        """Return a name that people gave, in this language if they did."""
        return (zh or en) if self.chinese else (en or zh)


@cache
def catalogue() -> dict[str, Texts]:
    """Return the texts by language. Raises ValueError: a key is missing in one of them."""
    found = {language: _read(language) for language in LANGUAGES}
    lonely = set(found["zh"]) ^ set(found["en"])
    if lonely:
        raise ValueError(f"texts in one language only: {', '.join(sorted(lonely))}")
    return {language: Texts(language, words) for language, words in found.items()}


def texts_for(request: Request) -> Texts:
    """Return the texts for a reader: `?lang=`, else the cookie, else what the browser asks for."""
    for wish in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wish in LANGUAGES:
            return catalogue()[wish]
    chinese = wants_chinese(request.headers.get("Accept-Language", "")[:200])
    return catalogue()["zh" if chinese else "en"]


def _read(language: str) -> dict[str, str]:
    text = files("cloud.web").joinpath(f"i18n/{language}.toml").read_text(encoding="utf-8")
    return _flat(tomllib.loads(text))


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    words: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            words |= _flat(value, f"{prefix}{key}.")
        else:
            words[prefix + key] = value
    return words
