"""`python -m ops.broker`: writes the production broker's files and keeps its users."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ops.broker.files import (
    SALT_BYTES,
    Places,
    configuration,
    password_line,
    rights,
    with_user,
)

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)
_FAILED, _USAGE = 1, 2

_FOLDER = Path("/etc/mosquitto/voltwarden")
_DATA = Path("/var/lib/mosquitto")
FolderOption = Annotated[Path, typer.Option("--folder", help="The broker's own files.")]


@app.command()
def config(
    folder: FolderOption = _FOLDER,
    data: Annotated[Path, typer.Option(help="Its database; belongs to its user.")] = _DATA,
    user: Annotated[str, typer.Option(help="The system user that it runs as.")] = "mosquitto",
    station_port: Annotated[int, typer.Option(help="Where stations connect, with TLS.")] = 8883,
    worker_host: Annotated[str, typer.Option(help="Where HQ's workers connect.")] = "127.0.0.1",
    worker_port: Annotated[int, typer.Option(help="Where HQ's workers connect.")] = 1883,
) -> None:
    """Write mosquitto.conf and acl, and an empty password file if there is none."""
    places = Places(
        folder=folder.absolute(),
        data=data.absolute(),
        user=user,
        station_port=station_port,
        worker_host=worker_host,
        worker_port=worker_port,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "mosquitto.conf", configuration(places), 0o644)
        _write(folder / "acl", rights(), 0o644)
        if not (folder / "passwords").exists():
            _write(folder / "passwords", "", 0o640)
    except OSError as error:
        _stop(f"{error.filename}: cannot be written: {error.strerror}", _FAILED)
    typer.echo(f"written: {folder}/mosquitto.conf, acl, passwords", err=True)


@app.command("set-user")
def set_user(
    user: Annotated[str, typer.Argument(help="A station's number, or hq.worker.")],
    folder: FolderOption = _FOLDER,
) -> None:
    """Let a user in, with the secret on standard input. Then: systemctl reload mosquitto."""
    try:
        line = password_line(user, sys.stdin.readline().strip(), secrets.token_bytes(SALT_BYTES))
    except ValueError as error:
        _stop(str(error), _USAGE)
    _change(folder, user, line)


@app.command("remove-user")
def remove_user(
    user: Annotated[str, typer.Argument(help="A station's number, or hq.worker.")],
    folder: FolderOption = _FOLDER,
) -> None:
    """Let a user in no more. Then: systemctl restart mosquitto, which also ends its connection."""
    _change(folder, user, None)


def _change(folder: Path, user: str, line: str | None) -> None:
    path = folder / "passwords"
    try:
        before = path.read_text(encoding="utf-8")
        _write(path, with_user(before, user, line), 0o640)
    except OSError as error:
        _stop(f"{path}: {error.strerror}; `python -m ops.broker config` makes it", _FAILED)


def _write(path: Path, text: str, mode: int) -> None:
    """Replace a file whole: a broker that reloads meanwhile sees the old one or the new one."""
    owner = path.stat() if path.exists() else path.parent.stat()
    new = path.with_name(f".{path.name}.new")
    new.touch(mode)
    new.write_text(text, encoding="utf-8")
    if os.geteuid() == 0:
        os.chown(new, owner.st_uid, owner.st_gid)
    new.replace(path)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
