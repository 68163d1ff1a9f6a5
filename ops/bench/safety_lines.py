"""Do safety points keep their period beside many other devices, of which some are dead?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.bench import safety_site as site
from ops.bench.figures import Goal, figure, percentile
from ops.bench.plan import SafetyPlan
from ops.bench.progress import runs
from ops.bench.safety_rig import SafetyRig

PERIOD_MS = 100
_BAUD = 115_200
_DEVICES, _DEAD = 32, 8
_PROFILES = ("bench-detector", "bench-thermometer", "bench-detector", "bench-detector")
"""Of the safety points."""
_GOAL = Goal("line", "ms", "lower", PERIOD_MS + 10, PERIOD_MS)


def lines(rig: SafetyRig, plan: SafetyPlan) -> list[dict[str, Any]]:
    """Measure over TCP, and at 115200 baud on a pseudo terminal as slow as its line."""
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(_line, rig, plan, baud) for baud in (0, _BAUD)]
        return [each.result() for each in both]


def _line(rig: SafetyRig, plan: SafetyPlan, baud: int) -> dict[str, Any]:
    world = rig.child("ops.bench.safety_site")
    bulk = _DEVICES - len(_PROFILES)
    where = world.ask(do="listen", bulk=bulk, dead=_DEAD, baud=baud)
    if baud:
        line = {"transport": "serial", "device": where["path"], "baud": baud}
    else:
        line = {"transport": "tcp", "host": "127.0.0.1", "port": where["port"]}
    agent = rig.agent(
        rig.config(
            f"BENCH-LINE-{baud}", 0, line={**line, "period_ms": PERIOD_MS}, document=_document(bulk)
        )
    )
    units = list(range(1, len(_PROFILES) + 1))
    world.ask(do="watch", seconds=min(1.0, plan.line_s), units=units)  # the dead are found dead
    chunks = [
        world.ask(do="watch", seconds=plan.line_s, units=units)["periods_ms"]
        for _ in runs(plan.runs, "line " + ("serial" if baud else "TCP"))
    ]
    agent.end()
    name = f"serial RTU at {baud} baud" if baud else "TCP"
    what = (
        f"{_DEVICES} devices, {len(units)} safety points, {_DEAD} dead, {name}:"
        f" time between two reads of a safety point, p99 (set: {PERIOD_MS} ms)"
    )
    everything = [period for chunk in chunks for period in chunk]
    return figure(
        _GOAL,
        what,
        [percentile(chunk, 99) for chunk in chunks],
        n=len(everything),
        p50=percentile(everything, 50),
        worst=max(everything),
    )


def _document(bulk: int) -> dict[str, list[dict[str, Any]]]:
    safety = [
        {"name": f"safety-{unit_id}", "line": "bench", "unit_id": unit_id, "profile": profile}
        for unit_id, profile in enumerate(_PROFILES, 1)
    ]
    others = [
        {"name": f"bulk-{index}", "line": "bench", "unit_id": site.BULK + index}
        | {"profile": "bench-bulk"}
        for index in range(bulk)
    ]
    return {"devices": safety + others}
