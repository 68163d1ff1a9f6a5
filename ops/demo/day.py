"""The scripted day: what goes wrong, in which order, and what must be true in the evening."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from ops.demo import evening, smoke
from ops.demo.books import Comparison
from ops.demo.children import DemoError
from ops.demo.stage import Say, Stage, StationProcesses
from ops.sim.control import ControlClient, ControlError

TRIP_CAUSES = ("battery_over_temperature", smoke.CAUSE)
STOP_LIMIT_MS = 200.0
ZERO_LIMIT_MS = 10_000
_CUT_S = 3.5
_CUT_TRANSACTIONS = 10
_CUT_ENDED = 4
_BROKER_DOWN_S = 1.0
_AGENT_DOWN_S = 0.5
_WARM_UP_FINISHED = 20
_OPEN_AT_KILL = 3
_TRIP_LIMIT_S = 20.0
_PERIODS = 2
_SHOWN = 10
_TARIFF_LIMIT_S = 8.0
_HOT_LIMIT_C = 50
_WARM_C = 50.2  # close to its limit: what rises by 5 degrees in 15 s trips for that instead
_HEATING_C_PER_S = 0.002  # of the demo's clock: 0.24 degrees a real second


@dataclass(slots=True)
class Result:
    """What the day came to."""

    comparison: Comparison
    problems: list[str]
    link_cut_s: float
    cut_transactions: int
    drained_in_s: float
    periods: int
    trips: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all of it holds."""
        return self.comparison.ok and not self.problems

    def as_object(self, *, stations: int, wall_s: float) -> dict[str, Any]:
        """Return the JSON object that the day prints."""
        comparison = self.comparison
        report: dict[str, Any] = {
            "ok": self.ok,
            "stations": stations,
            "transactions": comparison.transactions,
            "orders": comparison.orders,
            "lost": len(comparison.lost),
            "duplicated": len(comparison.duplicated),
            "bill_mismatch": len(comparison.mismatches),
            "link_cut_s": round(self.link_cut_s, 2),
            "link_cut_transactions": self.cut_transactions,
            "drained_in_s": round(self.drained_in_s, 2),
            "tariff_periods": self.periods,
            "trips": self.trips,
            "wall_s": round(wall_s, 1),
        }
        problems = [*self.problems, *(f"unknown {number}" for number in comparison.unknown)]
        if problems:
            report["problems"] = problems[:20]
        return report


async def scripted_day(stage: Stage, say: Say) -> Result:
    """Run the day on a stage that is up, and compare the books in the evening.

    Raises:
        DemoError: A step did not come about at all.
    """
    first, second = stage.stations
    for station in stage.stations:
        station.customers.open()
    say("cars charge by card, by VIN and by HQ's remote start")
    await stage.until("cars charge", lambda: _finished_at_least(stage, _WARM_UP_FINISHED))

    say(f"cutting the link of {first.plan.station_no}")
    link_cut_s, cut_transactions = await _cut_link(stage, first)

    say("killing the broker")
    stage.servers.kill_broker()
    await asyncio.sleep(_BROKER_DOWN_S)
    await asyncio.to_thread(stage.servers.start_broker)

    say(f"killing the agent of {first.plan.station_no} with open transactions")
    await _kill_agent(stage, first)

    say(f"fire in zone {smoke.ZONE} of {second.plan.station_no}")
    problems = await smoke.fire(stage, second, say)

    say(f"a battery overheats at {second.plan.station_no}")
    await _overheat(stage, second)

    await _see_tariffs_change(stage)
    say("everyone leaves; books are drained")
    healed_s = time.monotonic()
    await asyncio.gather(*(station.customers.close() for station in stage.stations))
    await stage.until("all is drained", lambda: evening.is_drained(stage))
    drained_in_s = time.monotonic() - healed_s

    trips = await evening.trips(stage)
    problems += trip_problems(trips)
    if link_cut_s < _CUT_S or cut_transactions < _CUT_TRANSACTIONS:
        problems.append(f"the link was cut {link_cut_s:.1f} s over {cut_transactions} transactions")
    comparison = await evening.compare_books(stage)
    for kind in ("lost", "duplicated", "unknown", "mismatches"):
        for line in getattr(comparison, kind)[:_SHOWN]:
            say(f"{kind}: {line}")
    return Result(
        comparison=comparison,
        problems=problems,
        link_cut_s=link_cut_s,
        cut_transactions=cut_transactions,
        drained_in_s=drained_in_s,
        periods=evening.periods_used(stage),
        trips=trips,
    )


async def _cut_link(stage: Stage, station: StationProcesses) -> tuple[float, int]:
    """Cut the line to HQ until enough has happened without it. Returns seconds, transactions."""
    before = evening.simulator_contents(station)
    await station.line.cut()
    cut_at_s = time.monotonic()
    running = set(before.open)

    async def enough() -> bool:
        now = evening.simulator_contents(station)
        running.update(now.open, set(now.entries) - set(before.entries))
        return (
            time.monotonic() - cut_at_s >= _CUT_S
            and len(running) >= _CUT_TRANSACTIONS
            and len(now.entries) - len(before.entries) >= _CUT_ENDED
        )

    await stage.until("transactions end without HQ", enough)
    link_cut_s = time.monotonic() - cut_at_s
    await station.line.mend()
    return link_cut_s, len(running)


async def _kill_agent(stage: Stage, station: StationProcesses) -> None:
    async def some_are_open() -> bool:
        return len(evening.simulator_contents(station).open) >= _OPEN_AT_KILL

    await stage.until("transactions are open", some_are_open)
    await station.agent.kill()
    await asyncio.sleep(_AGENT_DOWN_S)
    await station.start_agent()


async def _overheat(stage: Stage, station: StationProcesses) -> None:
    """Charge a car whose battery heats up while its own electronics look away."""
    charge_point_no, connector_no = station.customers.kept_free
    place: dict[str, Any] = {"charge_point": charge_point_no, "connector": connector_no}
    car = {
        "seed": stage.seed,
        "vin": stage.next_vin(),
        "soc": 0.2,
        "temperature_c": _WARM_C,
        "temp_max_c": _HOT_LIMIT_C,
        "heating_c_per_s": _HEATING_C_PER_S,
        "protects_itself": False,
    }
    async with ControlClient(station.control_port) as control:
        since = (await control.call("status"))[charge_point_no]["last_event"]
        wait = {**place, "since": since, "timeout_s": _TRIP_LIMIT_S}
        try:
            await control.call("plug_in", **place, car=car)
            await control.call("vin", **place)
            await control.call("wait", **wait, name="charging")
            await control.call("wait", **wait, name="over_temperature")
            await control.call("wait", **wait, name="ended")
        except ControlError as error:
            raise DemoError(f"the overheating car was not stopped: {error}") from error
        await control.call("unplug", **place)


async def _see_tariffs_change(stage: Stage) -> None:
    """Go on until energy was charged in two periods, but not for long."""
    until_s = time.monotonic() + _TARIFF_LIMIT_S

    async def seen() -> bool:
        return evening.periods_used(stage) >= _PERIODS or time.monotonic() > until_s

    await stage.until("tariffs change", seen)


def trip_problems(trips: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the figures of the day's trips, in words."""
    causes = [trip["cause"] for trip in trips]
    problems = [
        f"{causes.count(cause)} trips for {cause}"
        for cause in TRIP_CAUSES
        if causes.count(cause) != 1
    ]
    problems += [f"a trip for {cause}" for cause in causes if cause not in TRIP_CAUSES]
    for trip in trips:
        quick = {"stop": trip["detect_to_stop_ms"]}
        if trip["cause"] == smoke.CAUSE:
            quick["siren"] = trip.get("detect_to_siren_ms")
        for what, took_ms in quick.items():
            if took_ms is None or not 0 < took_ms <= STOP_LIMIT_MS:
                problems.append(f"{trip['cause']}: the {what} took {took_ms} ms")
        zero_ms = trip["stop_to_zero_current_ms"]
        if zero_ms is None or not 0 <= zero_ms <= ZERO_LIMIT_MS:
            problems.append(f"{trip['cause']}: zero current took {zero_ms} ms")
    return problems


async def _finished_at_least(stage: Stage, count: int) -> bool:
    return sum(len(evening.simulator_contents(s).entries) for s in stage.stations) >= count
