"""`vw sim charger`, `vw sim fleet` and `vw sim sensors`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.sim.actions import ActionError
from ops.sim.control import ControlClient, ControlError, ControlServer
from ops.sim.fleet import FleetResult, log_in_fleet, numbers, raise_file_limit
from ops.sim.loop import run
from ops.sim.machine import ChargePointSpec
from ops.sim.outage import Outage
from ops.sim.script import Step, load, play
from ops.sim.sensors.cli import sensors
from ops.sim.site import Site
from ops.sim.timing import PROFILES
from ops.sim.traffic import keep_busy
from shared import logs
from shared.clock import Clock, ScaledClock, SystemClock
from shared.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True, help="Simulated charge points, cars and sensors on real lines."
)
app.command()(sensors)

Host = Annotated[str, typer.Option(help="The station.")]
Port = Annotated[int, typer.Option(help="The station's port for charge points.")]
Seed = Annotated[int, typer.Option(help="Same seed and script: same frames except times.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
FirstNumber = Annotated[str, typer.Option(help="Number of the first charge point, 14 digits.")]


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _fail(text: str, code: int) -> typer.Exit:
    _say(f"error: {text}")
    return typer.Exit(code)


def parse_clock(text: str) -> Clock:
    """Return the clock of ``REAL_START_MS:START_MS:SCALE``, or the machine's own for "".

    Raises:
        ValueError: Not three numbers.
    """
    if not text:
        return SystemClock()
    try:
        real_start_ms, start_ms, scale = text.split(":")
        return ScaledClock(int(real_start_ms), int(start_ms), float(scale))
    except ValueError as error:
        raise ValueError(f"clock {text!r}, expected REAL_START_MS:START_MS:SCALE") from error


@app.command()
def charger(
    port: Port,
    host: Host = "127.0.0.1",
    first_number: FirstNumber = "32010600019236",
    count: Annotated[int, typer.Option(min=1, help="How many charge points.")] = 1,
    connectors: Annotated[int, typer.Option(min=1, max=99, help="Connectors of each.")] = 2,
    rated_kw: Annotated[int, typer.Option(help="Power of each connector.")] = 120,
    time_zone: Annotated[str, typer.Option(help="The station's zone.")] = "Asia/Shanghai",
    timing: Annotated[str, typer.Option(help="normal (as the protocol says) or fast.")] = "normal",
    script: Annotated[Path | None, typer.Option(help="TOML or JSON: what happens when.")] = None,
    book: Annotated[Path | None, typer.Option(help="Where the book is kept.")] = None,
    card: Annotated[list[str] | None, typer.Option(help="Keep busy with this card.")] = None,
    control_port: Annotated[
        int, typer.Option(help="Loopback port for JSON lines; 0 = none, -1 = any free one.")
    ] = 0,
    bay_locks: Annotated[bool, typer.Option(help="Each bay has a lock.")] = False,
    demo_clock: Annotated[str, typer.Option(help="REAL_START_MS:START_MS:SCALE.")] = "",
    seed: Seed = 1,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every event.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate charge points at one station until Ctrl-C, or until the script is done."""
    logs.set_up(level="DEBUG" if verbose else "INFO")
    if timing not in PROFILES:
        raise _fail(f"--timing {timing}: use {' or '.join(PROFILES)}", 2)
    raise_file_limit()
    try:
        steps = load(script) if script else None
        specs = [
            ChargePointSpec(
                charge_point_no=number,
                connectors=connectors,
                time_zone=time_zone,
                rated_kw=rated_kw,
                bay_locks=bay_locks,
            )
            for number in numbers(first_number, count)
        ]
        site = Site(
            specs,
            book_path=book,
            host=host,
            port=port,
            clock=parse_clock(demo_clock),
            timing=PROFILES[timing],
            seed=seed,
            outage=Outage(f"{host}:{port}", _say),
        )
    except (ConfigError, ValueError, KeyError) as error:
        raise _fail(str(error), 2) from error
    try:
        run(_run_site(site, steps, card or [], control_port))
    except (ActionError, TimeoutError) as error:
        raise _fail(str(error), 1) from error
    _print(dataclasses.asdict(site.book.totals()), as_json)


async def _run_site(
    site: Site, steps: list[Step] | None, cards: list[str], control_port: int
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ended.set)
    control = ControlServer(site)
    async with site:
        if control_port:
            listening = await control.start(max(0, control_port))
            _say(f"control port {listening}")
        _say(f"{len(site.charge_points)} charge points connecting, seed {site.seed}")
        tasks = [asyncio.create_task(ended.wait())]
        if cards:
            tasks.append(asyncio.create_task(keep_busy(site, cards)))  # type: ignore[arg-type]
        if steps is not None:
            tasks.append(asyncio.create_task(_play(site, steps)))  # type: ignore[arg-type]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
            await control.stop()


async def _play(site: Site, steps: list[Step]) -> None:
    await site.ready()
    await play(site, steps)


@app.command()
def fleet(
    port: Port,
    host: Host = "127.0.0.1",
    charge_points: Annotated[int, typer.Option(min=1, help="How many log in.")] = 2000,
    rate: Annotated[float, typer.Option(min=0.1, help="Logins a second.")] = 200,
    first_number: FirstNumber = "32010600100000",
    timeout_s: Annotated[float, typer.Option(help="How long to wait for the last.")] = 60,
    hold_s: Annotated[float, typer.Option(help="How long to stay connected after that.")] = 0,
    seed: Seed = 1,
    as_json: AsJson = False,
) -> None:
    """Log a whole fleet in at a rate. Exit 1 if one was lost."""
    logs.set_up(level="WARNING")
    try:
        listed = numbers(first_number, charge_points)
    except ValueError as error:
        raise _fail(str(error), 2) from error
    result: FleetResult = run(
        log_in_fleet(
            listed,
            host=host,
            port=port,
            rate=rate,
            timeout_s=timeout_s,
            hold_s=hold_s,
            seed=seed,
            progress=_say,
        )
    )
    _print(dataclasses.asdict(result), as_json)
    if result.lost:
        raise typer.Exit(1)


@app.command()
def tell(
    control_port: Annotated[int, typer.Argument(help="Control port of a running simulator.")],
    do: Annotated[str, typer.Argument(help="The action, for example fire.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="NAME=VALUE; values as in JSON, or plain text.")
    ] = None,
) -> None:
    """Do something at a running simulator, for example: vw sim tell 5021 fire zone=A."""
    try:
        values = dict(map(_argument, arguments or []))
    except ValueError as error:
        raise _fail(str(error), 2) from error
    try:
        result = run(_tell(control_port, do, values))
    except ControlError as error:
        raise _fail(str(error), 1) from error
    except OSError as error:
        raise _fail(f"no simulator at port {control_port}: {error}", 5) from error
    typer.echo(json.dumps(result, ensure_ascii=False))


def _argument(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r}: write it as name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


async def _tell(control_port: int, do: str, values: dict[str, Any]) -> Any:
    async with ControlClient(control_port) as control:
        return await control.call(do, **values)


def _print(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
        return
    for name, value in result.items():
        typer.echo(f"{name:16} {value}")


if __name__ == "__main__":
    app()
