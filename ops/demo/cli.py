"""`vw demo`: run it until Ctrl-C, or one scripted day."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import typer

from ops.demo.children import DemoError
from ops.demo.day import scripted_day
from ops.demo.show import Show
from ops.demo.stage import open_stage
from ops.demo.world import WEB_PORT, World, make_world
from ops.embedded import default_data_dir
from shared import logs

app = typer.Typer(add_completion=False)

_FAILED = 1
_INTERRUPTED = 130
_SOCKET_PATH_MAX = 60  # what is left for the folder of a Unix socket's path


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option(help="One scripted day, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the day as JSON.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Folder for everything; default: .demo, as root /var/lib/…")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep the folder also when all is well.")] = False,
    seed: Annotated[int, typer.Option(help="Who comes, when, with what.")] = 1,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help=f"HQ's pages; 0 for any free one. Default {WEB_PORT}, if free; with --once any.",
        ),
    ] = None,
) -> None:
    """Run HQ, two stations and their simulated devices on this machine.

    --once cuts a link, kills the broker and an agent, lets it burn, overheats a battery and
    compares all books; exit 0 only if all of it holds. Without it, keys do such things.
    """
    logs.set_up(level="WARNING")
    if port is None:
        port = 0 if once else WEB_PORT
    folder, world = new_folder(data), make_world(seed, web_port=port)
    started_s = time.monotonic()
    ok = False
    try:
        if once:
            ok = asyncio.run(_once(folder, world, seed, started_s, as_json=as_json))
        else:
            asyncio.run(_until_told(folder, world, seed, started_s))
            ok = True
    except DemoError as error:
        _say(started_s, f"failed: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        if ok and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _say(started_s, f"everything is kept in {folder}")
    if not ok:
        raise typer.Exit(_FAILED)


async def _once(folder: Path, world: World, seed: int, started_s: float, *, as_json: bool) -> bool:
    def say(text: str) -> None:
        _say(started_s, text)

    async with open_stage(world, folder, seed, say) as stage:
        result = await scripted_day(stage, say)
    report = result.as_object(stations=len(stage.stations), wall_s=time.monotonic() - started_s)
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        for name, value in report.items():
            sys.stdout.write(f"{name:22} {value}\n")
    sys.stdout.flush()
    return result.ok


async def _until_told(folder: Path, world: World, seed: int, started_s: float) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)

    def say(text: str) -> None:
        _say(started_s, text)

    async with AsyncExitStack() as stack:
        opening = asyncio.create_task(
            stack.enter_async_context(open_stage(world, folder, seed, say))
        )
        told = asyncio.create_task(ended.wait())
        await asyncio.wait({opening, told}, return_when=asyncio.FIRST_COMPLETED)
        if told.done():
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            return
        told.cancel()
        stage = opening.result()
        for station in stage.stations:
            station.customers.open()
        await Show(stage, say).run(ended)
        say("ending")


def _say(started_s: float, text: str) -> None:
    sys.stderr.write(f"{time.monotonic() - started_s:5.1f} s  {text}\n")


def new_folder(data: Path | None) -> Path:
    """Make a new folder for this run; in it a Unix socket's path must not get too long."""
    root = (data or default_data_dir()).expanduser().absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        usable = os.access(root, os.W_OK) and len(os.fsencode(root)) <= _SOCKET_PATH_MAX
    except OSError:
        usable = False
    if not usable:
        root = Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=root))
    folder.chmod(0o755)  # root's PostgreSQL runs as another user
    return folder
