"""`vw edge sensors …`: what hangs on a Modbus line, and what it says just now."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from edge.devices.sensors.lines import LineConfig, Transport
from edge.devices.sensors.profile import Profile, load_profiles
from shared.errors import ConfigError, ProtectionError

if TYPE_CHECKING:
    from edge.devices.sensors.scan import Found
    from edge.devices.sensors.watch import Watched
    from edge.settings import Settings

_USAGE, _NOT_FOUND, _UNREACHABLE, _PRECONDITION = 2, 3, 5, 6
_UNIT_MAX = 247

app = typer.Typer(no_args_is_help=True, help="Sensors and outputs on Modbus lines.")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The station's edge.toml.")
]
LineOption = Annotated[str, typer.Option(help="A line of the configuration, by its name.")]
HostOption = Annotated[str, typer.Option(help="Instead of --line: a device or server over TCP.")]
PortOption = Annotated[int, typer.Option(help="With --host.")]
RtuOption = Annotated[bool, typer.Option(help="With --host: a transparent serial server.")]
DeviceOption = Annotated[str, typer.Option(help="Instead of --line: a serial port.")]
BaudOption = Annotated[int, typer.Option(help="With --device or --rtu.")]
ParityOption = Annotated[str, typer.Option(help="With --device: N, E or O.")]
StopBitsOption = Annotated[int, typer.Option(help="With --device: 1 or 2.")]
ProfilesOption = Annotated[Path | None, typer.Option(help="A folder with models of your own.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@app.command("scan")
def scan_line(
    config: ConfigOption = None,
    line: LineOption = "",
    host: HostOption = "",
    port: PortOption = 502,
    rtu: RtuOption = False,
    device: DeviceOption = "",
    baud: BaudOption = 9600,
    parity: ParityOption = "N",
    stop_bits: StopBitsOption = 1,
    profile_dir: ProfilesOption = None,
    units: Annotated[str, typer.Option(help="Which unit ids to ask.")] = "1-247",
    timeout_ms: Annotated[int, typer.Option(help="How long to wait for each.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Find the devices on a line and the models that they could be. Writes nothing."""
    settings = _settings(config)
    wanted = _line(settings, line, host, port, rtu, device, baud, parity, stop_bits)
    profiles = _profiles(settings, profile_dir)
    asked = _units(units)
    with _progress(len(asked)) as progress, _reachable(wanted):
        from edge.devices.sensors.scan import scan

        found = asyncio.run(
            scan(wanted, profiles, asked, timeout_s=timeout_ms / 1000, progress=progress)
        )
    if as_json:
        typer.echo(json.dumps(_as_json(found), ensure_ascii=False))
    else:
        _print_found(found, profiles)
    if not found:
        _stop(
            f"nobody answers on {wanted.where}: check power, A and B not swapped, termination, "
            "baud rate and parity, and whether another program asks there",
            _NOT_FOUND,
        )


@app.command("watch")
def watch_line(
    config: ConfigOption = None,
    line: LineOption = "",
    host: HostOption = "",
    port: PortOption = 502,
    rtu: RtuOption = False,
    device: DeviceOption = "",
    baud: BaudOption = 9600,
    parity: ParityOption = "N",
    stop_bits: StopBitsOption = 1,
    profile_dir: ProfilesOption = None,
    unit: Annotated[int, typer.Option(help="One device, with --profile.")] = 0,
    profile: Annotated[str, typer.Option(help="Its model, with --unit.")] = "",
    seconds: Annotated[float, typer.Option(help="Stop after so long; 0 watches on.")] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Show what the sensors say, live: value, quality, age. Needs no agent."""
    from edge.devices.sensors.watch import watch

    settings = _settings(config)
    profiles = _profiles(settings, profile_dir)
    if unit or profile:
        wanted = _line(settings, line, host, port, rtu, device, baud, parity, stop_bits)
        watched = _one_device(wanted, unit, profile, profiles)
    else:
        watched = _own_document(settings, line, profiles)
    for each in watched.lines:
        _check_free(each)
    until_s = time.monotonic() + seconds if seconds else None
    asyncio.run(watch(watched, until_s, as_json=as_json))


def line_report(settings: Settings) -> list[str]:
    """Say of each line of the configuration what it needs of its period.

    Raises:
        ConfigError: The file of `[protection]`, or a model, does not go with the lines.
    """
    from edge.devices.sensors.check import budgets, check_devices
    from shared.protection import load_file

    lines, profiles = settings.lines(), load_profiles(settings.sensors.profile_dir)
    if settings.protection is None:
        return [f"line {line.name}: {line.where}" for line in lines]
    document = load_file(settings.protection.file)
    try:
        check_devices(document, lines, profiles)
    except ProtectionError as error:
        raise ConfigError(f"{settings.protection.file}: {error}") from error
    return [
        f"line {each.line}: {each.devices} devices; {each.safety_points} safety points in "
        f"{each.safety_requests} requests take {each.budget_ms:.0f} of {each.period_ms} ms"
        for each in budgets(document, lines, profiles)
    ]


def _settings(config: Path | None) -> Settings | None:
    if config is None:
        return None
    from edge.settings import load

    try:
        return load(config)
    except ConfigError as error:
        _stop(str(error), _USAGE)


def _profiles(settings: Settings | None, folder: Path | None) -> dict[str, Profile]:
    try:
        return load_profiles(folder or (settings.sensors.profile_dir if settings else None))
    except ConfigError as error:
        _stop(str(error), _USAGE)


def _line(
    settings: Settings | None,
    name: str,
    host: str,
    port: int,
    rtu: bool,
    device: str,
    baud: int,
    parity: str,
    stop_bits: int,
) -> LineConfig:
    if host:
        transport = Transport.RTU_OVER_TCP if rtu else Transport.TCP
        return LineConfig(name=host, transport=transport, host=host, port=port, baud=baud)
    if device:
        return LineConfig(
            name=device,
            transport=Transport.SERIAL,
            device=device,
            baud=baud,
            parity=parity,
            stop_bits=stop_bits,
        )
    lines = {each.name: each for each in settings.lines()} if settings else {}
    if not name and len(lines) == 1:
        return next(iter(lines.values()))
    if name not in lines:
        known = ", ".join(lines) or "none"
        _stop(f"which line? --line NAME with --config (known: {known}), --host or --device", _USAGE)
    return lines[name]


def _one_device(line: LineConfig, unit: int, model: str, profiles: dict[str, Profile]) -> Watched:
    from edge.devices.sensors.watch import Watched
    from shared.contracts.protection import Device, Protection

    if model not in profiles:
        _stop(f"--profile: {model!r}, use one of {', '.join(sorted(profiles))}", _USAGE)
    if not 1 <= unit <= _UNIT_MAX:
        _stop(f"--unit: {unit}, use 1 to {_UNIT_MAX}", _USAGE)
    device = Device(name=f"unit {unit}", line=line.name, unit_id=unit, profile=model)
    return Watched((line,), Protection(devices=(device,)), profiles)


def _own_document(settings: Settings | None, line: str, profiles: dict[str, Profile]) -> Watched:
    from edge.devices.sensors.check import check_devices
    from edge.devices.sensors.watch import Watched
    from shared.protection import load_file

    if settings is None or settings.protection is None:
        _stop(
            "nothing here says what is on the lines: give --unit and --profile "
            "(`vw edge sensors scan` finds them), or --config with [protection] file",
            _USAGE,
        )
    try:
        document = load_file(settings.protection.file)
        check_devices(document, settings.lines(), profiles)
    except (ConfigError, ProtectionError) as error:
        _stop(f"{settings.protection.file}: {error}", _USAGE)
    return Watched(settings.lines(), document, profiles).only(line)


def _units(text: str) -> list[int]:
    first, _, last = text.partition("-")
    try:
        units = list(range(int(first), int(last or first) + 1))
    except ValueError:
        units = []
    if not units or units[0] < 1 or units[-1] > _UNIT_MAX:
        _stop(f"--units: {text!r}, for example 1-32; unit ids are 1 to {_UNIT_MAX}", _USAGE)
    return units


def _check_free(line: LineConfig) -> None:
    """End the command when the line cannot be opened, or belongs to the agent."""
    from edge.devices.sensors.scan import connected

    async def try_once() -> None:
        async with connected(line):
            pass

    with _reachable(line):
        asyncio.run(try_once())


@contextmanager
def _reachable(line: LineConfig) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if "lock" in str(error):
            _stop(
                f"{line.where} belongs to another program, most likely the agent: stop it first, "
                "or look at `lines` in `vw edge state --json`",
                _PRECONDITION,
            )
        reason = str(error) or "no answer in time"
        _stop(f"{line.where} cannot be opened: {reason}", _UNREACHABLE)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Show on a terminal how far it is and who was found; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _unit, _found: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("asking", total=total)

        def step(unit: int, found: Found | None) -> None:
            bar.update(task, advance=1, description=f"unit {unit}")
            if found is not None:
                bar.console.print(f"unit {found.unit_id} answers")

        yield step


def _as_json(found: list[Found]) -> list[dict[str, Any]]:
    from msgspec import to_builtins

    return [to_builtins(each) for each in found]


def _print_found(found: list[Found], profiles: dict[str, Profile]) -> None:
    for each in found:
        typer.echo(f"unit {each.unit_id}")
        for fit in each.fits:
            profile = profiles[fit.model]
            titles = f"{profile.title_zh} / {profile.title_en}"
            typer.echo(f"    {fit.model:24} {fit.good} of {fit.points} values  {titles}")
        if not each.fits:
            typer.echo("    no model here fits; how to add one: edge/devices/sensors/README.md")


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
