"""The catalogue of alarms: code → how bad, what it says and what to do, in zh and en.

The texts stand in `alarm_codes.toml`, one table a code; they may name the parameters that
`AlarmRaised.params` carries, in braces.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files

import msgspec
from msgspec import Struct

from shared.contracts.words import Severity


class AlarmCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of alarm."""

    code: str
    severity: Severity
    title_zh: str = msgspec.field(name="zh")
    title_en: str = msgspec.field(name="en")
    advice_zh: str
    advice_en: str


def _load() -> dict[str, AlarmCode]:
    text = files(__package__).joinpath("alarm_codes.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text).items()
    return {code: msgspec.convert({"code": code, **table}, AlarmCode) for code, table in tables}


CATALOGUE: dict[str, AlarmCode] = _load()


def entry_of(code: str) -> AlarmCode:
    """Return what the catalogue says of a code.

    One that it lacks, because another version raised the alarm, is major and called by its code.
    """
    return CATALOGUE.get(code) or AlarmCode(
        code=code,
        severity=Severity.MAJOR,
        title_zh=code,
        title_en=code,
        advice_zh="",
        advice_en="",
    )
