"""A whole fleet that logs in at a rate: does the station take a storm without losing one?"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from dataclasses import dataclass

from ops.sim.book import Book
from ops.sim.charge_point import ChargePoint
from ops.sim.machine import ChargePointSpec
from ops.sim.timing import NORMAL, TimingProfile

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetResult:
    """What came of a login storm.

    `lost` never logged in within the time; `link_losses` counts connections that ended after
    or before a login; latencies are from the login frame to its answer.
    """

    charge_points: int
    rate: float
    logged_in: int
    refused: int
    lost: int
    link_losses: int
    connect_failures: int
    login_p50_ms: float
    login_p99_ms: float
    login_max_ms: float
    seconds: float


def raise_file_limit() -> None:
    """Raise the open-file limit to the hard limit: a fleet needs a socket each."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def numbers(first_number: str, count: int) -> list[str]:
    """Return `count` charge point numbers from `first_number` on.

    Raises:
        ValueError: Not 14 digits, or not that many left.
    """
    if len(first_number) != 14 or not first_number.isdigit():
        raise ValueError(f"charge point number {first_number!r}, expected 14 digits")
    last = int(first_number) + count - 1
    if len(str(last)) > 14:
        raise ValueError(f"{count} numbers do not fit behind {first_number}")
    return [f"{int(first_number) + index:014d}" for index in range(count)]


async def log_in_fleet(
    charge_point_nos: list[str],
    *,
    host: str,
    port: int,
    rate: float,
    timeout_s: float = 60.0,
    hold_s: float = 0.0,
    seed: int = 0,
    timing: TimingProfile = NORMAL,
    progress: Callable[[str], None] = logger.info,
) -> FleetResult:
    """Log in every charge point, `rate` a second, then hold the connections for `hold_s`.

    Args:
        charge_point_nos: Numbers that the station knows; see `numbers`.
        timeout_s: How long after the last one began to wait for those that are missing.
        progress: Where a line a second goes.
    """
    raise_file_limit()
    loop = asyncio.get_running_loop()
    book = Book(None)
    points = [
        ChargePoint(
            ChargePointSpec(charge_point_no=number, connectors=1),
            book=book,
            host=host,
            port=port,
            timing=timing,
            seed=seed,
        )
        for number in charge_point_nos
    ]
    start_s = loop.time()
    reporter = asyncio.create_task(_report(points, progress))
    try:
        for index, point in enumerate(points):
            await asyncio.sleep(max(0.0, start_s + index / rate - loop.time()))
            point.start()
        await _wait_for_all(points, timeout_s)
        seconds = loop.time() - start_s
        await asyncio.sleep(hold_s)
        return _result(points, rate, seconds)
    finally:
        reporter.cancel()
        for point in points:
            await point.stop()


async def _wait_for_all(points: list[ChargePoint], timeout_s: float) -> None:
    waits = [point.wait_for("logged_in", timeout_s=timeout_s) for point in points]
    await asyncio.gather(*waits, return_exceptions=True)


async def _report(points: list[ChargePoint], progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(1)
        logged_in = sum(point.machine.session.logged_in for point in points)
        progress(f"{logged_in} of {len(points)} logged in")


def _result(points: list[ChargePoint], rate: float, seconds: float) -> FleetResult:
    events = [event for point in points for event in point.machine.log.events]

    def count(name: str) -> int:
        return sum(event.name == name for event in events)

    first: dict[str, float] = {}
    for event in events:
        if event.name == "logged_in":
            first.setdefault(event.charge_point_no, float(event.detail["latency_ms"]))
    latencies_ms = sorted(first.values()) or [0.0]
    return FleetResult(
        charge_points=len(points),
        rate=rate,
        logged_in=len(first),
        refused=count("login_refused"),
        lost=len(points) - len(first),
        link_losses=count("link_lost"),
        connect_failures=count("connect_failed"),
        login_p50_ms=_percentile(latencies_ms, 50),
        login_p99_ms=_percentile(latencies_ms, 99),
        login_max_ms=latencies_ms[-1],
        seconds=round(seconds, 3),
    )


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
