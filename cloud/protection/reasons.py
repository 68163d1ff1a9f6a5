"""Why a document is refused, as a code with words in the reader's language.

The check is the stations' too and says why in English; here each of its sentences gets a code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from cloud.web.texts import Texts

_SENTENCES: Mapping[str, str] = {
    "unit_id": r"(?P<value>.+), use 1 to (?P<most>\d+)",
    "contactor_feeds": r"a contactor names what it feeds, and nothing else does",
    "no_device": r"a loudspeaker has no device",
    "circle": r"it comes back to itself",
    "backup": r"a (?P<backup>\S+) cannot take over from a (?P<output>\S+)",
    "not_catalogued": r"(?P<value>.+) is not in the catalogue of alarms",
    "no_row": r"(?P<value>.+) has no row in the matrix",
    "one_of_two": r"(?P<value>.+), use (?P<first>[a-z]+) or (?P<second>[a-z]+)",
    "always_stops": r"(?P<value>\S+) always stops something",
    "always_blocks": r"(?P<value>\S+) always blocks, use (?P<least>.+)",
    "unplugging": r"only a connector is freed by unplugging",
    "of_connectors": r"(?P<value>.+) comes from connectors",
    "silence": r"a connector's silence is its charge point's, and an idle one does not move",
    "no_limit": r"above or below must be given",
    "nothing_good": r"nothing between the two limits is good",
    "no_slope": r"0 is no slope",
    "with_itself": r"a value cannot be compared with itself",
    "two_kinds": r"one is a connector's value, the other a sensor's",
    "negative": r"negative, so margin_percent would not count",
    "missing": r"missing",
    "too_long": r"(?P<value>\d+) letters, at most (?P<most>\d+)",
    "letters": r"(?P<value>.+) has spaces around it, '/', ':' or unprintable letters",
    "text": r"at most (?P<most>\d+) letters, all of them printable",
    "not_there": r"no (?P<kind>.+) is named (?P<value>.+)",
    "twice": r"(?P<value>.+) twice",
    "not_comparable": r"not a number that can be compared with",
    "between": r"(?P<value>\S+), use (?P<least>\S+) to (?P<most>\S+)",
    "on_or_off": r"(?P<value>\S+) is only on or off",
    "unknown_field": r"unknown; known are (?P<known>.*)",
    "wrong_kind": r"Expected `(?P<wanted>.+?)`, got `(?P<value>.+)`",
    "required": r"Object missing required field `(?P<value>.+)`",
    "invalid_value": r"Invalid (?:enum )?value (?P<value>.+)",
    "no_json": r"no JSON: (?P<value>.+)",
    "too_big": r"more than (?P<most>\d+) bytes",
}
_PATTERNS = {code: re.compile(pattern, re.DOTALL) for code, pattern in _SENTENCES.items()}


class Reason(Struct, frozen=True, kw_only=True):
    """Why: `code` is "" for a sentence that is not known, which then stands for itself."""

    code: str
    english: str
    values: Mapping[str, str] = {}

    def words(self, texts: Texts) -> str:
        """Return it in the reader's language."""
        return texts(f"reason.{self.code}", **self.values) if self.code else self.english


def reason_of(english: str) -> Reason:
    """Return what a sentence of the check says."""
    for code, pattern in _PATTERNS.items():
        if found := pattern.fullmatch(english):
            return Reason(code=code, english=english, values=found.groupdict())
    return Reason(code="", english=english)
