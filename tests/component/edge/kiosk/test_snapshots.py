"""Every screen as it was looked at, in three sizes and both languages, character and colour.

After a change that is wanted: `KIOSK_SNAPSHOTS=write` makes them anew; with `KIOSK_PICTURES=DIR`
each is also drawn there as SVG. Look at what changed before it is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual.geometry import Size

from edge.kiosk.ink import Frame
from edge.kiosk.look import Language
from edge.kiosk.picture import svg
from edge.view import StationView
from tests.component.edge.kiosk.kiosk_support import Kiosk, kiosk
from tests.fakes.stations import (
    burning,
    calm,
    degraded,
    door,
    empty,
    hot,
    instructed,
    smoke,
    starting,
)

FOLDER = Path(__file__).parent / "snapshots"
SIZES = ((160, 45), (106, 30), (80, 24))
_ACKED = burning(smoke(), hot(), door())
# Keys; `@` waits for a screen.
SCREENS: dict[str, tuple[StationView, tuple[str, ...], str]] = {
    "wall": (calm(), (), "WallScreen"),
    "wall_acknowledged": (burning(hot(acknowledged_by="x"), door()), (), "WallScreen"),
    "wall_degraded": (degraded(), (), "WallScreen"),
    "wall_empty": (empty(), (), "WallScreen"),
    "wall_starting": (starting(), (), "WallScreen"),
    "wall_24": (calm(24), (), "WallScreen"),
    "alarm": (burning(hot(), smoke()), (), "AlarmScreen"),
    "alarm_drill": (burning(smoke(drill=True)), (), "AlarmScreen"),
    "detail": (burning(door()), ("right", "right", "right", "enter"), "DetailScreen"),
    "alarms": (
        burning(hot(acknowledged_by="x", acknowledged_ms=smoke().raised_ms), door()),
        ("v",),
        "AlarmListScreen",
    ),
    "trend": (calm(), ("e",), "TrendScreen"),
    "system": (calm(), ("y",), "SystemScreen"),
    "responder": (_ACKED, ("r",), "ResponderScreen"),
    "instruction": (instructed(), (), "InstructionScreen"),
    "stop": (calm(), ("right", "right", "enter", "@DetailScreen", "p"), "ChoiceScreen"),
    "pin": (calm(), ("t", "@DrillScreen", "enter", "@PinScreen", "1", "2", "3"), "PinScreen"),
    "drill": (calm(), ("t",), "DrillScreen"),
    "help": (calm(), ("f1",), "HelpScreen"),
}


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
async def test_it_looks_as_it_did(
    tmp_path: Path, name: str, size: tuple[int, int], language: Language
) -> None:
    view, keys, top = SCREENS[name]
    async with kiosk(tmp_path, view, size=size, language=language) as screen:
        await _opened(screen, view, keys, top)
        if name == "pin":
            await screen.shows("●●●")
        if name == "trend":
            await screen.shows("19.0 °C")
        frame = screen.frame
        on_terminal = screen.app.screen._compositor.render_strips(Size(*size))
        assert [strip.text for strip in on_terminal] == [
            "".join(span.text for span in line) for line in frame.lines
        ]
    _compare(f"{name}_{language}_{size[0]}x{size[1]}", frame)


async def _opened(screen: Kiosk, view: StationView, keys: tuple[str, ...], top: str) -> None:
    """Open a screen; an alarm that flashes is caught in its lighter red."""
    for key in keys:
        if key.startswith("@"):
            await screen.stands_on(key[1:])
        else:
            await screen.pilot.press(key)
    await screen.stands_on(top)
    await screen.until(lambda: bool(screen.frame.lines))
    if top == "AlarmScreen":
        dark = {"#7d0a10", "#4c2889"}
        await screen.until(lambda: screen.frame.lines[0][0].ink.bg not in dark)
    assert screen.app.station is not None
    assert screen.app.station.alarms == view.alarms


def _compare(name: str, frame: Frame) -> None:
    if folder := os.environ.get("KIOSK_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.svg").write_text(svg(frame))
    path = FOLDER / f"{name}.txt"
    drawn = _written(frame)
    if os.environ.get("KIOSK_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


def _written(frame: Frame) -> str:
    """Return the characters, then the inks of each line: colour, ground, bold, letters."""
    lines = ["".join(span.text for span in line).rstrip() for line in frame.lines]
    for line in frame.lines:
        runs: list[list[object]] = []
        for text, ink in line:
            key = f"{ink.fg}/{ink.bg}{'/b' if ink.bold else ''}"
            if runs and runs[-1][0] == key:
                runs[-1][1] = int(str(runs[-1][1])) + len(text)
            else:
                runs.append([key, len(text)])
        lines.append(" ".join(f"{key}*{count}" for key, count in runs))
    return "\n".join(lines) + "\n"
