"""Everything that the screen says is there in both languages, and fits what it says it of."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from edge.kiosk import screens
from edge.kiosk.look import texts
from edge.kiosk.palette import ASCII, FULL, SIXTEEN, UNICODE, Palette, Signs
from edge.kiosk.screens import alarm, alarms, base, detail, dialogs, pages, trend, wall
from shared.contracts.alarm_codes import CATALOGUE
from shared.contracts.protection import OutputKind, Quality
from shared.contracts.words import ConnectorStatus, Severity

SOURCES = Path(screens.__file__).parents[1]
WHOLE_KEY = re.compile(r'"((?:[a-z]+)\.[a-z_0-9]+)"')
MODULES = (alarm, alarms, base, detail, dialogs, pages, trend, wall)


def used() -> set[str]:
    groups = {key.partition(".")[0] for key in texts()}
    keys = {
        key
        for path in SOURCES.rglob("*.py")
        for key in WHOLE_KEY.findall(path.read_text(encoding="utf-8"))
        if key.partition(".")[0] in groups and not key.endswith((".html", ".tcss", ".sock"))
    }
    for group, words in (
        ("status", ConnectorStatus), ("severity", Severity), ("quality", Quality),
        ("output", OutputKind),
    ):  # fmt: skip
        keys |= {f"{group}.{word.value}" for word in words}
    for module in MODULES:
        for thing in vars(module).values():
            for _, action in getattr(thing, "KEYS", ()):
                keys.add(f"key.{action.partition('(')[0]}")
    return keys - {"system.path"}


def test_every_text_is_there_in_both_languages() -> None:
    for key, languages in texts().items():
        assert set(languages) == {"zh", "en"}, key
        assert all(text.strip() for text in languages.values()), key


def test_both_languages_have_the_same_parameters() -> None:
    for key, languages in texts().items():
        names = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
            for text in languages.values()
        ]
        assert names[0] == names[1], key


def test_every_text_that_is_used_exists() -> None:
    assert used() - set(texts()) == set()


def test_the_big_words_belong_to_alarms_that_there_are() -> None:
    words = {key.partition(".")[2] for key in texts() if key.startswith("word.")}
    assert words - {"alarm"} <= set(CATALOGUE)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", [FULL, SIXTEEN], ids=["full", "sixteen"])
def test_everything_can_be_read(palette: Palette) -> None:
    bars = {palette.bar, palette.bar_high, palette.track}
    inks = [getattr(palette, name) for name in palette.__dataclass_fields__]
    plain = [ink for ink in inks if not isinstance(ink, dict) and ink not in bars]
    for ink in (*plain, *palette.states.values(), *palette.severities.values()):
        light, dark = sorted((_luminance(ink.fg), _luminance(ink.bg)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, ink


@pytest.mark.parametrize("signs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_states_differ_without_colour(signs: Signs) -> None:
    assert set(signs.states) == set(ConnectorStatus)
    assert len(set(signs.states.values())) == len(ConnectorStatus)


def test_sixteen_colours_are_exactly_those_of_a_terminal() -> None:
    levels = {"00", "55", "aa", "ff"}
    for ink in SIXTEEN.states.values():
        for colour in (ink.fg, ink.bg):
            assert {colour[1:3], colour[3:5], colour[5:7]} <= levels
