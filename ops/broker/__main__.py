"""`python -m ops.broker`: writes the production broker's files and keeps its users."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ops.broker import files, users

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)
_FAILED, _USAGE, _UNREACHABLE = 1, 2, 5

_FOLDER = Path("/etc/mosquitto/voltwarden")
_DATA = Path("/var/lib/mosquitto")
FolderOption = Annotated[Path, typer.Option("--folder", help="The broker's own files.")]
HostOption = Annotated[str, typer.Option("--worker-host", help="Where HQ's workers connect.")]
PortOption = Annotated[int, typer.Option("--worker-port", help="Where HQ's workers connect.")]
StationArgument = Annotated[str, typer.Argument(help="The station's number.")]


@app.command()
def config(
    folder: FolderOption = _FOLDER,
    data: Annotated[Path, typer.Option(help="What the broker itself writes.")] = _DATA,
    user: Annotated[str, typer.Option(help="The system user that it runs as.")] = "mosquitto",
    station_host: Annotated[str, typer.Option(help="Where stations connect.")] = "0.0.0.0",  # noqa: S104 - they come from everywhere
    station_port: Annotated[int, typer.Option(help="Where stations connect, with TLS.")] = 8883,
    worker_host: HostOption = "127.0.0.1",
    worker_port: PortOption = 1883,
) -> None:
    """Write mosquitto.conf; for a new broker also its users and the secrets of HQ's two."""
    places = files.Places(
        folder=folder.absolute(),
        data=data.absolute(),
        plugin=files.find_plugin(),
        user=user,
        station_host=station_host,
        station_port=station_port,
        worker_host=worker_host,
        worker_port=worker_port,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        data.mkdir(parents=True, exist_ok=True)
        _write(folder / "mosquitto.conf", files.configuration(places), 0o644)
        if not (data / "users.json").exists():
            _first_users(places)
    except (OSError, LookupError) as error:
        _stop(f"cannot be written: {error}", _FAILED)
    typer.echo(f"written: {folder}/mosquitto.conf", err=True)


@app.command("let-in")
def let_in(
    station: StationArgument,
    folder: FolderOption = _FOLDER,
    worker_host: HostOption = "127.0.0.1",
    worker_port: PortOption = 1883,
) -> None:
    """Let a station in, with its secret on standard input; a new secret replaces the old one."""
    try:
        commands = files.let_in(station, sys.stdin.readline().strip())
    except ValueError as error:
        _stop(str(error), _USAGE)
    known = frozenset({"Client not found", "Role not found"})
    _change([*files.shut_out(station), *commands], folder, worker_host, worker_port, known)


@app.command("shut-out")
def shut_out(
    station: StationArgument,
    folder: FolderOption = _FOLDER,
    worker_host: HostOption = "127.0.0.1",
    worker_port: PortOption = 1883,
) -> None:
    """Let a station in no more, and end its connection."""
    _change(files.shut_out(station), folder, worker_host, worker_port, frozenset())


def _first_users(places: files.Places) -> None:
    given = {user: secrets.token_urlsafe(32) for user in (files.ADMIN, files.WORKER)}
    text = files.first_users(admin_secret=given[files.ADMIN], worker_secret=given[files.WORKER])
    path = places.data / "users.json"
    _write(path, text, 0o600)
    if os.geteuid() == 0:
        shutil.chown(path, places.user)
    for user, secret in given.items():
        _write(places.folder / f"{user}.secret", secret + "\n", 0o600)


def _change(
    commands: list[files.Command], folder: Path, host: str, port: int, accept: frozenset[str]
) -> None:
    path = folder / f"{files.ADMIN}.secret"
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        _stop(f"{path}: {error.strerror}; `python -m ops.broker config` makes it", _FAILED)
    try:
        asyncio.run(users.change(commands, host=host, port=port, secret=secret, accept=accept))
    except users.BrokerRefusedError as error:
        _stop(str(error), _UNREACHABLE)


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file whole, and never let it be read by others in between."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    new.replace(path)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
