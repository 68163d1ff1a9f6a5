"""`vw bench hq`: what a record costs HQ, over worker, broker, Redis and PostgreSQL, committed."""

from __future__ import annotations

from typing import Any

from ops.bench.children import BenchError, Child
from ops.bench.figures import Goal, figure, percentile
from ops.bench.hq_rig import Hq
from ops.bench.plan import HqPlan
from ops.bench.progress import runs
from ops.bench.rig import Rig

_LARGE = Goal("5", "us/record", "lower", 15, 6)
_SMALL = Goal("5", "us/record", "lower", 40, 12)
_RATE = Goal("5", "records/s", "higher", None, None)
_STATIONS = 8
_LIMIT_S = 120.0


def run(plan: HqPlan) -> list[dict[str, Any]]:
    """Measure; raises BenchError when something could not be measured."""
    numbers = [f"BENCH-HQ-{index}" for index in range(_STATIONS)]
    with Rig() as rig:
        hq = Hq(rig, numbers)
        senders = rig.child("ops.bench.senders")
        senders.ask(do="connect", stations=numbers, **rig.broker())
        _send(hq, senders, batches=_STATIONS, records=500)  # charge points, streams, partitions
        large = [
            _send(hq, senders, plan.large_batches, 500) for _ in runs(plan.runs, "batches of 500")
        ]
        small = [
            _send(hq, senders, plan.small_batches, 12) for _ in runs(plan.runs, "batches of 12")
        ]
        sent = _STATIONS * 500 + plan.runs * (plan.large_batches * 500 + plan.small_batches * 12)
        if (stored := hq.rows()) != sent:
            raise BenchError(f"{sent} records were sent, {stored} are stored")
    return [
        *_figures(_LARGE, large, 500, plan.large_batches),
        *_figures(_SMALL, small, 12, plan.small_batches),
    ]


def _send(hq: Hq, senders: Child, batches: int, records: int) -> dict[str, float]:
    """Send batches; return µs a record of each process, and records a second."""
    senders.ask(do="prepare", batches=batches, records=records)
    before = hq.cpu_s()
    done = senders.ask(do="send", limit_s=_LIMIT_S)
    after = hq.cpu_s()
    total = batches * records
    cost = {name: (after[name] - before[name]) / total * 1e6 for name in after}
    return {**cost, "total": sum(cost.values()), "per_s": total / done["seconds"]}


def _figures(
    goal: Goal, runs: list[dict[str, float]], records: int, batches: int
) -> list[dict[str, Any]]:
    parts = {
        f"{name}_us": percentile([run[name] for run in runs], 50)
        for name in ("worker", "broker", "redis", "postgres")
    }
    what = (
        f"CPU of worker + broker + Redis + PostgreSQL a record, batches of {records} from"
        f" {_STATIONS} stations, committed with fsync and acknowledged, every row counted"
    )
    rate = f"batches of {records}: records committed a second, senders on the same machine"
    n = batches * records
    return [
        figure(goal, what, [run["total"] for run in runs], n=n, **parts),
        figure(_RATE, rate, [run["per_s"] for run in runs], n=n),
    ]
