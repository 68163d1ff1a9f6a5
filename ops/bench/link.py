"""`vw bench link`: what the link carries in peace, and how it drains a week without HQ."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ops.bench import backlog
from ops.bench.children import Agent, BenchError, Child, cpu_s
from ops.bench.figures import Goal, figure, percentile
from ops.bench.hq_rig import Hq
from ops.bench.plan import LinkPlan
from ops.bench.progress import runs
from ops.bench.rig import Rig

_BYTES = Goal("3", "B/connector-hour", "lower", 6_000, 2_000)
_DRAIN = Goal("4", "records/s", "higher", 20_000, 100_000)
_DRAIN_CPU = Goal("4", "us/record", "lower", 2, 0.5)
_LIVE = Goal("4", "ms", "lower", 1_000, None)
_BILLS = Goal("4", "s", "lower", None, None)

_CONNECTORS = 12
_SCALE = 57.5
"""Simulated seconds a real one: a window of 57 s, looked at each second, becomes 1 s."""
_WINDOW_S = 0.9  # a little less than the second after which the agent looks
_SAMPLE_S = 15
_SEGMENT_BYTES = 40

_DRAIN_CONNECTORS = 20
_DRAIN_LIMIT_S = 300.0


def run(plan: LinkPlan) -> list[dict[str, Any]]:
    """Measure; raises BenchError when something could not be measured."""
    figures = []
    with Rig() as rig:
        hq = rig.fake_hq()
        figures.append(_bytes(rig, hq, plan, "0x13"))
        figures.append(_bytes(rig, hq, plan, "typical"))
        hq.end()  # it would acknowledge what the real one is to store
        figures += _drain(rig, plan)
    return figures


def _bytes(rig: Rig, hq: Child, plan: LinkPlan, kinds: str) -> dict[str, Any]:
    number = f"BENCH-LINK-{kinds}"
    per_sample = 1 if kinds == "0x13" else 3
    meter, agent, tls = _metered_agent(rig, number)
    load = rig.child("ops.bench.load")
    load.ask(do="connect", port=agent.port, connections=_CONNECTORS)
    run_s = plan.minutes * 60 / _SCALE
    load.tell(
        do="pace",
        frames_per_s=_CONNECTORS * per_sample * _SCALE / _SAMPLE_S,
        seconds=plan.runs * run_s,
        warm_s=plan.settle_s,
        kinds=kinds,
    )
    load.hear()
    plain, encrypted = [], []
    for _ in runs(plan.runs, f"bytes of {kinds}"):
        before, held = meter.ask(do="count"), hq.ask(do="count", station_no=number)
        time.sleep(run_s)
        after, has = meter.ask(do="count"), hq.ask(do="count", station_no=number)
        records = has["records"] - held["records"]
        if not records:
            raise BenchError("no telemetry passed the link")
        hourly = 3_600 / _SAMPLE_S * per_sample / records
        passed = {name: (after[name] - before[name]) * hourly for name in after}
        headers = passed["segments"] * _SEGMENT_BYTES
        plain.append(passed["bytes"] + headers)
        encrypted.append(passed["wire"] + headers)
    load.hear()
    agent.end()
    sent = "0x13" if kinds == "0x13" else "0x13, 0x23 and 0x25"
    what = (
        f"IP bytes both ways, {_CONNECTORS} connectors, {sent} every 15 s, no lease; real agent and"
        f" broker, HQ acknowledging; windows of 57 s, the wall clock runs x{_SCALE};"
        f" {_SEGMENT_BYTES} B a segment; " + ("over TLS, its own bytes apart" if tls else "no TLS")
    )
    apart = {"with_tls": percentile(encrypted, 50)} if tls else {}
    return figure(_BYTES, what, plain, minutes=plan.minutes, **apart)


def _metered_agent(rig: Rig, number: str) -> tuple[Child, Agent, bool]:
    """Start an agent that reaches the broker through a meter, over TLS where we can make a key."""
    certificate = rig.certificate()
    meter = rig.child("ops.bench.meter")
    port = meter.ask(
        do="open",
        broker_port=rig.endpoints.mqtt_port,
        certificate=str(certificate) if certificate else "",
    )["port"]
    now_ms = int(time.time() * 1000)
    clock = f"[clock]\nreal_start_ms = {now_ms}\nstart_ms = {now_ms}\nscale = {_SCALE}"
    config = rig.station_config(
        number,
        _CONNECTORS,
        broker_port=port,
        certificate=certificate,
        window_s=_WINDOW_S,
        more=clock,
    )
    return meter, rig.agent(config, environment={"VW_ENV": "test"}), certificate is not None


def _drain(rig: Rig, plan: LinkPlan) -> list[dict[str, Any]]:
    numbers = [f"BENCH-DRAIN-{index}" for index in range(plan.runs)]
    hq = Hq(rig, numbers)
    observer = rig.child("ops.bench.observer")
    observer.ask(do="connect", **rig.broker())
    week = rig.folder / "week.db"
    backlog.make_telemetry(week, _DRAIN_CONNECTORS, plan.records)
    rates, costs, lives, bills, overtook = [], [], [], [], []
    for index in runs(plan.runs, "backlog drain"):
        seen = _drain_once(rig, observer, numbers[index], week, plan)
        rates.append(plan.records / seen["seconds"])
        costs.append(seen["edge_us"])
        lives.append(percentile(seen["live_ms"], 99) if seen["live_ms"] else 0.0)
        bills.append(max(0.0, seen["bills_after_s"]))
        overtook.append(float(seen["acked_before_bills"]))
    stored = hq.rows()
    wanted = plan.records * plan.runs
    if stored < wanted:
        raise BenchError(f"{wanted - stored} of {wanted} records are not in PostgreSQL")
    what = (
        f"{plan.records} records (15 s apart, {_DRAIN_CONNECTORS} connectors) from the agent's"
        " store through broker and worker into PostgreSQL (fsync), both cores shared by all"
    )
    return [
        figure(_DRAIN, what, rates, n=plan.records),
        figure(_DRAIN_CPU, "the agent's CPU for all of it, with its live traffic", costs),
        figure(_LIVE, "age of live updates at a watcher during the drain, p99", lives),
        figure(
            _BILLS,
            "from the first telemetry batch sent to the last of 200 waiting bills acknowledged",
            bills,
            records_acknowledged_before=percentile(overtook, 50),
        ),
    ]


def _drain_once(
    rig: Rig, observer: Child, number: str, week: Path, plan: LinkPlan
) -> dict[str, Any]:
    config = rig.station_config(number, _DRAIN_CONNECTORS, window_s=60.0)
    data = config.parent / "data"
    backlog.copy_telemetry(week, data / "telemetry.db")
    bills = backlog.make_bills(data / "station.db")
    observer.ask(do="look_at", station_no=number, bills=bills)
    agent = rig.agent(config)
    before_s = cpu_s(agent.pid)
    load = _live_traffic(rig, agent)
    seen = observer.ask(do="wait_for", records=plan.records, limit_s=_DRAIN_LIMIT_S)
    seen["edge_us"] = (cpu_s(agent.pid) - before_s) / plan.records * 1e6
    load.end()
    agent.end()
    if seen["acked"] < plan.records:
        raise BenchError(f"{plan.records - seen['acked']} records were not acknowledged in time")
    return seen


def _live_traffic(rig: Rig, agent: Agent) -> Child:
    load = rig.child("ops.bench.load")
    load.ask(do="connect", port=agent.port, connections=_DRAIN_CONNECTORS)
    load.tell(do="pace", frames_per_s=20, seconds=_DRAIN_LIMIT_S)
    return load
