"""`vw bench station`: what the whole station path costs, against a server that only splits.

A real agent process with its whole storage path: socket → decode → rules → frame log → journal →
telemetry → broker → an HQ that acknowledges. Every record is counted at that HQ; a run in which
one is missing has measured nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.bench.children import Agent, BenchError, Child, cpu_s, rss_bytes
from ops.bench.figures import Goal, figure, percentile
from ops.bench.plan import StationPlan
from ops.bench.progress import runs
from ops.bench.rig import Rig

_RATIO = Goal("1", "ratio", "lower", 4, 2)
_SATURATED = Goal("1b", "frames/s/core", "higher", 40_000, 100_000)
_MEMORY = Goal("2", "MB", "lower", 100, 60)
_ALARM = Goal("7", "ms", "lower", 5, 1)
_ALARM_RATIO = Goal("7", "ratio", "lower", None, 1.5)
_STORM = Goal("13", "ms", "lower", None, 1000)
_STORM_LOST = Goal("13", "logins", "lower", 0, 0)
_STORM_MEMORY = Goal("13", "kB/connection", "lower", None, 20)

_ARRIVE_LIMIT_S = 60.0
_FRAMES_PER_SEND = 8
_PROBES = 20
_MEMORY_CHARGE_POINTS = 30
_MB, _KB = 1e6, 1e3


def run(plan: StationPlan) -> list[dict[str, Any]]:
    """Measure everything; takes about four minutes, with the quick plan 45 s.

    Raises:
        BenchError: Something could not be measured.
    """
    figures = []
    with Rig() as rig:
        hq = rig.fake_hq()
        figures += _path_and_alarms(rig, hq, plan)
        figures.append(_memory(rig, hq, plan))
        figures += _storm(rig, plan)
    return figures


class _Station:
    """An agent with a load on it, and how many records it owes to HQ."""

    def __init__(self, rig: Rig, hq: Child, number: str, plan: StationPlan) -> None:
        self.hq = hq
        self.number = number
        config = rig.station_config(number, plan.connections + _PROBES)
        self.agent = rig.agent(config)
        self.load = rig.child("ops.bench.load")
        self.load.ask(do="connect", port=self.agent.port, connections=plan.connections)
        self.sent = 0

    def await_records(self) -> None:
        """Wait until HQ has every record. Raises BenchError if one is missing."""
        came = self.hq.ask(
            do="wait_for", station_no=self.number, records=self.sent, limit_s=_ARRIVE_LIMIT_S
        )["records"]
        if came < self.sent:
            raise BenchError(f"{self.sent - came} of {self.sent} records never reached HQ")


def _path_and_alarms(rig: Rig, hq: Child, plan: StationPlan) -> list[dict[str, Any]]:
    station = _Station(rig, hq, "BENCH-1", plan)
    splitter = rig.child("ops.bench.splitter")
    splitter_load = rig.child("ops.bench.load")
    port = splitter.hear()["port"]
    splitter_load.ask(do="connect", port=port, connections=plan.connections, log_in=False)
    figures = _paced(station, splitter, splitter_load, plan)
    figures.append(_saturated(station, plan))
    figures += _alarms(rig, station, plan)
    return figures


def _paced(
    station: _Station, splitter: Child, splitter_load: Child, plan: StationPlan
) -> list[dict[str, Any]]:
    ratios, paths_us, bares_us = [], [], []
    for _ in runs(plan.runs, "path at a steady pace"):
        bare_us = _cost_us(splitter_load, splitter.pid, plan)
        path_us = _cost_us(station.load, station.agent.pid, plan)
        station.sent += _frames(plan)
        ratios.append(path_us / bare_us)
        paths_us.append(path_us)
        bares_us.append(bare_us)
    station.await_records()
    what = (
        f"whole station path / bare splitter, CPU; {plan.connections} connections,"
        f" {plan.frames_per_s} 0x13/s, one a read; link up to broker and acknowledging HQ,"
        " every record counted there"
    )
    detail = figure(Goal("1", "us/frame", "lower", None, None), "station path alone", paths_us)
    bare = figure(Goal("1", "us/frame", "lower", None, None), "bare splitter alone", bares_us)
    return [figure(_RATIO, what, ratios, n=_frames(plan)), detail, bare]


def _frames(plan: StationPlan) -> int:
    return int(plan.warm_s * plan.frames_per_s) + int(plan.paced_s * plan.frames_per_s)


def _cost_us(load: Child, pid: int, plan: StationPlan) -> float:
    """Return processor time a frame at an even pace, after warming up at the same pace."""
    load.tell(do="pace", frames_per_s=plan.frames_per_s, seconds=plan.paced_s, warm_s=plan.warm_s)
    load.hear()
    before_s = cpu_s(pid)
    done = load.hear()
    frames: int = done["after_warm"]
    return (cpu_s(pid) - before_s) / frames * 1e6


def _saturated(station: _Station, plan: StationPlan) -> dict[str, Any]:
    rates = []
    for _ in runs(plan.runs, "path saturated"):
        station.load.tell(do="blast", count=plan.blast_frames, frames_per_send=_FRAMES_PER_SEND)
        station.load.hear()
        before_s = cpu_s(station.agent.pid)
        station.sent += station.load.hear()["sent"]
        station.await_records()
        rates.append(plan.blast_frames / (cpu_s(station.agent.pid) - before_s))
    what = (
        f"0x13 a second of agent CPU, as fast as taken, {_FRAMES_PER_SEND} a packet; until the"
        " last record has reached the acknowledging HQ"
    )
    return figure(_SATURATED, what, rates, n=plan.blast_frames)


def _alarms(rig: Rig, station: _Station, plan: StationPlan) -> list[dict[str, Any]]:
    bare = rig.agent(
        rig.station_config("BENCH-BARE", plan.connections + _PROBES),
        module=("ops.bench.bare_agent",),
    )
    bare_load = rig.child("ops.bench.load")
    bare_load.ask(do="connect", port=bare.port, connections=plan.connections)
    bare_probe = _probe(rig, bare, plan)
    probe = _probe(rig, station.agent, plan)
    p99s, medians, bare_p99s = [], [], []
    for _ in runs(plan.runs, "hot batteries"):
        bare_p99s.append(percentile(_alarm_run(bare_load, bare_probe, plan), 99))
        times_ms = _alarm_run(station.load, probe, plan)
        p99s.append(percentile(times_ms, 99))
        medians.append(percentile(times_ms, 50))
    load = f"{plan.alarm_frames_per_s} other frames/s"
    what = f"over-temperature 0x25 → 0x36 at the client, p99 of {plan.alarms}, {load}, all storage"
    ratios = [full / without for full, without in zip(p99s, bare_p99s, strict=True)]
    return [
        figure(_ALARM, what, p99s, n=plan.alarms, p50=percentile(medians, 50)),
        figure(_ALARM_RATIO, "p99 / p99 of the same station without storage", ratios),
        figure(Goal("7", "ms", "lower", None, None), "p99 without storage", bare_p99s),
    ]


def _probe(rig: Rig, agent: Agent, plan: StationPlan) -> Child:
    probe = rig.child("ops.bench.probe")
    probe.ask(do="connect", port=agent.port, connections=_PROBES, first=plan.connections)
    return probe


def _alarm_run(load: Child, probe: Child, plan: StationPlan) -> list[float]:
    seconds = plan.alarms / plan.alarms_per_s + 0.3
    load.tell(do="pace", frames_per_s=plan.alarm_frames_per_s, seconds=seconds)
    answer = probe.ask(do="alarms", count=plan.alarms, per_s=plan.alarms_per_s)
    load.hear()
    times_ms: list[float] = answer["times_ms"]
    return times_ms


def _memory(rig: Rig, hq: Child, plan: StationPlan) -> dict[str, Any]:
    def one(index: int) -> float:
        number = f"BENCH-RSS-{index}"
        config = rig.station_config(number, _MEMORY_CHARGE_POINTS, connectors=2)
        agent = rig.agent(config)
        load = rig.child("ops.bench.load")
        load.ask(do="connect", port=agent.port, connections=_MEMORY_CHARGE_POINTS, connectors=2)
        load.ask(do="pace", frames_per_s=180, seconds=plan.memory_s, kinds="typical")
        size = rss_bytes(agent.pid) / _MB
        agent.end()
        return size

    with ThreadPoolExecutor(plan.memory_agents) as pool:
        sizes = list(pool.map(one, range(plan.memory_agents)))
    for index in range(plan.memory_agents):
        records = hq.ask(do="count", station_no=f"BENCH-RSS-{index}")["records"]
        if not records and plan.memory_s > 1:
            raise BenchError("an agent under the memory test sent nothing")
    what = (
        "resident memory of a new agent, 60 connectors charging with 0x13/0x23/0x25 each second"
        f" for {plan.memory_s:g} s (15 times as dense as real), link up"
    )
    return figure(_MEMORY, what, sizes)


def _storm(rig: Rig, plan: StationPlan) -> list[dict[str, Any]]:
    p99s, lost, growth = [], [], []
    for index in runs(plan.runs, "log-in storm"):
        agent = rig.agent(rig.station_config(f"BENCH-STORM-{index}", plan.logins))
        load = rig.child("ops.bench.load")
        before = rss_bytes(agent.pid)
        load.tell(do="storm", port=agent.port, charge_points=plan.logins, per_s=plan.logins_per_s)
        done = load.hear()
        if not agent.running():
            raise BenchError("the agent did not survive the connect storm")
        growth.append((rss_bytes(agent.pid) - before) / plan.logins / _KB)
        lost.append(float(plan.logins - done["standing"]))
        p99s.append(percentile(done["ack_ms"], 99))
        load.end()
        agent.end()
    storm = f"{plan.logins} charge points logging in at {plan.logins_per_s:g}/s"
    return [
        figure(_STORM_LOST, f"{storm}: not acknowledged, or not connected a second later", lost),
        figure(_STORM, f"{storm}: SYN → login acknowledged, p99", p99s, n=plan.logins),
        figure(_STORM_MEMORY, f"{storm}: resident memory of the agent, growth", growth),
    ]
