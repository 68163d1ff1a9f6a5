"""`vw` itself: one name for every program. Sub-commands are imported only when called.

Exit codes, here and in every sub-command: 0 ok, 1 failed, 2 usage or configuration, 3 not found,
4 not allowed, 5 unreachable, 6 conflict or precondition, 7 partly done, 8 unhealthy, 130 Ctrl-C.
"""

from __future__ import annotations

import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperGroup

from shared.errors import ConfigError, VoltwardenError

_OK = 0
_FAILED = 1
_USAGE = 2
_PRECONDITION = 6
_INTERRUPTED = 130
_ROOT = Path(__file__).resolve().parents[1]
_OURS = frozenset({"edge", "cloud", "shared", "ops"})


class _Command(NamedTuple):
    module: str  # has `app`, a Typer
    extra: str  # of the distribution, which brings what the module needs
    help: str


COMMANDS = {
    "edge": _Command("edge.cli", "edge", "The station agent: run, screen, alarms, sensors."),
    "hq": _Command("cloud.cli", "cloud", "Headquarters: serve, work, migrate, explain."),
    "rate": _Command("ops.rate", "", "What a charge costs, from meter readings and a tariff."),
    "sim": _Command("ops.sim.cli", "edge", "Simulated charge points, cars, sensors and fires."),
    "demo": _Command("ops.demo.cli", "embedded", "HQ, two stations and their devices, here."),
    "embedded": _Command("ops.embedded.cli", "embedded", "PostgreSQL, Valkey, a broker: up, down."),
    "doctor": _Command("ops.doctor", "", "What is wrong on this machine, and what helps."),
    "bench": _Command("ops.bench.cli", "dev", "Measured figures, as ratios, one JSON a run."),
    "chaos": _Command("ops.chaos.cli", "dev", "Break things on purpose; count what was lost."),
}  # fmt: skip


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands that this installation has."""
        del ctx
        return [name for name in COMMANDS if _is_here(COMMANDS[name].module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return _load(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])


app = typer.Typer(
    name="vw",
    cls=_LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="Voltwarden: charging stations and their headquarters.")
def _root(
    *,
    debug: Annotated[bool, typer.Option(help="Show where an error came from.")] = False,
) -> None:
    _state["debug"] = debug


_state = {"debug": False}


def main() -> int:
    """Run `vw` with the arguments of this process; return its exit code."""
    _raise_open_file_limit()
    command = typer.main.get_command(app)
    try:
        command.main(prog_name="vw", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else _FAILED if end.code else _OK
    except KeyboardInterrupt:
        return _INTERRUPTED
    except VoltwardenError as error:
        if _state["debug"]:
            raise
        sys.stderr.write(f"vw: {error}\n")
        return _USAGE if isinstance(error, ConfigError) else _FAILED
    return _OK


def _is_here(module: str) -> bool:
    return _ROOT.joinpath(*module.split(".")).with_suffix(".py").exists()


def _load(name: str) -> Any:
    command = COMMANDS[name]
    try:
        module = import_module(command.module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS or _state["debug"]:
            raise
        sys.stderr.write(
            f"vw {name}: the package {missing} is not installed; "
            f"pip install 'voltwarden[{command.extra}]', or ops/setup.sh in a checkout\n"
        )
        raise SystemExit(_PRECONDITION) from None
    return typer.main.get_command(cast("typer.Typer", module.app))


def _raise_open_file_limit() -> None:
    """A station with hundreds of connections needs more than the usual soft limit of 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
