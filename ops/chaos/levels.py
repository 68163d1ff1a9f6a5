"""How much is broken at each level. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How often each thing happens.

    Attributes:
        stations: Stations with an agent, a simulator and customers each.
        agent_random: Kills of an agent at purely random moments.
        agent_aimed: Kills on top, for each of the two rare moments.
        failpoints: Deaths at each failpoint.
        broker, worker: Kills of the broker, and of a worker of HQ.
        hits_min: How many kills of an agent have to hit each of the moments that matter.
    """

    stations: int
    agent_random: int
    agent_aimed: int
    failpoints: int
    broker: int
    worker: int
    hits_min: int = 0


LEVELS = {
    "smoke": Level(stations=1, agent_random=2, agent_aimed=1, failpoints=1, broker=1, worker=1),
    "ci": Level(stations=1, agent_random=10, agent_aimed=3, failpoints=4, broker=3, worker=3),
    "night": Level(
        stations=1,
        agent_random=100,
        agent_aimed=15,
        failpoints=20,
        broker=20,
        worker=20,
        hits_min=10,
    ),
    "soak": Level(
        stations=2,
        agent_random=2000,
        agent_aimed=100,
        failpoints=100,
        broker=200,
        worker=200,
        hits_min=10,
    ),
}
