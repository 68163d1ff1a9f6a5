"""`vw bench …`: measure, and print one JSON object. Exit 0 whatever the figures say."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ops.bench.children import BenchError
from ops.bench.figures import machine
from shared.errors import VoltwardenError

_FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Measured figures, as ratios, one JSON a run.")

Quick = Annotated[bool, typer.Option("--quick", help="Fewer and shorter runs, ≤ 45 s.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.callback()
def _root() -> None:
    """Keep the names of the benches even while there is only one."""


@app.command()
def station(*, quick: Quick = False, as_json: AsJson = False) -> None:
    """Goals 1, 1b, 2, 7, 13: the station path, its memory, alarm latency, a connect storm."""
    from ops.bench import plan
    from ops.bench.station import run

    _measure("station", lambda: run(plan.STATION_QUICK if quick else plan.STATION), as_json=as_json)


@app.command()
def link(*, quick: Quick = False, as_json: AsJson = False) -> None:
    """Goals 3, 4: bytes on the link, and how fast a week's backlog drains into PostgreSQL."""
    from ops.bench import plan
    from ops.bench.link import run

    _measure("link", lambda: run(plan.LINK_QUICK if quick else plan.LINK), as_json=as_json)


@app.command()
def hq(*, quick: Quick = False, as_json: AsJson = False) -> None:
    """Goal 5: what a record costs HQ, in batches of 500 and of 12."""
    from ops.bench import plan
    from ops.bench.hq import run

    _measure("hq", lambda: run(plan.HQ_QUICK if quick else plan.HQ), as_json=as_json)


@app.command()
def safety(*, quick: Quick = False, as_json: AsJson = False) -> None:
    """Goals 7, 8: smoke, heat and hot batteries until stop and siren; lines; the screen's cost."""
    from ops.bench import plan
    from ops.bench.safety import run

    _measure("safety", lambda: run(plan.SAFETY_QUICK if quick else plan.SAFETY), as_json=as_json)


def _measure(bench: str, measure: Callable[[], list[dict[str, Any]]], *, as_json: bool) -> None:
    started_s = time.monotonic()
    try:
        figures = measure()
    except (BenchError, VoltwardenError) as error:
        typer.echo(f"vw bench {bench}: {error}", err=True)
        raise typer.Exit(_FAILED) from None
    result = {
        "bench": bench,
        "machine": machine(),
        "load_average": _load_average(),
        "seconds": round(time.monotonic() - started_s, 1),
        "figures": figures,
    }
    sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n" if as_json else _table(result))


def _load_average() -> list[float]:
    import os

    return [round(value, 2) for value in os.getloadavg()]


def _table(result: dict[str, Any]) -> str:
    lines = [f"{result['bench']} on {result['machine']}"]
    for each in result["figures"]:
        aim = "" if each["target"] is None else f"  target {each['target']}"
        wanted = "" if each["moonshot"] is None else f"  wanted {each['moonshot']}"
        lines.append(
            f"{each['goal']:>3}  {each['value']} {each['unit']}"
            f"  ({each['min']}…{each['max']}, {each['runs']} runs){aim}{wanted}\n"
            f"     {each['what']}"
        )
    return "\n".join(lines) + "\n"
