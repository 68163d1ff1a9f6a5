"""How large a bench is: the whole of it, `--quick`, and the tiny one of the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StationPlan:
    """Sizes of `vw bench station`."""

    runs: int = 5
    connections: int = 200
    frames_per_s: int = 5_000
    warm_s: float = 1.5
    paced_s: float = 5.0
    blast_frames: int = 200_000
    memory_agents: int = 5
    memory_s: float = 15.0
    alarms: int = 300
    alarms_per_s: float = 50.0
    alarm_frames_per_s: int = 2_000
    logins: int = 2_000
    logins_per_s: float = 200.0


STATION = StationPlan()
STATION_QUICK = StationPlan(
    runs=3,
    warm_s=0.5,
    paced_s=1.2,
    blast_frames=40_000,
    memory_agents=3,
    memory_s=2.0,
    alarms=100,
    alarms_per_s=100.0,
    logins=500,
)
STATION_TINY = StationPlan(
    runs=1,
    connections=5,
    frames_per_s=200,
    warm_s=0.1,
    paced_s=0.2,
    blast_frames=400,
    memory_agents=1,
    memory_s=0.2,
    alarms=3,
    alarm_frames_per_s=100,
    logins=10,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HqPlan:
    """Sizes of `vw bench hq`; batches of 500 and of 12 records."""

    runs: int = 5
    large_batches: int = 400
    small_batches: int = 2_000


HQ = HqPlan()
HQ_QUICK = HqPlan(runs=3, large_batches=80, small_batches=500)
HQ_TINY = HqPlan(runs=1, large_batches=8, small_batches=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """Sizes of `vw bench link`."""

    runs: int = 5
    minutes: int = 20
    records: int = 806_400
    settle_s: float = 3.0


LINK = LinkPlan(runs=5)
LINK_QUICK = LinkPlan(runs=3, minutes=3, records=40_000, settle_s=2.0)
LINK_TINY = LinkPlan(runs=1, minutes=2, records=2_000, settle_s=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyPlan:
    """Sizes of `vw bench safety`."""

    runs: int = 5
    contact_trips: int = 1_000
    voted_trips: int = 1_000
    charge_points: int = 3
    connectors: int = 2
    other_connections: int = 100
    other_frames_per_s: int = 1_000
    alarms: int = 300
    alarms_per_s: float = 50.0
    line_s: float = 10.0
    kiosk_s: float = 20.0


SAFETY = SafetyPlan()
SAFETY_QUICK = SafetyPlan(
    runs=3,
    contact_trips=75,
    voted_trips=25,
    charge_points=2,
    alarms=50,
    alarms_per_s=100.0,
    line_s=1.0,
    kiosk_s=1.0,
)
SAFETY_TINY = SafetyPlan(
    runs=1,
    contact_trips=3,
    voted_trips=2,
    charge_points=1,
    other_connections=5,
    other_frames_per_s=100,
    alarms=3,
    line_s=0.6,
    kiosk_s=1.0,
)
