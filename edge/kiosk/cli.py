"""`vw edge kiosk` and `vw edge kiosk-web`: the station's screen, in a terminal and as a page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

_UNUSABLE = 2

SocketOption = Annotated[
    Path, typer.Option("--socket", "-s", help="The agent's socket, DATA_DIR/agent.sock.")
]
LanguageOption = Annotated[str, typer.Option(help="zh, en, or auto: the wall alternates.")]
GuideOption = Annotated[
    str, typer.Option(help="Address of an installation guide: a QR code until there are devices.")
]
NameOption = Annotated[str, typer.Option(help="Who signs acknowledgements.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of the screen."""
    app.command()(kiosk)
    app.command("kiosk-web")(kiosk_web)


def kiosk(
    socket: SocketOption,
    language: LanguageOption = "auto",
    name: NameOption = "screen",
    guide: GuideOption = "",
    may_quit: Annotated[bool, typer.Option(help="Ctrl-Q ends the program.")] = False,
) -> None:
    """Show the station on this terminal."""
    arguments = [*_arguments(socket, language, name), "--guide", guide]
    if may_quit:
        arguments.append("--may-quit")
    # A fresh process: the screen needs a third of what this command line has loaded.
    os.execv(sys.executable, arguments)  # noqa: S606 - our own module, no shell


def kiosk_web(
    socket: SocketOption,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 8770,
    language: LanguageOption = "auto",
    name: NameOption = "web screen",
) -> None:
    """Serve the screen as a page, to this computer alone unless --host says otherwise."""
    import shlex

    from edge.kiosk.web import serve

    command = shlex.join(_arguments(socket, language, name))
    serve(command, host, port, on_listening=lambda url: typer.echo(f"screen at {url}", err=True))


def _arguments(socket: Path, language: str, name: str) -> list[str]:
    if language not in {"zh", "en", "auto"}:
        typer.echo(f"--language: {language!r}, use zh, en or auto", err=True)
        raise typer.Exit(_UNUSABLE)
    program = [sys.executable, "-m", "edge.kiosk", "--socket", str(socket.absolute())]
    return [*program, "--language", language, "--name", name]
