"""`vw sim sensors`: the Modbus devices of a station until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from edge.devices.sensors.profile import load_profiles
from ops.sim.control import ControlServer
from ops.sim.loop import run
from ops.sim.sensors.actions import AnySensorAction
from ops.sim.sensors.layout import Layout, Line, load, one_of_each
from ops.sim.sensors.site import SensorSite
from shared import logs
from shared.errors import ConfigError


def sensors(
    port: Annotated[int, typer.Option(help="TCP port of the devices; 0 = any free one.")] = 0,
    host: Annotated[str, typer.Option(help="Where they listen.")] = "127.0.0.1",
    kind: Annotated[str, typer.Option(help="tcp, rtu_over_tcp, pty or serial.")] = "tcp",
    device: Annotated[
        str, typer.Option(help="Serial port; with pty, where to put a link to the terminal.")
    ] = "",
    baud: Annotated[int, typer.Option(help="Answer as slowly as such a line; 0 = at once.")] = 0,
    layout: Annotated[
        Path | None, typer.Option(help="TOML or JSON: devices, zones, outputs, lines.")
    ] = None,
    profile_dir: Annotated[Path | None, typer.Option(help="More models.")] = None,
    control_port: Annotated[
        int, typer.Option(help="Loopback port for JSON lines; 0 = none, -1 = any free one.")
    ] = 0,
    charger_control: Annotated[
        int, typer.Option(help="Control port of `vw sim charger`, whose supply contactors cut.")
    ] = 0,
    pace: Annotated[float, typer.Option(min=0.1, help="How fast fire and water grow.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same doings: same values.")] = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print totals as JSON.")] = False,
) -> None:
    """Simulate detectors, meters and relays on Modbus lines, and what they notice.

    Without --layout there is one device of each model, unit ids from 1 in the order of names.
    """
    logs.set_up(level="DEBUG" if verbose else "INFO")
    if kind not in ("tcp", "rtu_over_tcp", "pty", "serial"):
        raise _fail(f"--kind {kind}: use tcp, rtu_over_tcp, pty or serial")
    try:
        profiles = load_profiles(profile_dir)
        stands = load(layout) if layout is not None else one_of_each(profiles)
        site = SensorSite(
            stands,
            profiles,
            default=Line(kind=kind, host=host, port=port, device=device, baud=baud),  # type: ignore[arg-type]  # checked above
            charger_control_port=charger_control,
            seed=seed,
            pace=pace,
        )
    except ConfigError as error:
        raise _fail(str(error)) from error
    try:
        run(_serve(site, stands, control_port))
    except OSError as error:
        raise _fail(f"cannot listen: {error}") from error
    _print_totals(site, as_json=as_json)


async def _serve(site: SensorSite, layout: Layout, control_port: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    control = ControlServer(site, AnySensorAction)
    async with site:
        for name, line in site.lines.items():
            _say(f"line {name or 'default'} {line.spec.kind} {line.address}")
        if control_port:
            _say(f"control port {await control.start(max(0, control_port))}")
        for spec in layout.devices:
            _say(f"unit {spec.unit_id:3} {spec.name:24} {spec.profile} zone {spec.zone or '-'}")
        await ended.wait()
        await control.stop()


def _print_totals(site: SensorSite, *, as_json: bool) -> None:
    names = Counter(event.name for event in site.installation.log.events)
    totals = {"requests": site.installation.requests, **names}
    if as_json:
        typer.echo(json.dumps(totals))
        return
    for name, count in totals.items():
        typer.echo(f"{name:16} {count}")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str) -> typer.Exit:
    _say(f"error: {text}")
    return typer.Exit(2)
