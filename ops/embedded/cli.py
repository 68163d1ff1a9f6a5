"""`vw embedded`: the three servers in the background, until `down`."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import psutil
import typer

from ops.embedded import postgres
from ops.embedded.processes import EmbeddedError
from ops.embedded.servers import (
    EmbeddedServers,
    Endpoints,
    clean_up,
    default_data_dir,
    owner_of,
    read_state,
)
from shared import logs

logger = logging.getLogger(__name__)

app = typer.Typer(help=__doc__, no_args_is_help=True)

_FAILED = 1
_USAGE = 2
_CONFLICT = 6
_STOP_LIMIT_S = 60.0
_LOG = "embedded.log"

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder; default: .demo, as root /var/lib/…")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def up(
    data: DataOption = None,
    *,
    as_json: JsonOption = False,
    wait: Annotated[bool, typer.Option(help="Stay in the foreground until Ctrl-C.")] = False,
) -> None:
    """Start PostgreSQL, Valkey and the broker; print where they are.

    Exit 2: the folder cannot be used.
    """
    logs.set_up()
    folder = (data or default_data_dir()).expanduser().absolute()
    if owner_of(folder) is not None:
        state = read_state(folder) or {}
        _print(Endpoints(**state["endpoints"]), as_json=as_json)
        return
    _prepare(folder)
    if wait:
        _serve(folder, as_json=as_json)
        return
    endpoints = _start_in_background(folder)
    _print(endpoints, as_json=as_json)


@app.command()
def down(data: DataOption = None) -> None:
    """Stop them, also what a killed owner left behind."""
    logs.set_up()
    folder = (data or default_data_dir()).expanduser().absolute()
    owner = owner_of(folder)
    if owner is not None:
        process = psutil.Process(owner)
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except psutil.TimeoutExpired:
            logger.error("process %s does not end within %.0f s", owner, _STOP_LIMIT_S)
            raise typer.Exit(_FAILED) from None
    clean_up(folder)


@app.command()
def status(data: DataOption = None, *, as_json: JsonOption = False) -> None:
    """Print where they are; exit 6 if they are not running."""
    folder = (data or default_data_dir()).expanduser().absolute()
    state = read_state(folder)
    if state is None or owner_of(folder) is None:
        typer.echo("not running; start with: vw embedded up", err=True)
        raise typer.Exit(_CONFLICT)
    _print(Endpoints(**state["endpoints"]), as_json=as_json)


def _prepare(folder: Path) -> None:
    """Make the data folder; ends the command where there can be none."""
    try:
        postgres.check_place(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _LOG).touch()
    except (EmbeddedError, OSError) as error:
        why = f"{folder}: {error.strerror}" if isinstance(error, OSError) else str(error)
        typer.echo(f"vw embedded: --data: {why}", err=True)
        raise typer.Exit(_USAGE) from None


def _start_in_background(folder: Path) -> Endpoints:
    """Start an owner that outlives us; it prints its endpoints once they answer."""
    log = folder / _LOG
    command = [sys.executable, "-m", "ops.cli", "embedded", "up", "--wait", "--json"]
    with log.open("ab") as errors:
        child = subprocess.Popen(
            [*command, "--data", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        logger.error("the servers do not start; see %s", log)
        raise typer.Exit(_FAILED)
    return Endpoints(**json.loads(line))


def _serve(folder: Path, *, as_json: bool) -> None:
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    servers = EmbeddedServers(folder)
    try:
        endpoints = servers.start()
    except EmbeddedError as error:
        logger.error("%s", error)
        raise typer.Exit(_FAILED) from None
    try:
        _print(endpoints, as_json=as_json)
        ended.wait()
    finally:
        servers.stop()


def _print(endpoints: Endpoints, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(asdict(endpoints)) + os.linesep)
    else:
        for name, value in asdict(endpoints).items():
            sys.stdout.write(f"{name:14} {value}\n")
    sys.stdout.flush()
