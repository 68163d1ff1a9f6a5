"""The judge: what the simulators did, what the stations say, what HQ says, compared by number.

Small and of its own: plain SQL and dictionaries, nothing of the code that it judges.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from edge.local_api import ask
from ops.demo.stage import Stage
from ops.sim import book

_NANO_PER_FEN = 10_000_000
_NOTHING_CHARGED = frozenset({"requested", "authorised", "starting", "failed", "cancelled"})
_ORDERS = """
SELECT o.transaction_no, o.state, o.energy_dwh, o.payable_fen, o.disputes,
       coalesce(sum(b.delta_fen), 0)::bigint AS charged_fen,
       (SELECT v.energy_dwh FROM billing_bill v WHERE v.order_id = o.id
        ORDER BY v.version DESC LIMIT 1) AS billed_dwh
FROM orders_order o LEFT JOIN billing_bill b ON b.order_id = o.id
WHERE o.transaction_no <> '' GROUP BY o.id
"""


@dataclass(frozen=True, slots=True)
class HqOrder:
    """An order with a transaction number, and what its bills add up to."""

    transaction_no: str
    state: str
    energy_dwh: int
    payable_fen: int
    disputes: int
    charged_fen: int
    billed_dwh: int | None


@dataclass(frozen=True, slots=True)
class Charge:
    """One transaction as one book has it."""

    transaction_no: str
    energy_dwh: int
    payable_fen: int


@dataclass(slots=True)
class Books:
    """All three accounts of one instant. Of the orders those that came to nothing are aside."""

    simulators: list[Charge] = field(default_factory=list)
    stations: list[Charge] = field(default_factory=list)
    orders: list[HqOrder] = field(default_factory=list)
    starts_without_charge: int = 0
    open: int = 0
    unconfirmed: int = 0


@dataclass(slots=True)
class Verdict:
    """What is wrong, by transaction number; all empty when nothing is."""

    lost: dict[str, str] = field(default_factory=dict)
    duplicated: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def all(self) -> dict[str, str]:
        """Return everything that is wrong."""
        return {**self.wrong, **self.lost, **self.duplicated}


async def read_simulators(stage: Stage) -> Books:
    """Read only the simulators' books."""
    books = Books()
    for station in stage.stations:
        contents = book.read(station.book)
        books.open += len(contents.open)
        for entry in contents.entries.values():
            books.unconfirmed += not entry.confirmed
            charge = Charge(entry.transaction_no, entry.energy_dwh, entry.payable_fen)
            books.simulators.append(charge)
    return books


async def read_hq(stage: Stage) -> list[HqOrder]:
    """Read HQ's orders where they lie."""
    url = stage.servers.database_url("voltwarden").replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        return [HqOrder(*row) for row in await connection.fetch(_ORDERS)]
    finally:
        await connection.close()


async def read_stations(stage: Stage) -> list[Charge]:
    """Ask each station for its own account."""
    charges: list[Charge] = []
    for station in stage.stations:
        answer = await ask(station.folder / "agent.sock", {"do": "export"})
        lines = [json.loads(line) for line in answer["lines"]]
        charges += [_exported(line) for line in lines]
    return charges


def _exported(line: dict[str, Any]) -> Charge:
    """Read a line of an export; a start that failed has no figures in it."""
    nano = (line["energy_fee_nano"] or 0) + (line["service_fee_nano"] or 0)
    payable_fen = (nano + _NANO_PER_FEN // 2) // _NANO_PER_FEN
    return Charge(line["transaction_no"], line["energy_dwh"] or 0, payable_fen)


def set_aside(books: Books) -> None:
    """Take out of the orders the starts that never charged, where no book knows of a charge."""
    known = {charge.transaction_no for charge in books.simulators}
    kept = [o for o in books.orders if o.transaction_no in known or not _is_nothing(o)]
    books.starts_without_charge = len(books.orders) - len(kept)
    books.orders = kept


def judge(books: Books) -> Verdict:
    """Compare the three books of a time when nothing runs."""
    verdict = Verdict()
    truth = {charge.transaction_no: charge for charge in books.simulators}
    station = {charge.transaction_no: charge for charge in books.stations}
    orders = {order.transaction_no: order for order in books.orders}
    for name, numbers in (
        ("at the simulators", [charge.transaction_no for charge in books.simulators]),
        ("at the station", [charge.transaction_no for charge in books.stations]),
        ("at HQ", [order.transaction_no for order in books.orders]),
    ):
        for number in _twice(numbers):
            verdict.duplicated[number] = f"more than once {name}"
    for number, charge in truth.items():
        missing = [n for n, held in (("station", station), ("HQ", orders)) if number not in held]
        if missing:
            verdict.lost[number] = f"{charge.energy_dwh} dWh, not at {' and '.join(missing)}"
            continue
        if (why := _difference(charge, station[number], orders[number])) is not None:
            verdict.wrong[number] = why
    for number, order in orders.items():
        if number not in truth:
            verdict.duplicated[number] = f"at HQ {order.state} without a transaction"
    for number in station.keys() - truth.keys():
        if station[number].energy_dwh:
            verdict.duplicated[number] = "at the station without a transaction"
    return verdict


def _difference(charge: Charge, station: Charge, order: HqOrder) -> str | None:
    figures = (charge.energy_dwh, charge.payable_fen)
    if order.disputes:
        return f"{order.disputes} disputes at HQ"
    for name, other in (
        ("the station's export", (station.energy_dwh, station.payable_fen)),
        ("the order", (order.energy_dwh, order.payable_fen)),
        ("its bills", (order.billed_dwh, order.charged_fen)),
    ):
        if other != figures:
            return f"simulator {_text(figures)}, {name} {_text(other)} ({order.state})"
    return None


def _text(figures: tuple[int | None, int | None]) -> str:
    return f"{figures[0]} dWh {figures[1]} fen"


def _is_nothing(order: HqOrder) -> bool:
    """Tell whether an order stands for a start that never charged."""
    return order.state in _NOTHING_CHARGED and not (
        order.energy_dwh or order.payable_fen or order.charged_fen
    )


def _twice(numbers: Iterable[str]) -> list[str]:
    return [number for number, count in Counter(numbers).items() if count > 1]
