"""The books while everything runs: what charge points have counted, and what HQ has of it. Pure.

Each transaction that has ended at a charge point is looked for among HQ's orders. Until it is
there it is on its way: the station may be cut off. It is lost when the station has confirmed it
to the charge point, has nothing left to tell HQ, and HQ still lacks it some time later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ops.sim.book import AnyLine, BookEntry, Confirmed

LATE_S = 20.0
_FEN_PER_YUAN = 100
# A start that nothing came of has no record; with a record of 0 kWh it is a transaction, too.
CAME_TO_NOTHING = frozenset({"failed", "cancelled"})
_SETTLED = frozenset({"billed", "in_review", "failed"})


@dataclass(frozen=True, slots=True)
class Tally:
    """Where the books stand. The sums are over the transactions that HQ has, in both books."""

    transactions: int
    orders: int
    waiting: int
    lost: int
    doubled: int
    differing: int
    simulators_fen: int
    hq_fen: int

    def in_words(self) -> list[str]:
        """Return it for people, Chinese and English."""
        same = "=" if self.simulators_fen == self.hq_fen else "≠"
        yuan = f"{_yuan(self.simulators_fen)} {same} {_yuan(self.hq_fen)}"
        differing_zh = f", {self.differing} 不一致" if self.differing else ""
        differing = f", {self.differing} differ" if self.differing else ""
        on_way_zh = f" + {self.waiting} 在途" if self.waiting else ""
        on_way = f" + {self.waiting} still on their way" if self.waiting else ""
        return [
            (
                f"账目: 桩侧 {self.transactions} 笔 = 总部 {self.orders} 单{on_way_zh}, "
                f"{self.lost} 丢失, {self.doubled} 重复{differing_zh}; {yuan} 元"
            ),
            (
                f"Books: {self.transactions} transactions = {self.orders} orders{on_way}, "
                f"{self.lost} lost, {self.doubled} doubled{differing}; {yuan} yuan"
            ),
        ]


@dataclass(slots=True)
class _Ended:
    """One transaction as its charge point counted it."""

    station_no: str
    energy_dwh: int
    payable_fen: int
    confirmed: bool = False
    told_s: float | None = None  # since when its station has had nothing left to tell


@dataclass(frozen=True, slots=True)
class _Order:
    transaction_no: str
    settled: bool
    energy_dwh: int
    payable_fen: int


class RunningBooks:
    """Takes in what the books say as it comes, again and again, and compares."""

    def __init__(self) -> None:
        """Begin with empty books."""
        self._ended: dict[str, _Ended] = {}
        self._orders: dict[str, _Order] = {}  # by the order's id, which grows with time
        self._by_number: dict[str, set[str]] = {}
        self._open: set[str] = set()

    @property
    def oldest_open(self) -> str:
        """The id of the oldest order that does not agree yet, else of the newest; "" if none."""
        return min(self._open, default=max(self._orders, default=""))

    def take_line(self, station_no: str, line: AnyLine) -> None:
        """Take a line of a simulator's book."""
        if isinstance(line, BookEntry):
            self._ended[line.transaction_no] = _Ended(
                station_no, line.energy_dwh, line.payable_fen, line.confirmed
            )
        elif isinstance(line, Confirmed) and line.transaction_no in self._ended:
            self._ended[line.transaction_no].confirmed |= line.result == 0

    def take_orders(self, orders: Iterable[dict[str, Any]]) -> None:
        """Take orders as HQ's API lists them; a later state of one replaces an earlier."""
        for order in orders:
            self._take_order(order)

    def _take_order(self, order: dict[str, Any]) -> None:
        order_id, number, state = order["id"], order["transaction_no"], order["state"]
        came_to_nothing = state in CAME_TO_NOTHING and not order["ended_by"]
        taken = _Order(
            transaction_no="" if came_to_nothing else number,
            settled=state in _SETTLED and not came_to_nothing,
            energy_dwh=order["energy_dwh"],
            payable_fen=order["payable_fen"],
        )
        self._orders[order_id] = taken
        if taken.transaction_no:
            self._by_number.setdefault(number, set()).add(order_id)
        else:
            self._by_number.get(number, set()).discard(order_id)
        if came_to_nothing or self._agrees(taken):
            self._open.discard(order_id)
        else:
            self._open.add(order_id)

    def _agrees(self, order: _Order) -> bool:
        ended = self._ended.get(order.transaction_no)
        return (
            ended is not None
            and order.settled
            and (ended.energy_dwh, ended.payable_fen) == (order.energy_dwh, order.payable_fen)
        )

    def told_all(self, station_no: str, now_s: float) -> None:
        """Note that a station is connected and HQ has acknowledged all that it had to say."""
        for ended in self._missing().values():
            if ended.station_no == station_no and ended.confirmed and ended.told_s is None:
                ended.told_s = now_s

    def cut_off(self, station_no: str) -> None:
        """Note that a station cannot speak to HQ now: what it has said may not be all."""
        for ended in self._missing().values():
            if ended.station_no == station_no:
                ended.told_s = None

    def late(self, now_s: float) -> list[str]:
        """Return the transactions that HQ should have by now."""
        return [
            number
            for number, ended in self._missing().items()
            if ended.told_s is not None and now_s - ended.told_s >= LATE_S
        ]

    def tally(self, now_s: float) -> Tally:
        """Return where the books stand."""
        settled = [order for order in self._orders.values() if order.settled]
        there = {order.transaction_no for order in settled}
        lost = len(self.late(now_s))
        return Tally(
            transactions=len(self._ended),
            orders=len(settled),
            waiting=len(self._missing()) - lost,
            lost=lost,
            doubled=sum(len(ids) - 1 for ids in self._by_number.values() if len(ids) > 1),
            differing=sum(not self._agrees(order) for order in settled),
            simulators_fen=sum(
                ended.payable_fen for number, ended in self._ended.items() if number in there
            ),
            hq_fen=sum(order.payable_fen for order in settled),
        )

    def _missing(self) -> dict[str, _Ended]:
        """Return what has ended at a charge point without a settled order at HQ."""
        there = {order.transaction_no for order in self._orders.values() if order.settled}
        return {number: ended for number, ended in self._ended.items() if number not in there}


def _yuan(fen: int) -> str:
    return f"{fen // _FEN_PER_YUAN}.{fen % _FEN_PER_YUAN:02d}"
