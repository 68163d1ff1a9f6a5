"""Alarm texts in the reader's language, and which alarm is worse. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Any

from msgspec import Struct

from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.words import Severity

RANK = {severity: rank for rank, severity in enumerate(Severity)}
"""0 is the worst."""
OF_HQ = frozenset(
    {"station_offline", "station_twice", "batch_parked", "broker_unreachable", "notices_failing"}
)
"""Alarms that HQ itself finds: stations do not know them and are told nothing of them."""
SHELVED_MAX_H = 8


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst of some severities. Raises ValueError for none."""
    return min(severities, key=RANK.__getitem__)


class Texts(Struct, frozen=True):
    """What an alarm says, and what to do."""

    title: str
    advice: str


_MISSING = "…"


class _Lenient(Formatter):
    """Fills braces from params; what is not given is left open."""

    def get_value(self, key: Any, args: Any, kwargs: Any) -> Any:
        """Return the value of a name, an ellipsis where there is none."""
        del args
        return kwargs.get(key) or _MISSING


_formatter = _Lenient()


def texts_of(code: str, params: Mapping[str, str], *, chinese: bool) -> Texts:
    """Return title and advice; an unknown code, of a newer station, is its own title."""
    entry = CATALOGUE.get(code)
    if entry is None:
        return Texts(code, "")
    title = entry.title_zh if chinese else entry.title_en
    advice = entry.advice_zh if chinese else entry.advice_en
    return Texts(_fill(title, params), _fill(advice, params))


def _fill(text: str, params: Mapping[str, str]) -> str:
    return _formatter.vformat(text, (), dict(params))
