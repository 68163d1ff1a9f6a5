"""Reads the running books where their keepers keep them: only what is new since the last look."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ops.demo.hq_api import HqApi
from ops.demo.running_books import RunningBooks, Tally
from ops.demo.stage import StationProcesses
from ops.sim.book import AnyLine
from shared.contracts.topics import Lane

logger = logging.getLogger(__name__)

_PAGE = 200
"""Orders by which a look goes back beyond the oldest that is open: HQ's workers commit side by
side, so an older one may show up a little later."""
_ASKED_MAX = 20
_decoder = msgspec.json.Decoder(AnyLine)


class Bookkeeper:
    """Compares the simulators' books with HQ's orders, look by look."""

    def __init__(
        self, hq: HqApi, stations: list[StationProcesses], now_s: Callable[[], float]
    ) -> None:
        """Prepare only. `now_s` is monotonic."""
        self._hq = hq
        self._stations = {station: Tail(station.book) for station in stations}
        self._now_s = now_s
        self._books = RunningBooks()

    async def look(self) -> Tally:
        """Read on in all books.

        Raises:
            DemoError: HQ does not answer.
        """
        await self._read_orders()
        for station, tail in self._stations.items():
            for line in tail.read():
                self._books.take_line(station.plan.station_no, line)
            await self._ask(station)
        for number in self._books.late(self._now_s())[:_ASKED_MAX]:
            # Nothing is called lost before HQ was asked for it by name.
            page = await self._hq.read("/orders", transaction_no=number)
            self._books.take_orders(page["items"])
        return self._books.tally(self._now_s())

    async def _read_orders(self) -> None:
        oldest, cursor = self._books.oldest_open, ""
        while True:
            page = await self._hq.read("/orders", limit=_PAGE, cursor=cursor)
            self._books.take_orders(page["items"])
            cursor = page["next_cursor"]
            if not cursor or page["items"][-1]["id"] < oldest:
                return

    async def _ask(self, station: StationProcesses) -> None:
        try:
            hq = (await station.agent_state())["hq"]
        except OSError:  # down; also a time-out
            self._books.cut_off(station.plan.station_no)
            return
        if not hq["connected"]:
            self._books.cut_off(station.plan.station_no)
        elif not hq["unacknowledged"].get(Lane.BILL, 0):
            self._books.told_all(station.plan.station_no, self._now_s())


class Tail:
    """The lines that a simulator's book has got since they were last read."""

    def __init__(self, path: Path) -> None:
        """Prepare only; the file may not be there yet."""
        self._path = path
        self._read_bytes = 0

    def read(self) -> Iterator[AnyLine]:
        """Yield the new lines; half a line waits for its other half."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for raw in whole.splitlines():
            try:
                yield _decoder.decode(raw)
            except msgspec.MsgspecError:
                logger.warning("torn line in a simulator's book path=%s", self._path)
