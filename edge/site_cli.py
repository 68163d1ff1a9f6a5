"""`vw edge pin …`, `vw edge alarms`, `vw edge reset`: what people on site do without a screen."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli_parts import (
    FAILED,
    NOT_FOUND,
    USAGE,
    ConfigOption,
    JsonOption,
    ask,
    ask_if_there,
    load,
    stop,
)

if TYPE_CHECKING:
    from edge.settings import Settings

NameOption = Annotated[str, typer.Option(help="Whose PIN; the name stands in every fact.")]
PinFileOption = Annotated[
    Path | None, typer.Option(help="A file that holds the PIN, instead of typing it.")
]

pin_app = typer.Typer(no_args_is_help=True, help="Who may act at the station's screen.")


def add_to(app: typer.Typer) -> None:
    """Mount the commands."""
    app.add_typer(pin_app, name="pin")
    app.command()(alarms)
    app.command()(reset)


def alarms(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List the station's open alarms, worst first."""
    settings = load(config)
    entries = ask(settings, {"do": "alarms"})["alarms"]
    if as_json:
        typer.echo(json.dumps(entries, ensure_ascii=False))
        return
    if not entries:
        typer.echo("没有告警 / no alarm is open")
        return
    _print_alarms(settings, entries)


def _print_alarms(settings: Settings, entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for entry in entries:
        since = datetime.fromtimestamp(entry["raised_ms"] / 1000, settings.station.zone_info)
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(
            Text(entry["severity"], style="bold"),
            since.strftime("%m-%d %H:%M:%S"),
            Text(f"{entry['place_zh']}\n{entry['place_en']}"),
            Text(_state_of(entry)),
        )
        # A reason can be long: across all of the width, never in a column of its own.
        text = Text(f"{entry['title_zh']}\n{entry['title_en']}")
        console.print(head, Padding(text, (0, 0, 1, 2)))


def _state_of(entry: dict[str, Any]) -> str:
    words = []
    if entry["drill"]:
        words.append("演练 drill")
    if not entry["active"]:
        words.append("待复位 waits for reset")
    if entry["acknowledged_by"]:
        words.append(f"已确认 seen by {entry['acknowledged_by']}")
    if entry["shelved_until_ms"] is not None:
        words.append(f"已搁置 put aside: {entry['shelved_reason']}")
    if entry["escalation"]:
        words.append(f"已升级 escalated {entry['escalation']}")
    return "\n".join(words) or "未确认 not seen yet"


def reset(
    config: ConfigOption,
    reason: Annotated[str, typer.Option(help="Why it is safe; kept with the event.")],
    number: Annotated[str, typer.Option(help="Charge point; empty for the whole station.")] = "",
    connector: Annotated[int, typer.Option(help="Connector; 0 for all of the charge point.")] = 0,
    pin_file: PinFileOption = None,
) -> None:
    """Lift the latches of a place and of all in it, once their causes are gone. Asks for a PIN."""
    settings = load(config)
    if not ask(settings, {"do": "pins"})["people"]:
        stop(f"no PIN is set here; `vw edge pin set --config {config}` makes one", FAILED)
    request = {"do": "reset", "number": number, "connector": connector, "reason": reason}
    answer = ask(settings, {**request, "pin": _read_pin(pin_file)})
    typer.echo(f"released: {answer['released']}")


def _read_pin(pin_file: Path | None, question: str = "PIN") -> str:
    if pin_file is not None:
        try:
            return pin_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            stop(f"--pin-file: {pin_file} cannot be read: {error}", USAGE)
    if sys.stdin.isatty():
        return str(typer.prompt(question, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


@pin_app.command("set")
def set_pin(
    config: ConfigOption,
    name: NameOption = "staff",
    role: Annotated[
        str, typer.Option(help="staff, or chief who may reset everything: so is the first.")
    ] = "",
    pin_file: PinFileOption = None,
    ask_for_it: Annotated[bool, typer.Option("--ask", help="Type it instead.")] = False,
) -> None:
    """Set somebody's PIN; one that is made here is printed, once. For the agent's user or root."""
    from edge.station.pins import FILE, hash_pin, make_pin, save_file
    from shared.contracts.protection import Pin

    settings = load(config)
    is_made = pin_file is None and not ask_for_it
    pin = make_pin() if is_made else _read_pin(pin_file, f"New PIN of {name}")
    path = settings.station.data_dir / FILE
    kept = [each for each in _own_pins(path) if each.name != name]
    role = role or ("staff" if kept else "chief")
    try:
        pins = (*kept, _checked(Pin(name=name, role=role, hash=hash_pin(pin))))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        save_file(path, pins)
    except ValueError as error:
        stop(str(error), USAGE)
    except OSError as error:
        stop(f"{path}: cannot be written: {error.strerror}; use the agent's user", FAILED)
    ask_if_there(settings, {"do": "pins"})
    typer.echo(f"set the PIN of {name}, {role}; it holds at once", err=True)
    if is_made:
        typer.echo(pin)


@pin_app.command("remove")
def remove_pin(config: ConfigOption, name: NameOption) -> None:
    """Take somebody's PIN away that was set here; HQ's are HQ's."""
    from edge.station.pins import FILE, save_file

    settings = load(config)
    path = settings.station.data_dir / FILE
    pins = _own_pins(path)
    kept = [pin for pin in pins if pin.name != name]
    if len(kept) == len(pins):
        stop(f"{name}: no PIN of this name was set here; `vw edge pin list` shows all", NOT_FOUND)
    try:
        save_file(path, kept)
    except OSError as error:
        stop(f"{path}: cannot be written: {error.strerror}; use the agent's user", FAILED)
    ask_if_there(settings, {"do": "pins"})
    typer.echo(f"removed the PIN of {name}", err=True)


@pin_app.command("list")
def list_pins(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List whose PINs there are; without a running agent only those that were set here."""
    from edge.station.pins import FILE

    settings = load(config)
    answer = ask_if_there(settings, {"do": "pins"})
    if answer is None:
        own = _own_pins(settings.station.data_dir / FILE)
        people = [{"name": pin.name, "role": pin.role, "set_by": "site"} for pin in own]
    else:
        people = answer["people"]
    if as_json:
        typer.echo(json.dumps(people, ensure_ascii=False))
        return
    if not people:
        typer.echo("no PIN is set; `vw edge pin set` makes one", err=True)
    for person in people:
        typer.echo(f"{person['name']}  {person['role']}  set by {person['set_by']}")


def _own_pins(path: Path) -> list[Any]:
    from edge.station.pins import load_file

    try:
        return list(load_file(path))
    except PermissionError:
        stop(f"{path}: may be read by the agent's user and root only", FAILED)
    except (OSError, ValueError) as error:
        stop(str(error), FAILED)


def _checked(pin: Any) -> Any:
    from edge.station.pins import check_pins

    check_pins([pin], "pin")
    return pin
