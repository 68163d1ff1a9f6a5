"""`vw edge …`: run the agent, check its configuration, read what charge points said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge import site_cli
from edge.cli_parts import (
    FAILED,
    NOT_FOUND,
    OK,
    USAGE,
    ConfigOption,
    JsonOption,
    ask,
    load,
    stop,
)
from edge.devices.sensors import cli as sensors_cli
from edge.kiosk import cli as kiosk_cli
from edge.safety import cli as protection_cli
from shared import logs
from shared.errors import ConfigError

if TYPE_CHECKING:
    from edge.replay import Outcome, Setting
    from edge.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The station agent.")
site_cli.add_to(app)
kiosk_cli.add_to(app)
app.add_typer(sensors_cli.app, name="sensors")
app.add_typer(protection_cli.app, name="protection")


@app.command()
def run(config: ConfigOption) -> None:
    """Serve charge points until stopped. Says on stderr where it listens."""
    import uvloop

    from edge.app import serve

    settings = load(config)
    logs.set_up(level=settings.log.level)

    def on_listening(host: str, port: int) -> None:
        typer.echo(f"listening for charge points on {host}:{port}", err=True)

    try:
        uvloop.run(serve(settings, on_listening))
    except ConfigError as error:
        stop(f"{config}: {error}", USAGE)


@app.command("check-config")
def check_config(config: Annotated[Path, typer.Argument(help="The file to check.")]) -> None:
    """Check a configuration file; every wrong field is named. Exit 2 when one is wrong."""
    from edge.station.tariffs import load_file
    from shared.protection import load_file as load_protection

    settings = load(config)
    wrong: list[str] = []
    with _noting(wrong):
        if settings.hq is not None:
            settings.hq.read_secret()
    with _noting(wrong):
        if settings.tariff is not None:
            load_file(settings.tariff.file)
    line_report: list[str] = []
    with _noting(wrong, "protection.file: "):
        if settings.protection is not None:
            load_protection(settings.protection.file)
    if not any(each.startswith("protection.file") for each in wrong):
        with _noting(wrong):
            line_report = sensors_cli.line_report(settings)
    if wrong:
        stop("\n".join(f"{config}: {each}" for each in wrong), USAGE)
    typer.echo(f"{config}: good; station {settings.station.number}, zone {settings.station.zone}")
    for text in line_report:
        typer.echo(text)


@contextlib.contextmanager
def _noting(wrong: list[str], where: str = "") -> Iterator[None]:
    """Note what is wrong, and go on to the next."""
    try:
        yield
    except ConfigError as error:
        wrong.append(f"{where}{error}")


@app.command()
def adopt(
    number: Annotated[str, typer.Argument(help="The charge point's 14 digits.")],
    config: ConfigOption,
    connectors: Annotated[int, typer.Option(help="How many; 0 takes what it said itself.")] = 0,
    dialect: Annotated[str, typer.Option(help="ykc16, ykc15 or ylc.")] = "ykc16",
    rated_kw: Annotated[float, typer.Option(help="Rated power of a connector.")] = 120.0,
) -> None:
    """Let a charge point in that waits because its number is unknown here."""
    request = {
        "do": "adopt",
        "number": number,
        "connectors": connectors,
        "dialect": dialect,
        "rated_kw": rated_kw,
    }
    answer = ask(load(config), request)
    typer.echo(f"adopted {answer['adopted']} with {answer['connectors']} connectors")


@app.command()
def waiting(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List charge points that knocked and are unknown."""
    entries = ask(load(config), {"do": "waiting"})["waiting"]
    if as_json:
        typer.echo(json.dumps(entries))
        return
    if not entries:
        typer.echo("no charge point is waiting; check its server address and port")
    for entry in entries:
        typer.echo(f"{entry['charge_point_no']}  from {entry['address']}  {entry['firmware']}")


@app.command()
def state(config: ConfigOption, as_json: JsonOption = False) -> None:
    """Show the running station: connectors, transactions, alarms, link."""
    answer = ask(load(config), {"do": "state"})
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    hq = answer["hq"]
    typer.echo(f"station {answer['station_no']}  HQ {'on-line' if hq['connected'] else 'off-line'}")
    for entry in answer["connectors"]:
        power = f"{(entry['power_w'] or 0) / 1000:.1f} kW" if entry["power_w"] else ""
        typer.echo(
            f"{entry['charge_point_no']}-{entry['connector_no']}  {entry['status']}  {power}"
        )
    for alarm in answer["alarms"]:
        typer.echo(f"ALARM {alarm['code']}  {alarm['object']}")


@app.command()
def export(config: ConfigOption) -> None:
    """Print the closed transactions that the station remembers, one JSON line each."""
    for line in ask(load(config), {"do": "export"})["lines"]:
        typer.echo(line)


@app.command()
def replay(
    frames: Annotated[Path, typer.Argument(help="The folder `frames` of a station.")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The edge.toml of that station.")
    ] = None,
    zone: Annotated[str, typer.Option(help="Its time zone, without --config.")] = "Asia/Shanghai",
) -> None:
    """Replay a frame log into an empty station and print its export, as `vw edge export` does.

    Exit 3: there are no frames.
    """
    if not frames.is_dir():
        stop(f"{frames}: no such folder; a station keeps its frames in DATA_DIR/frames", NOT_FOUND)
    from tempfile import TemporaryDirectory

    from edge.replay import replay as play

    setting = _replay_setting(load(config) if config else None, zone)
    with TemporaryDirectory(prefix="voltwarden-replay-") as folder, _progress() as progress:
        outcome = asyncio.run(play(frames, Path(folder), setting, progress))
    if outcome is None:
        stop(f"{frames}: no frames; a station keeps them in DATA_DIR/frames", NOT_FOUND)
    for line in outcome.export:
        typer.echo(line)
    typer.echo(_what_came_of(outcome, with_config=config is not None), err=True)


def _what_came_of(outcome: Outcome, *, with_config: bool) -> str:
    first, last = (at.isoformat(timespec="seconds") for at in (outcome.first_at, outcome.last_at))
    text = (
        f"read {outcome.frames} frames of {_count(outcome.charge_points, 'charge point')}, "
        f"{first} to {last}; {_count(len(outcome.export), 'transaction')} closed"
    )
    if outcome.export or with_config:
        return text
    return (
        f"{text}; give --config, the station's edge.toml: of a demo it says how fast the clock ran"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _replay_setting(settings: Settings | None, zone: str) -> Setting:
    from zoneinfo import ZoneInfo

    from edge.app import local_charge_points
    from edge.devices.chargers import timing as wire_timing
    from edge.replay import Setting
    from edge.station import timing

    if settings is None:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            stop(f"--zone: {zone!r} is no IANA time zone, for example Asia/Shanghai", USAGE)
        return Setting(zone, timing.NORMAL, wire_timing.NORMAL, 1.0)
    scale = settings.clock.scale if settings.clock else 1.0
    fast = settings.timing.profile == "fast"
    return Setting(
        zone=settings.station.zone,
        timing=timing.fast(scale) if fast else timing.NORMAL,
        wire_timing=wire_timing.FAST if fast else wire_timing.NORMAL,
        scale=scale,
        charge_points=local_charge_points(settings),
    )


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr, where somebody looks."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@app.command()
def decode(
    frames: Annotated[
        list[str] | None, typer.Argument(help="Frames in hex; `-` or nothing reads stdin.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a frame.")] = False,
    dialect: Annotated[str, typer.Option(help="ykc16, ykc15 or ylc.")] = "ykc16",
) -> None:
    """Say in words what YKC frames say. Exit 1 unless every frame was good."""
    from edge.devices.chargers.ykc.decode import decode_lines, is_good
    from edge.devices.chargers.ykc.dialect import DIALECTS

    if dialect not in DIALECTS:
        stop(f"--dialect: {dialect!r}, use one of {', '.join(sorted(DIALECTS))}", USAGE)
    lines = frames if frames and frames != ["-"] else sys.stdin
    all_good = True
    for item in decode_lines(lines, DIALECTS[dialect]):
        all_good = is_good(item) and all_good
        typer.echo(json.dumps(item, ensure_ascii=False) if as_json else _in_words(item))
    raise typer.Exit(OK if all_good else FAILED)


def _in_words(item: dict[str, Any]) -> str:
    if "garbage" in item:
        return f"garbage {item['garbage']} ({item['reason']})"
    fields = "  ".join(f"{name}={value}" for name, value in item.get("fields", {}).items())
    return f"{item['kind']} {item['name']} crc={item['crc']} seq={item['sequence']}  {fields}"
