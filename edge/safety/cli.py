"""`vw edge protection …`: what a station watches for, and what each cause does."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from shared.contracts.protection import Protection
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

_USAGE = 2
_PIPE_WIDTH = 200

app = typer.Typer(no_args_is_help=True, help="Rules and interlocks of a station.")


class Language(StrEnum):
    """What tables are written in."""

    ZH = "zh"
    EN = "en"


FileOption = Annotated[
    Path | None, typer.Argument(help="A protection document; without one, what is built in.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
LanguageOption = Annotated[Language, typer.Option(help="Of the tables.")]


@app.command()
def show(
    file: FileOption = None, language: LanguageOption = Language.EN, as_json: JsonOption = False
) -> None:
    """Print the interlock matrix and the rules as tables."""
    from shared.protection import document_hash
    from shared.protection.tables import interlock_rows, rule_rows

    document = _load(file)
    matrix, rules = interlock_rows(document, language.value), rule_rows(document, language.value)
    sha256 = document_hash(document)
    if as_json:
        answer = {"sha256": sha256, "interlocks": matrix, "rules": rules}
        typer.echo(msgspec.json.encode(answer).decode())
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    titles = _TITLES[language]
    _print(console, titles["matrix"], matrix, titles)
    _print(console, titles["rules"], rules, titles)
    typer.echo(f"sha256 {sha256}", err=True)


@app.command("check")
def check_file(
    file: Annotated[Path, typer.Argument(help="A protection document.")],
    as_json: JsonOption = False,
) -> None:
    """Check a document; the first wrong field is named. Exit 2 when one is wrong."""
    from shared.protection import document_hash, interlocks_of, rules_of

    document = _load(file)
    answer = {
        "sha256": document_hash(document),
        "devices": len(document.devices),
        "zones": len(document.zones),
        "outputs": len(document.outputs),
        "rules": len(rules_of(document)),
        "interlocks": len(interlocks_of(document)),
    }
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
        return
    counts = ", ".join(f"{value} {name}" for name, value in answer.items() if name != "sha256")
    typer.echo(f"{file}: good; {counts}; sha256 {answer['sha256']}")


_TITLES: dict[Language, dict[str, str]] = {
    Language.ZH: {
        "matrix": "联锁矩阵",
        "rules": "规则",
        "code": "代码",
        "cause": "原因",
        "stops": "停止充电",
        "opens": "断开接触器",
        "sounds": "声光",
        "says": "语音",
        "refuses": "禁止新充电",
        "reset": "复位",
        "who": "复位权限",
        "kept": "不可取消",
        "rule_id": "规则",
        "severity": "级别",
        "what": "对象",
        "condition": "条件",
        "hold": "持续",
        "clear": "恢复",
        "enabled": "启用",
    },
    Language.EN: {
        "matrix": "Interlock matrix",
        "rules": "Rules",
        "code": "Code",
        "cause": "Cause",
        "stops": "Stops",
        "opens": "Opens contactor",
        "sounds": "Sounds",
        "says": "Says",
        "refuses": "Refuses starts",
        "reset": "Reset by",
        "who": "Who",
        "kept": "Always",
        "rule_id": "Rule",
        "severity": "Severity",
        "what": "What",
        "condition": "When",
        "hold": "Holds",
        "clear": "Clear for",
        "enabled": "On",
    },
}


def _print(
    console: Console, title: str, rows: Sequence[msgspec.Struct], titles: dict[str, str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    fields = [field.name for field in msgspec.structs.fields(rows[0])]
    for name in fields:
        table.add_column(titles[name])
    for row in rows:
        values = (getattr(row, name) for name in fields)
        table.add_row(*(Text(_cell(value)) for value in values))
    console.print(table)


def _cell(value: str | bool) -> str:
    if isinstance(value, bool):
        return "✓" if value else "—"
    return value


def _load(file: Path | None) -> Protection:
    from shared.protection import load_file

    if file is None:
        return Protection()
    try:
        return load_file(file)
    except ConfigError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_USAGE) from error
