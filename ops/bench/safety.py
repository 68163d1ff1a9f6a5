"""`vw bench safety`: from a flipped register, a hot battery or a dead device to what must happen.

A real agent process, with its HQ away, its disk full and other charge points talking, all at once;
a site in a process of its own, whose clock tells when a detector flipped, when the last stop frame
of the zone came and when the siren's coil was written.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ops.bench import frames
from ops.bench import safety_site as site
from ops.bench.children import Agent, Child
from ops.bench.figures import Goal, figure, percentile
from ops.bench.plan import SafetyPlan
from ops.bench.progress import runs
from ops.bench.safety_kiosk import kiosk
from ops.bench.safety_lines import PERIOD_MS, lines
from ops.bench.safety_rig import PIN, FullDisk, SafetyRig

_CONTACT_POLLS, _VOTED_POLLS = 1, 3
_ALLOWANCE_MS = 20
_PROBES = 20
_DECIDED = Goal("8", "ms", "lower", 5, 1)
_HOT = Goal("7", "ms", "lower", 5, 1)
_HOT_RATIO = Goal("7", "ratio", "lower", None, 1.5)


def run(plan: SafetyPlan) -> list[dict[str, Any]]:
    """Measure everything; takes about a quarter of an hour, with the quick plan 45 s.

    Raises:
        BenchError: Something could not be measured.
    """
    with SafetyRig() as rig:
        figures = _trips(rig, plan)
        figures += _hot_batteries(rig, plan)
        with ThreadPoolExecutor(2) as pool:
            beside = pool.submit(kiosk, rig, plan)
            figures += lines(rig, plan)
            figures += beside.result()
    return figures


# Trips


def _trip_goal(polls: int) -> Goal:
    return Goal("trip", "ms", "lower", polls * PERIOD_MS + _ALLOWANCE_MS, None)


def trip_document(charge_points: int, connectors: int) -> dict[str, list[dict[str, Any]]]:
    """Return a zone of the first charge points with a detector, a thermometer and a siren."""
    places = [
        [frames.number(index), connector_no]
        for index in range(charge_points)
        for connector_no in range(1, connectors + 1)
    ]
    device = {"line": "bench", "zone": "A"}
    limits = {"clear_s": 0.0, "hold_s": 0.0}
    row = {"stop": "zone", "contactor": "never", "sirens": True, "reset": "local"}
    return {
        "zones": [{"name": "A", "connectors": places}],
        "devices": [
            {"name": "smoke-1", "unit_id": site.DETECTOR, "profile": "bench-detector", **device},
            {"name": "heat-1", "unit_id": site.THERMOMETER, "profile": "bench-thermometer"}
            | device,
            {"name": "relay-1", "unit_id": site.RELAY, "profile": "bench-relay", **device},
        ],
        "outputs": [
            {
                "name": "siren-1",
                "kind": "siren",
                "device": "relay-1",
                "point": "siren",
                "read_back": "siren_on",
                "zones": ["A"],
            }
        ],
        "rules": [
            {"rule_id": "smoke", "kind": "threshold", "code": "smoke", "above": 0.5}
            | {"select": {"quantity": "smoke"}}
            | limits,
            {"rule_id": "heat", "kind": "vote", "code": "heat", "needed": 3, "of": 3}
            | {"above": 60.0, "select": {"quantity": "temperature_c"}}
            | limits,
        ],
        "interlocks": [{"cause": cause, **row} for cause in ("smoke", "heat")],
    }


def _trips(rig: SafetyRig, plan: SafetyPlan) -> list[dict[str, Any]]:
    """Trip with everything against us: no HQ, no byte left on the disk, a storm of frames."""
    world = rig.child("ops.bench.safety_site")
    port = world.ask(do="listen")["port"]
    disk = rig.disk("disk")
    config = rig.config(
        "BENCH-TRIP",
        plan.charge_points + plan.other_connections,
        connectors=plan.connectors,
        line={"transport": "tcp", "host": "127.0.0.1", "port": port, "period_ms": PERIOD_MS},
        document=trip_document(plan.charge_points, plan.connectors),
        data_dir=disk.folder / "data" if disk else None,
    )
    agent = rig.agent(config)
    socket = str((disk.folder if disk else config.parent) / "data" / "agent.sock")
    world.ask(
        do="connect",
        port=agent.port,
        points=plan.charge_points,
        connectors=plan.connectors,
        first=0,
        socket=socket,
        pin=PIN,
    )
    storm = _storm(rig, agent, plan)
    figures = []
    for kind, polls, count in (
        ("contact", _CONTACT_POLLS, plan.contact_trips),
        ("voted", _VOTED_POLLS, plan.voted_trips),
    ):
        trips = _chunks(world, disk, kind, count, plan.runs)
        figures += _trip_figures(kind, polls, trips, plan, disk)
    storm.end()
    agent.end()
    return figures


def _storm(rig: SafetyRig, agent: Agent, plan: SafetyPlan) -> Child:
    storm = rig.child("ops.bench.load")
    storm.ask(
        do="connect",
        port=agent.port,
        connections=plan.other_connections,
        first=plan.charge_points,
    )
    storm.tell(do="pace", frames_per_s=plan.other_frames_per_s, seconds=3600)
    return storm


def _chunks(
    world: Child, disk: FullDisk | None, kind: str, trips: int, chunks: int
) -> list[list[dict[str, float]]]:
    """Return the trips of each run; the disk is filled again before each."""
    done = []
    for index in runs(chunks, f"{kind} trips"):
        if disk is not None:
            disk.fill()
        count = trips // chunks + (index < trips % chunks)
        done.append(world.ask(do="trips", kind=kind, count=count, period_s=PERIOD_MS / 1000))
    return [chunk["trips"] for chunk in done]


def _trip_figures(
    kind: str,
    polls: int,
    chunks: list[list[dict[str, float]]],
    plan: SafetyPlan,
    disk: FullDisk | None,
) -> list[dict[str, Any]]:
    against = (
        f"HQ away, disk {'full (tmpfs)' if disk else 'not full: no root'},"
        f" {plan.other_frames_per_s} other frames/s"
    )
    connectors = plan.charge_points * plan.connectors
    name = "alarm contact" if kind == "contact" else "voted value, 3 of 3"
    n = sum(map(len, chunks))

    def p99(what: str, goal: Goal, field: str) -> dict[str, Any]:
        values = [percentile([trip[field] for trip in chunk], 99) for chunk in chunks]
        everything = [trip[field] for chunk in chunks for trip in chunk]
        made = figure(goal, f"{what}, p99; {against}", values, n=n, p50=percentile(everything, 50))
        # Of all trips together: a run is too short for a percentile of its own.
        return made | {"value": figure(goal, what, [percentile(everything, 99)])["value"]}

    goal = _trip_goal(polls)
    return [
        p99(f"{name} flips → last of {connectors} stop frames", goal, "stop_ms"),
        p99(f"{name} flips → siren's coil written", goal, "siren_ms"),
        p99(
            f"{name}: deciding poll's answer → siren's coil written", _DECIDED, "answer_to_siren_ms"
        ),
        p99(f"{name}: deciding poll's answer → last stop frame", _DECIDED, "answer_to_stop_ms"),
    ]


# Hot batteries


def _hot_batteries(rig: SafetyRig, plan: SafetyPlan) -> list[dict[str, Any]]:
    """Goal 7 with all storage of this rig, against the same station without any."""
    count = plan.other_connections + _PROBES
    whole, bare = (
        rig.agent(rig.config("BENCH-HOT", count)),
        rig.agent(rig.config("BENCH-BARE", count), module=("ops.bench.bare_agent",)),
    )
    pairs = [(_connected(rig, agent, plan), _probe(rig, agent, plan)) for agent in (bare, whole)]
    p99s, medians, bare_p99s = [], [], []
    for _ in runs(plan.runs, "hot batteries"):
        bare_ms, whole_ms = (_overheat(load, probe, plan) for load, probe in pairs)
        bare_p99s.append(percentile(bare_ms, 99))
        p99s.append(percentile(whole_ms, 99))
        medians.append(percentile(whole_ms, 50))
    what = (
        f"over-temperature 0x25 → 0x36 at the charge point, p99 of {plan.alarms},"
        f" {plan.other_frames_per_s} other frames/s, all storage, HQ away"
    )
    ratios = [full / without for full, without in zip(p99s, bare_p99s, strict=True)]
    whole.end()
    bare.end()
    return [
        figure(_HOT, what, p99s, n=plan.alarms, p50=percentile(medians, 50)),
        figure(_HOT_RATIO, "p99 / p99 of the same station without storage", ratios),
        figure(Goal("7", "ms", "lower", None, None), "p99 without storage", bare_p99s),
    ]


def _connected(rig: SafetyRig, agent: Agent, plan: SafetyPlan) -> Child:
    load = rig.child("ops.bench.load")
    load.ask(do="connect", port=agent.port, connections=plan.other_connections)
    return load


def _probe(rig: SafetyRig, agent: Agent, plan: SafetyPlan) -> Child:
    probe = rig.child("ops.bench.probe")
    probe.ask(do="connect", port=agent.port, connections=_PROBES, first=plan.other_connections)
    return probe


def _overheat(load: Child, probe: Child, plan: SafetyPlan) -> list[float]:
    seconds = plan.alarms / plan.alarms_per_s + 0.3
    load.tell(do="pace", frames_per_s=plan.other_frames_per_s, seconds=seconds)
    answer = probe.ask(do="alarms", count=plan.alarms, per_s=plan.alarms_per_s)
    load.hear()
    times_ms: list[float] = answer["times_ms"]
    return times_ms
