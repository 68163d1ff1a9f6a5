"""`vw chaos`: kill real processes of a whole company under load and compare all books."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from ops.chaos.cases import CASES
from ops.chaos.levels import LEVELS
from ops.chaos.runner import CaseResult, commit, run_cases
from ops.demo.children import DemoError
from ops.demo.cli import new_folder
from shared import logs

app = typer.Typer(add_completion=False)

_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


@app.command()
def chaos(
    *,
    level: Annotated[str, typer.Option(help=f"{', '.join(LEVELS)}.")] = "smoke",
    case: Annotated[
        list[str] | None, typer.Option(help=f"Only this: {', '.join(c.name for c in CASES)}.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Who dies when; default: a new one, which is printed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder for everything of the run.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the folder also when all is well.")] = False,
) -> None:
    """Kill agents, broker and workers under load; then every charge must be at HQ, once, exact.

    Exit 1 if any case is not ok.
    """
    names = [c.name for c in CASES]
    if level not in LEVELS or (unknown := [name for name in case or () if name not in names]):
        wrong = f"--level {level}: use {', '.join(LEVELS)}"
        if level in LEVELS:
            wrong = f"--case {unknown[0]}: use {', '.join(names)}"
        typer.echo(wrong, err=True)
        raise typer.Exit(_USAGE)
    logs.set_up(level="WARNING")
    chosen = [c for c in CASES if not case or c.name in case]
    used_seed = secrets.randbelow(1 << 31) if seed is None else seed
    folder, started_s = new_folder(data), time.monotonic()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started_s:6.1f} s  {text}\n")

    run: dict[str, int | str] = {"seed": used_seed, "commit": commit()}
    say(f"seed {used_seed}, level {level}, commit {run['commit']}")
    ok = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end in good order as well
    try:
        results = asyncio.run(run_cases(chosen, LEVELS[level], folder, used_seed, say))
        ok = len(results) == len(chosen) and all(result.ok for result in results)
        _print(results, run, as_json=as_json)
    except DemoError as error:
        say(f"failed: {error}")
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        if ok and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"everything is kept in {folder}")
    if not ok:
        raise typer.Exit(_FAILED)


def _print(results: list[CaseResult], run: dict[str, int | str], *, as_json: bool) -> None:
    report = {**run, "cases": [result.as_object() for result in results]}
    if as_json:
        sys.stdout.write(json.dumps(report) + "\n")
        return
    for result in results:
        state = "ok  " if result.ok else "FAIL"
        extras = " ".join(f"{name}={n}" for name, n in sorted(result.tally.counters.items()))
        sys.stdout.write(
            f"{result.case.name} {state} n={result.tally.n} lost={result.lost}"
            f" duplicated={result.duplicated} wrong={result.wrong}"
            f" transactions={result.transactions} {result.seconds:.0f} s {extras}\n"
        )
        for problem in result.tally.problems:
            sys.stdout.write(f"   {problem}\n")
