"""Colours and signs of the screen; states carry a sign and a word too, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from edge.kiosk.ink import Ink
from shared.contracts.words import ConnectorStatus, Severity


@dataclass(frozen=True)
class Palette:
    """The inks of one kind of terminal."""

    text: Ink
    dim: Ink
    good: Ink
    warn: Ink
    bad: Ink
    busy: Ink
    head: Ink
    card: Ink
    chosen: Ink
    track: Ink
    bar: Ink
    bar_high: Ink
    ok_strip: Ink
    warn_strip: Ink
    bad_strip: Ink
    info_strip: Ink
    stale: Ink
    alarm: Ink
    alarm_dark: Ink
    drill: Ink
    drill_dark: Ink
    button: Ink
    code: Ink
    states: dict[ConnectorStatus, Ink]
    severities: dict[Severity, Ink]


_BACK, _PANEL, _CARD = "#0d1117", "#161b22", "#30363d"

FULL = Palette(
    text=Ink("#e6edf3", _BACK),
    dim=Ink("#9ba5b1", _BACK),
    good=Ink("#4cc38a", _BACK, bold=True),
    warn=Ink("#ffb454", _BACK, bold=True),
    bad=Ink("#ff6369", _BACK, bold=True),
    busy=Ink("#5aa9ff", _BACK, bold=True),
    head=Ink("#ffffff", _PANEL, bold=True),
    card=Ink("#ffffff", _CARD, bold=True),
    chosen=Ink("#0d1117", "#e6edf3", bold=True),
    track=Ink("#9ba5b1", "#21262d"),
    bar=Ink("#1b62d1", "#21262d"),
    bar_high=Ink("#f2b01e", "#21262d"),
    ok_strip=Ink("#ffffff", "#1a7f37", bold=True),
    warn_strip=Ink("#201500", "#f2b01e", bold=True),
    bad_strip=Ink("#ffffff", "#c4121a", bold=True),
    info_strip=Ink("#10202e", "#58c7f3", bold=True),
    stale=Ink("#d0d7de", "#444c56"),
    alarm=Ink("#ffffff", "#c4121a", bold=True),
    alarm_dark=Ink("#ffffff", "#7d0a10", bold=True),
    drill=Ink("#ffffff", "#6e40c9", bold=True),
    drill_dark=Ink("#ffffff", "#4c2889", bold=True),
    button=Ink("#7d0a10", "#ffffff", bold=True),
    code=Ink("#000000", "#ffffff"),
    states={
        ConnectorStatus.IDLE: Ink("#0b1a10", "#3fb950", bold=True),
        ConnectorStatus.PLUGGED: Ink("#10202e", "#58c7f3", bold=True),
        ConnectorStatus.CHARGING: Ink("#ffffff", "#1b62d1", bold=True),
        ConnectorStatus.FINISHED: Ink("#ffffff", "#6e40c9", bold=True),
        ConnectorStatus.FAULT: Ink("#201500", "#f2b01e", bold=True),
        ConnectorStatus.OFFLINE: Ink("#ffffff", "#57606a", bold=True),
        ConnectorStatus.ALARM: Ink("#ffffff", "#c4121a", bold=True),
        ConnectorStatus.UNKNOWN: Ink("#ffffff", "#57606a", bold=True),
    },
    severities={
        Severity.CRITICAL: Ink("#ff6369", _BACK, bold=True),
        Severity.MAJOR: Ink("#ffb454", _BACK, bold=True),
        Severity.MINOR: Ink("#58c7f3", _BACK, bold=True),
        Severity.INFO: Ink("#9ba5b1", _BACK),
    },
)

# The exact colours that a terminal of 16 colours has: nothing is left to guess a nearest one.
_BLACK, _WHITE, _GREY, _DARK = "#000000", "#ffffff", "#aaaaaa", "#555555"
_RED, _GREEN, _YELLOW, _BLUE = "#aa0000", "#00aa00", "#ffff55", "#0000aa"
_MAGENTA, _CYAN, _LIGHT_RED, _LIGHT_GREEN = "#aa00aa", "#00aaaa", "#ff5555", "#55ff55"

SIXTEEN = Palette(
    text=Ink(_WHITE, _BLACK),
    dim=Ink(_GREY, _BLACK),
    good=Ink(_LIGHT_GREEN, _BLACK, bold=True),
    warn=Ink(_YELLOW, _BLACK, bold=True),
    bad=Ink(_LIGHT_RED, _BLACK, bold=True),
    busy=Ink("#55ffff", _BLACK, bold=True),
    head=Ink(_WHITE, _BLACK, bold=True),
    card=Ink(_WHITE, _DARK, bold=True),
    chosen=Ink(_BLACK, _WHITE, bold=True),
    track=Ink(_GREY, _BLACK),
    bar=Ink("#5555ff", _DARK),
    bar_high=Ink(_YELLOW, _DARK),
    ok_strip=Ink(_BLACK, _GREEN, bold=True),
    warn_strip=Ink(_BLACK, _YELLOW, bold=True),
    bad_strip=Ink(_WHITE, _RED, bold=True),
    info_strip=Ink(_BLACK, _CYAN, bold=True),
    stale=Ink(_BLACK, _GREY),
    alarm=Ink(_WHITE, _RED, bold=True),
    alarm_dark=Ink(_WHITE, _BLACK, bold=True),
    drill=Ink(_WHITE, _MAGENTA, bold=True),
    drill_dark=Ink(_WHITE, _BLACK, bold=True),
    button=Ink(_BLACK, _WHITE, bold=True),
    code=Ink(_BLACK, _WHITE),
    states={
        ConnectorStatus.IDLE: Ink(_BLACK, _GREEN, bold=True),
        ConnectorStatus.PLUGGED: Ink(_BLACK, _CYAN, bold=True),
        ConnectorStatus.CHARGING: Ink(_WHITE, _BLUE, bold=True),
        ConnectorStatus.FINISHED: Ink(_WHITE, _MAGENTA, bold=True),
        ConnectorStatus.FAULT: Ink(_BLACK, _YELLOW, bold=True),
        ConnectorStatus.OFFLINE: Ink(_WHITE, _DARK, bold=True),
        ConnectorStatus.ALARM: Ink(_WHITE, _RED, bold=True),
        ConnectorStatus.UNKNOWN: Ink(_WHITE, _DARK, bold=True),
    },
    severities={
        Severity.CRITICAL: Ink(_LIGHT_RED, _BLACK, bold=True),
        Severity.MAJOR: Ink(_YELLOW, _BLACK, bold=True),
        Severity.MINOR: Ink("#55ffff", _BLACK, bold=True),
        Severity.INFO: Ink(_GREY, _BLACK),
    },
)


@dataclass(frozen=True)
class Signs:
    """The signs that a terminal can draw."""

    states: dict[ConnectorStatus, str]
    tick: str
    cross: str
    dot: str
    warning: str
    bullet: str
    degree: str
    cursor: str
    secret: str
    steps: str
    """From empty to full, for charts and bars."""
    blocks: bool
    """Whether half blocks can be drawn: big words and digits."""


UNICODE = Signs(
    states={
        ConnectorStatus.IDLE: "○",
        ConnectorStatus.PLUGGED: "◐",
        ConnectorStatus.CHARGING: "▶",
        ConnectorStatus.FINISHED: "✔",
        ConnectorStatus.FAULT: "▲",
        ConnectorStatus.OFFLINE: "✕",
        ConnectorStatus.ALARM: "■",
        ConnectorStatus.UNKNOWN: "?",
    },
    tick="✔",
    cross="✕",
    dot="●",
    warning="▲",
    bullet="·",
    degree="°C",
    cursor="▶",
    secret="●",  # noqa: S106 - the sign that hides a digit
    steps=" ▁▂▃▄▅▆▇█",
    blocks=True,
)

ASCII = Signs(
    states={
        ConnectorStatus.IDLE: "o",
        ConnectorStatus.PLUGGED: "c",
        ConnectorStatus.CHARGING: ">",
        ConnectorStatus.FINISHED: "v",
        ConnectorStatus.FAULT: "!",
        ConnectorStatus.OFFLINE: "x",
        ConnectorStatus.ALARM: "#",
        ConnectorStatus.UNKNOWN: "?",
    },
    tick="ok",
    cross="x",
    dot="*",
    warning="!",
    bullet="-",
    degree="C",
    cursor=">",
    secret="*",  # noqa: S106 - the sign that hides a digit
    steps=" .:-=+*##",
    blocks=False,
)
