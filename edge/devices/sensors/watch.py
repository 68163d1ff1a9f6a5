"""A live table of what sensors say, for somebody who stands in front of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Self

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.devices.sensors.field import FieldBus
from edge.devices.sensors.lines import LineConfig
from edge.devices.sensors.profile import Profile
from edge.devices.sensors.reports import AnySensorReport, PointSampled
from shared.clock import SystemClock
from shared.contracts.protection import CONTACTS, Protection, Quality, Quantity

_FRAMES_PER_S = 4
_UNITS = {
    "_percent": "%",
    "_c": "°C",
    "_v": "V",
    "_a": "A",
    "_w": "W",
    "_kwh": "kWh",
    "_hz": "Hz",
}


class Watched(msgspec.Struct, frozen=True):
    """The lines to watch, what is on them, and the models."""

    lines: tuple[LineConfig, ...]
    protection: Protection
    profiles: Mapping[str, Profile]

    def only(self, line: str) -> Self:
        """Return the same of one line; "" for all."""
        if not line:
            return self
        devices = tuple(each for each in self.protection.devices if each.line == line)
        return type(self)(
            tuple(each for each in self.lines if each.name == line),
            Protection(devices=devices),
            self.profiles,
        )


async def watch(watched: Watched, until_s: float | None, *, as_json: bool) -> None:
    """Poll and show until `until_s` (monotonic), or until it is interrupted."""
    seen: dict[tuple[str, str], PointSampled] = {}

    def on_report(report: AnySensorReport) -> None:
        if isinstance(report, PointSampled):
            seen[report.device, report.point] = report
        if as_json:
            kind = type(report).__name__
            typer.echo(json.dumps({"kind": kind, **msgspec.to_builtins(report)}))

    bus = FieldBus(watched.lines, SystemClock(), on_report, profiles=watched.profiles)
    bus.configure(watched.protection)
    task = asyncio.create_task(bus.run())
    try:
        if as_json:
            await _until(until_s)
        else:
            await _show(watched, seen, until_s)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(until_s: float | None) -> None:
    await asyncio.sleep(until_s - time.monotonic() if until_s is not None else float("inf"))


async def _show(
    watched: Watched, seen: Mapping[tuple[str, str], PointSampled], until_s: float | None
) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        while until_s is None or time.monotonic() < until_s:
            await asyncio.sleep(1 / _FRAMES_PER_S)
            live.update(table(watched, seen, time.monotonic()), refresh=True)


def table(watched: Watched, seen: Mapping[tuple[str, str], PointSampled], now_s: float) -> Table:
    """Return one line a point; `now_s` is monotonic."""
    made = Table("device", "point", "", "value", "quality", "age")
    for device in watched.protection.devices:
        for point in watched.profiles[device.profile].points:
            report = seen.get((device.name, point.name))
            titles = f"{point.title_zh} / {point.title_en}"
            if report is None:
                made.add_row(device.name, point.name, titles, "", "…", "")
                continue
            style = _style(report)
            made.add_row(
                device.name,
                point.name,
                titles,
                Text(in_words(report), style=style),
                Text(report.quality, style=style),
                f"{now_s - report.at.mono_s:.1f} s",
            )
    return made


def in_words(report: PointSampled) -> str:
    """Return a value with its unit; "–" without one."""
    if report.value is None:
        return "–"
    if report.quantity in CONTACTS:
        return "1" if report.value else "0"
    return f"{report.value:g} {_unit(report.quantity)}".strip()


def _unit(quantity: Quantity) -> str:
    return next((unit for end, unit in _UNITS.items() if quantity.endswith(end)), "")


def _style(report: PointSampled) -> str:
    if report.quality is not Quality.GOOD:
        return "yellow"
    is_alarm = report.quantity in CONTACTS and report.value and report.quantity not in _HARMLESS
    return "bold red" if is_alarm else ""


_HARMLESS = frozenset({Quantity.OUTPUT_ON, Quantity.BREAKER_CLOSED})
