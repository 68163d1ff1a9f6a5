"""Three books of the same transactions, compared one by one. Pure.

The simulators', the station's and HQ's are kept by different code in different processes; they
agree on every 0.1 Wh and every fen, or the day is not ok.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction as one book has it. None: the book has no figure for it.

    `remark` is what its keeper says beside the figures; it is shown, not compared.
    """

    transaction_no: str
    energy_dwh: int | None
    payable_fen: int | None
    remark: str = ""

    def __str__(self) -> str:
        """Return the figures in words."""
        return f"{self.energy_dwh} dWh {self.payable_fen} fen {self.remark}".rstrip()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs. `lost` are missing at HQ or in the station's book, `unknown` only there."""

    transactions: int
    orders: int
    lost: tuple[str, ...] = ()
    duplicated: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether all three books say the same."""
        return self.transactions == self.orders and not (
            self.lost or self.duplicated or self.unknown or self.mismatches
        )


def compare(
    simulators: Iterable[Entry], station: Iterable[Entry], hq: Iterable[Entry]
) -> Comparison:
    """Compare the three books."""
    truth, at_station, at_hq = list(simulators), list(station), list(hq)
    by_number = {entry.transaction_no: entry for entry in truth}
    station_by_number = {entry.transaction_no: entry for entry in at_station}
    hq_by_number = {entry.transaction_no: entry for entry in at_hq}
    lost = [n for n in by_number if n not in station_by_number or n not in hq_by_number]
    unknown = [n for n in {**station_by_number, **hq_by_number} if n not in by_number]
    return Comparison(
        transactions=len(truth),
        orders=len(at_hq),
        lost=tuple(sorted(lost)),
        duplicated=tuple(sorted(_more_than_once(truth, at_station, at_hq))),
        unknown=tuple(sorted(unknown)),
        mismatches=tuple(_mismatches(by_number, station_by_number, hq_by_number)),
    )


def _more_than_once(*books: list[Entry]) -> set[str]:
    return {
        number
        for book in books
        for number, count in Counter(entry.transaction_no for entry in book).items()
        if count > 1
    }


def _mismatches(
    truth: Mapping[str, Entry], station: Mapping[str, Entry], hq: Mapping[str, Entry]
) -> Iterable[str]:
    for number, entry in sorted(truth.items()):
        if number in station and number in hq:
            trio = (entry, station[number], hq[number])
            if len({(e.energy_dwh, e.payable_fen) for e in trio}) > 1:
                figures = " / ".join(map(str, trio))
                yield f"{number}: simulator / station / HQ = {figures}"
