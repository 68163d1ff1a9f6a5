"""The cases: who dies, when, how often. Each counts what its kills hit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg

from edge.failpoints import EXIT_CODE
from ops.chaos import look
from ops.chaos.levels import Level
from ops.chaos.rig import Rig, freeze
from ops.demo.children import DemoError
from ops.demo.stage import StationProcesses
from ops.sim.control import ControlClient

_ALIVE_S = (0.0, 2.0)
_BROKER_DOWN_S = (0.0, 1.0)
_READY_LIMIT_S = 5.0
_AIM_LIMIT_S = 5.0
_AIM_STEP_S = (0.002, 0.03)
_RECORD_LIMIT_S = 20.0
_FAILPOINT_LIMIT_S = 30.0
_FAILPOINT_HIT_MAX = 4
_FAILPOINT_TRIES = 6
_STALLED_S = 0.06


_Shot = Callable[[StationProcesses, Random], Awaitable[look.Look | None]]
"""Freezes an agent at some moment and says what it would hit; None: that moment did not come."""


@dataclass(slots=True)
class Tally:
    """What a case did. `problems` make it fail."""

    n: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    slowest_restart_s: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    """One case; `planned` is how many kills it makes at a level."""

    name: str
    what: str
    run: Callable[[Rig, Level, Tally], Awaitable[None]]
    planned: Callable[[Level], int]


async def _kill_agents(rig: Rig, level: Level, tally: Tally) -> None:
    """E1: at random moments, and at the two moments that random ones seldom hit."""
    random = rig.random("E1")
    aimed: list[_Shot] = [_at_record, _at_half_written_batch]
    shots: list[_Shot] = [_at_random] * level.agent_random + aimed * level.agent_aimed
    random.shuffle(shots)
    for shot in shots:
        station = random.choice(rig.stage.stations)
        await asyncio.sleep(random.uniform(*_ALIVE_S))
        seen = await shot(station, random)
        if seen is None:
            tally.counters["missed_aims"] += 1
            await freeze(station.agent)
            seen = await look.look_at(station)
        seen.count_into(tally.counters)
        await station.agent.kill()
        tally.n += 1
        await _bring_back(rig, station, tally)
        rig.say(f"E1 {tally.n}/{len(shots)} {_short(tally.counters)}")
    _demand_hits(level, tally)


async def _at_random(station: StationProcesses, _random: Random) -> look.Look | None:
    await freeze(station.agent)
    return await look.look_at(station)


async def _at_record(station: StationProcesses, _random: Random) -> look.Look | None:
    """Freeze the agent while a record is on its way to be confirmed; None if that fails."""
    deadline_s = time.monotonic() + _RECORD_LIMIT_S
    while time.monotonic() < deadline_s:
        if not await _next_record(station):
            return None
        await freeze(station.agent)
        seen = await look.look_at(station)
        if seen.unacknowledged_records:
            return seen
        station.agent.thaw()
    return None


async def _next_record(station: StationProcesses) -> bool:
    """Wait until any charge point sends a record."""
    status = await station.status()
    waits: list[Coroutine[Any, Any, None]] = [
        _one_record(station, number, point["last_event"]) for number, point in status.items()
    ]
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return all(task.exception() is None for task in done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one_record(station: StationProcesses, charge_point_no: str, since: int) -> None:
    async with ControlClient(station.control_port) as control:
        await control.call(
            "wait",
            charge_point=charge_point_no,
            name="record_sent",
            since=since,
            timeout_s=_RECORD_LIMIT_S,
        )


async def _at_half_written_batch(station: StationProcesses, random: Random) -> look.Look | None:
    """Freeze the agent inside a transaction of its journal; None if that fails."""
    database, pid = station.folder / look.JOURNAL, station.agent.process.pid
    deadline_s = time.monotonic() + _AIM_LIMIT_S
    while time.monotonic() < deadline_s:
        await asyncio.sleep(random.uniform(*_AIM_STEP_S))
        await freeze(station.agent)
        if look.is_writing(database, pid):
            return await look.look_at(station)
        station.agent.thaw()
    return None


def _demand_hits(level: Level, tally: Tally) -> None:
    for name in ("hit_unacknowledged_record", "hit_open_transaction", "hit_half_written_batch"):
        if tally.counters[name] < level.hits_min:
            tally.problems.append(f"{name}: {tally.counters[name]}, wanted {level.hits_min}")


async def _die_before_confirming(rig: Rig, level: Level, tally: Tally) -> None:
    """E2: after the commit, before 0x40."""

    async def hits(station: StationProcesses) -> bool:
        return look.stored_unconfirmed(station) > 0

    aim = _Aim("journal.after_commit_before_done", "closed", "hit_stored_unconfirmed_record", hits)
    await _die_at(rig, aim, level.failpoints, tally)


async def _die_before_deleting(rig: Rig, level: Level, tally: Tally) -> None:
    """E3: after HQ's acknowledgement, before the batch is deleted."""

    async def hits(station: StationProcesses) -> bool:
        return await _hq_has_any(rig, look.read_journal(station.folder / look.JOURNAL))

    aim = _Aim("journal.after_ack_before_delete", "", "hit_batch_that_hq_has", hits)
    await _die_at(rig, aim, level.failpoints, tally)


@dataclass(frozen=True, slots=True)
class _Aim:
    """A failpoint, armed for what it is about; `hits` tells from outside whether that was hit."""

    failpoint: str
    about: str
    counter: str
    hits: Callable[[StationProcesses], Awaitable[bool]]


async def _die_at(rig: Rig, aim: _Aim, times: int, tally: Tally) -> None:
    """Let an agent die again and again, until it died `times` times, half of them as meant."""
    random = rig.random(aim.failpoint)
    station = random.choice(rig.stage.stations)
    wanted = (times + 1) // 2
    await station.agent.kill()
    try:
        while tally.n < times or tally.counters[aim.counter] < wanted:
            if tally.n >= times * _FAILPOINT_TRIES:
                tally.problems.append(f"{aim.counter}: {tally.counters[aim.counter]}/{wanted}")
                break
            hit = random.randrange(1, _FAILPOINT_HIT_MAX + 1)
            armed = f"{aim.failpoint}:exit:{hit}:{aim.about}"
            station.agent.environment |= {"VW_ENV": "test", "VW_FAILPOINT": armed}
            await station.agent.start()
            await _await_death(station, armed)
            tally.n += 1
            tally.counters[aim.counter] += await aim.hits(station)
            rig.say(f"{aim.failpoint} {tally.n}/{times} {_short(tally.counters)}")
    finally:
        station.agent.environment.pop("VW_FAILPOINT", None)
        station.agent.environment["VW_ENV"] = "demo"
    await _bring_back(rig, station, tally)


async def _await_death(station: StationProcesses, armed: str) -> None:
    try:
        async with asyncio.timeout(_FAILPOINT_LIMIT_S):
            code = await station.agent.process.wait()
    except TimeoutError:
        raise DemoError(f"{station.agent.name} did not reach {armed}") from None
    if code != EXIT_CODE:
        raise DemoError(f"{station.agent.name} ended with {code}\n{station.agent.tail()}")


async def _hq_has_any(rig: Rig, journal: look.JournalContents) -> bool:
    query = (
        "SELECT count(*) FROM ingest_inbox i JOIN ingest_stream s ON s.id = i.stream_id"
        " WHERE s.epoch = $1 AND s.lane = $2 AND i.seq = $3"
    )
    async with _hq_database(rig) as connection:
        counts = [
            await connection.fetchval(query, journal.epoch, lane, seq)
            for lane, seq in journal.batches
        ]
    return any(counts)


async def _kill_broker(rig: Rig, level: Level, tally: Tally) -> None:
    """N7: the broker dies with all its sessions and queues."""
    random = rig.random("N7")
    for _ in range(level.broker):
        await asyncio.sleep(random.uniform(*_ALIVE_S))
        station = random.choice(rig.stage.stations)
        await freeze(station.agent)
        (await look.look_at(station)).count_into(tally.counters)
        rig.stage.servers.kill_broker()
        station.agent.thaw()
        tally.n += 1
        await asyncio.sleep(random.uniform(*_BROKER_DOWN_S))
        await asyncio.to_thread(rig.stage.servers.start_broker)
        rig.say(f"N7 {tally.n}/{level.broker} {_short(tally.counters)}")


async def _kill_workers(rig: Rig, level: Level, tally: Tally) -> None:
    """H6: one of two workers dies inside a database transaction; the other goes on."""
    random = rig.random("H6")
    for _ in range(level.worker):
        await asyncio.sleep(random.uniform(*_ALIVE_S))
        deadline_s = time.monotonic() + _AIM_LIMIT_S
        while True:
            worker = random.choice(rig.stage.workers)
            await freeze(worker)
            if await _stalled_transactions(rig):
                tally.counters["hit_open_database_transaction"] += 1
                break
            if time.monotonic() > deadline_s:
                break
            worker.thaw()
            await asyncio.sleep(random.uniform(*_AIM_STEP_S))
        await worker.kill()
        tally.n += 1
        await worker.start()
        rig.say(f"H6 {tally.n}/{level.worker} {_short(tally.counters)}")


async def _stalled_transactions(rig: Rig) -> int:
    """Count transactions that stand still because whoever made them is frozen."""
    query = (
        "SELECT pid, state_change FROM pg_stat_activity WHERE datname = 'voltwarden'"
        " AND state = 'idle in transaction'"
    )
    async with _hq_database(rig) as connection:
        before = {tuple(row) for row in await connection.fetch(query)}
        if not before:
            return 0
        await asyncio.sleep(_STALLED_S)
        return len(before & {tuple(row) for row in await connection.fetch(query)})


@contextlib.asynccontextmanager
async def _hq_database(rig: Rig) -> Any:
    url = rig.stage.servers.database_url("voltwarden").replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _bring_back(rig: Rig, station: StationProcesses, tally: Tally) -> None:
    took_s = await rig.restart_agent(station)
    tally.slowest_restart_s = max(tally.slowest_restart_s, took_s)
    if took_s > _READY_LIMIT_S:
        tally.counters["restarts_over_5_s"] += 1


def _short(counters: Counter[str]) -> str:
    return " ".join(f"{name}={count}" for name, count in sorted(counters.items()))


CASES = (
    Case(
        "E1",
        "agent kill -9 under load, at random and at aimed moments",
        _kill_agents,
        lambda level: level.agent_random + 2 * level.agent_aimed,
    ),
    Case(
        "E2",
        "agent dies between its commit and 0x40",
        _die_before_confirming,
        lambda level: level.failpoints,
    ),
    Case(
        "E3",
        "agent dies between HQ's acknowledgement and its own delete",
        _die_before_deleting,
        lambda level: level.failpoints,
    ),
    Case(
        "N7",
        "broker kill -9, its sessions and queues lost",
        _kill_broker,
        lambda level: level.broker,
    ),
    Case(
        "H6",
        "HQ worker kill -9 inside a database transaction, one of two",
        _kill_workers,
        lambda level: level.worker,
    ),
)
