"""Script files: what happens at a simulated site, second by second.

TOML or JSON with a list `step`; each step has `at_s` (real seconds from the moment when all
charge points are ready; steps run in the order of the file, so it may be left out) and an
action as in `actions.py`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ops.sim.actions import AnyAction
from ops.sim.site import Site
from shared.errors import ConfigError

logger = logging.getLogger(__name__)


class Step(NamedTuple):
    """One action and when it is due, in real seconds from the start."""

    at_s: float
    action: AnyAction


def load(path: Path) -> list[Step]:
    """Return the steps of a script file.

    Raises:
        ConfigError: The file cannot be read, or says which step is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return parse(data, str(path))


def parse(data: Any, source: str = "script") -> list[Step]:
    """Return the steps of a script that is read already. Raises ConfigError."""
    tables = data.get("step") if isinstance(data, dict) else None
    if not isinstance(tables, list):
        raise ConfigError(f"{source}: expected a list `step`")
    steps: list[Step] = []
    for index, table in enumerate(tables, 1):
        try:
            arguments = dict(table)
            at_s = float(arguments.pop("at_s", steps[-1].at_s if steps else 0.0))
            steps.append(Step(at_s, msgspec.convert(arguments, AnyAction)))
        except (msgspec.ValidationError, TypeError, ValueError) as error:
            raise ConfigError(f"{source}: step {index}: {error}") from error
    return steps


async def play(site: Site, steps: list[Step]) -> list[Any]:
    """Carry out the steps, each at its time or when the one before is done.

    Returns what each gave. Raises ActionError for a step that cannot be done.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    results = []
    for index, step in enumerate(steps, 1):
        await asyncio.sleep(max(0.0, start_s + step.at_s - loop.time()))
        logger.info("step %d: %s", index, step.action)
        results.append(await step.action.run(site))
    return results
