"""What all commands of `vw edge` share: options, exit codes, the configuration, the agent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from edge import settings as settings_module
from shared.errors import ConfigError

OK, FAILED, USAGE, NOT_FOUND, UNREACHABLE = 0, 1, 2, 3, 5
_SOCKET = "agent.sock"

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The station's edge.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def load(config: Path) -> settings_module.Settings:
    """Return the configuration; ends the command when it is wrong."""
    try:
        return settings_module.load(config)
    except ConfigError as error:
        stop(str(error), USAGE)


def ask(settings: settings_module.Settings, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the running agent; ends the command when it refuses or does not answer."""
    from edge.local_api import WRONG

    answer = ask_if_there(settings, request)
    if answer is None:
        socket = settings.station.data_dir / _SOCKET
        stop(f"no agent answers on {socket}; is `vw edge run` running?", UNREACHABLE)
    if not answer.pop("ok"):
        stop(str(answer["error"]), USAGE if answer.get("code") == WRONG else FAILED)
    return answer


def ask_if_there(
    settings: settings_module.Settings, request: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the agent's answer with its `ok`; None when no agent answers."""
    from edge.local_api import ask as ask_agent

    try:
        return asyncio.run(ask_agent(settings.station.data_dir / _SOCKET, request))
    except (OSError, TimeoutError):
        return None


def stop(message: str, code: int) -> NoReturn:
    """End the command with a message on stderr."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
