"""What happened at a simulated charge point, and waiting for it without sleeping."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

_KEPT: Final = 5000


class SimEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened.

    Attributes:
        index: Counts from 1; what `since` of `ChargePointLog.wait_for` refers to.
        name: See `ops/sim/README.md` for the list.
        connector_no: 0 when it concerns the whole charge point.
        at_s: Monotonic seconds (one clock for all processes of a machine).
        at_ms: The simulation's wall clock, milliseconds since 1970.
        detail: Whatever else there is to say, JSON values only.
    """

    index: int
    name: str
    charge_point_no: str
    connector_no: int = 0
    transaction_no: str = ""
    at_s: float = 0.0
    at_ms: int = 0
    detail: dict[str, Any] = {}


class _Indexed(Protocol):
    """Whatever is kept in a log."""

    @property
    def index(self) -> int:
        """Its place, counted from 1."""
        ...

    @property
    def name(self) -> str:
        """What happened, in a word."""
        ...


E = TypeVar("E", bound=_Indexed)


class EventLog(Generic[E]):
    """The last 5,000 events, and who waits for one."""

    def __init__(self) -> None:
        self.events: deque[E] = deque(maxlen=_KEPT)
        self.count = 0
        self._waiting: list[tuple[Callable[[E], bool], asyncio.Future[E]]] = []

    def next_index(self) -> int:
        """Count one more event, and return its index."""
        self.count += 1
        return self.count

    def add(self, event: E) -> None:
        """Take in an event and wake whoever waits for it."""
        self.events.append(event)
        still = []
        for matches, future in self._waiting:
            if future.done():
                continue
            if matches(event):
                future.set_result(event)
            else:
                still.append((matches, future))
        self._waiting = still

    async def first(self, matches: Callable[[E], bool], wanted: str, timeout_s: float) -> E:
        """Return the first event that matches, of those that are kept or yet to come.

        Raises:
            TimeoutError: None came in time; the message has `wanted` and the last events.
        """
        for event in self.events:
            if matches(event):
                return event
        future: asyncio.Future[E] = asyncio.get_running_loop().create_future()
        self._waiting.append((matches, future))
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            seen = ", ".join(event.name for event in list(self.events)[-12:])
            raise TimeoutError(f"no {wanted} in {timeout_s} s; last: {seen}") from None


class ChargePointLog(EventLog[SimEvent]):
    """What happened at one charge point."""

    async def wait_for(
        self,
        name: str | tuple[str, ...],
        *,
        connector_no: int | None = None,
        transaction_no: str | None = None,
        since: int = 0,
        timeout_s: float = 10.0,
    ) -> SimEvent:
        """Return the first event that matches, of those after index `since` or yet to come.

        With several names any of them matches.

        Raises:
            TimeoutError: None came in time; the message has the last events.
        """
        names = (name,) if isinstance(name, str) else name

        def matches(event: SimEvent) -> bool:
            return (
                event.name in names
                and event.index > since
                and connector_no in (None, event.connector_no)
                and transaction_no in (None, event.transaction_no)
            )

        return await self.first(matches, " or ".join(names), timeout_s)
