"""Runs cases one after the other on one rig, and judges the books after each."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.chaos import oracle
from ops.chaos.cases import Case, Tally
from ops.chaos.levels import Level
from ops.chaos.rig import Rig, open_rig
from ops.demo.children import DemoError
from ops.demo.stage import Say
from ops.sim.control import ControlError

_SHOWN_MAX = 20
_SECONDS_PER_KILL = 20.0
_SECONDS_BESIDE = 150.0


@dataclass(slots=True)
class CaseResult:
    """How a case came out.

    `lost`, `duplicated` and `wrong` (figures that differ, disputes) are new in this case;
    `transactions`, `orders` and `starts_without_charge` are the books' sizes after it.
    """

    case: Case
    tally: Tally
    lost: int
    duplicated: int
    wrong: int
    transactions: int
    orders: int
    starts_without_charge: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether nothing is lost, doubled or different, and the case did what it should."""
        wrong = self.lost or self.duplicated or self.wrong or self.tally.problems
        return not wrong and self.transactions == self.orders > 0

    def as_object(self) -> dict[str, Any]:
        """Return what the JSON says of it."""
        result: dict[str, Any] = {
            "name": self.case.name,
            "what": self.case.what,
            "n": self.tally.n,
            "ok": self.ok,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "wrong": self.wrong,
            "transactions": self.transactions,
            "orders": self.orders,
            "starts_without_charge": self.starts_without_charge,
            "seconds": round(self.seconds, 1),
            **dict(sorted(self.tally.counters.items())),
        }
        if self.tally.slowest_restart_s:
            result["slowest_restart_s"] = round(self.tally.slowest_restart_s, 2)
        if self.tally.problems:
            result["problems"] = self.tally.problems
        return result


async def run_cases(
    cases: Sequence[Case], level: Level, folder: Path, seed: int, say: Say
) -> list[CaseResult]:
    """Run cases; a case that cannot be finished fails, and those behind it are not run.

    Raises:
        DemoError: The processes do not come up at all.
    """
    results: list[CaseResult] = []
    known: set[str] = set()
    async with open_rig(level, folder, seed, say) as rig:
        for case in cases:
            say(f"{case.name}: {case.what}, {case.planned(level)} times")
            result, finished = await _run_case(rig, case, level, known)
            results.append(result)
            if not finished:
                break
    return results


async def _run_case(rig: Rig, case: Case, level: Level, known: set[str]) -> tuple[CaseResult, bool]:
    tally, started_s, finished = Tally(), time.monotonic(), True
    limit_s = _SECONDS_BESIDE + _SECONDS_PER_KILL * case.planned(level)
    try:
        async with asyncio.timeout(limit_s):
            await rig.load()
            await case.run(rig, level, tally)
            await rig.calm()
    except TimeoutError:
        tally.problems.append(f"not done within {limit_s:.0f} s, after {tally.n} kills")
        finished = False
    except (DemoError, ControlError, OSError) as error:
        tally.problems.append(str(error))
        finished = False
    books, verdict = await _audit(rig)
    _show(rig.say, verdict, known)
    result = CaseResult(
        case=case,
        tally=tally,
        lost=len(verdict.lost.keys() - known),
        duplicated=len(verdict.duplicated.keys() - known),
        wrong=len(verdict.wrong.keys() - known),
        transactions=len(books.simulators),
        orders=len(books.orders),
        starts_without_charge=books.starts_without_charge,
        seconds=time.monotonic() - started_s,
    )
    known |= verdict.all().keys()
    return result, finished


async def _audit(rig: Rig) -> tuple[oracle.Books, oracle.Verdict]:
    books = await oracle.read_simulators(rig.stage)
    books.orders = await oracle.read_hq(rig.stage)
    oracle.set_aside(books)
    try:
        books.stations = await oracle.read_stations(rig.stage)
    except (OSError, TimeoutError) as error:
        rig.say(f"a station does not answer: {error}")
    return books, oracle.judge(books)


def _show(say: Say, verdict: oracle.Verdict, known: set[str]) -> None:
    new = [(number, why) for number, why in verdict.all().items() if number not in known]
    for number, why in new[:_SHOWN_MAX]:
        say(f"  {number}: {why}")
    if len(new) > _SHOWN_MAX:
        say(f"  and {len(new) - _SHOWN_MAX} more")


def commit() -> str:
    """Return the commit that is checked out here, or unknown."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
