"""What the station's pages tell a field engineer to type is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from edge.cli import app
from edge.settings import load
from shared.contracts.alarm_codes import CATALOGUE

ROOT = Path(__file__).resolve().parents[3]
PAGES = (
    "edge/README.md",
    "edge/safety/README.md",
    "edge/devices/sensors/README.md",
    "ops/edge/edge.example.toml",
)


def _all(commands: Iterable[Any]) -> Iterator[Any]:
    for command in commands:
        yield command
        yield from _all(getattr(command, "commands", {}).values())


def test_every_command_exists() -> None:
    command = typer.main.get_command(app)
    known = set(command.commands)  # type: ignore[attr-defined]
    for page in PAGES:
        named = set(re.findall(r"vw edge ([a-z-]+)", (ROOT / page).read_text()))
        assert named <= known, page
    options = {
        option
        for each in _all(command.commands.values())  # type: ignore[attr-defined]
        for parameter in each.params
        for option in parameter.opts
    }
    text = (ROOT / "edge/README.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)) <= options


def test_every_alarm_exists() -> None:
    text = (ROOT / "edge/README.md").read_text()
    assert set(re.findall(r"alarm `(\w+)`", text)) <= set(CATALOGUE)


def test_the_page_is_short() -> None:
    assert len((ROOT / "edge/README.md").read_text().splitlines()) <= 120


def test_the_example_is_good() -> None:
    settings = load(ROOT / "ops/edge/edge.example.toml")
    assert settings.charge_point[0].number == "32010600019236"
