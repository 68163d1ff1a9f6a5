"""The simulator's own book: what really happened, kept apart from station and HQ.

An append-only file of JSON lines, one book a simulated site. A finished transaction is
synced to the disk before its record is sent, so that the book survives `kill -9` and power
loss and can serve as an independent count. Opening it again gives every charge point back its
tariff, offline cards, meters and unconfirmed records.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from ops.sim.meter import BillingModel, payable_fen
from shared.clock import from_ms

logger = logging.getLogger(__name__)


class Line(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True):
    """Root of all lines."""


class DeviceState(Line, frozen=True, tag="device", kw_only=True):
    """What a charge point keeps through a power cut; the last one holds."""

    charge_point_no: str
    model: BillingModel | None = None
    offline_cards: dict[str, str] = {}
    program_version: str = ""


class Started(Line, frozen=True, tag="started", kw_only=True):
    """A transaction began. `start_mode` as in 0x3B: 1 app, 2 card, 4 offline card, 5 VIN."""

    transaction_no: str
    charge_point_no: str
    connector_no: int
    start_mode: int
    physical_card: str
    vin: str
    started_ms: int  # of the simulation's clock, UTC
    device_started_ms: int  # as the charge point's own clock had it
    meter_start_dwh: int
    model: BillingModel


class Progress(Line, frozen=True, tag="progress", kw_only=True):
    """A running transaction's state; not synced, it only has to survive the process."""

    transaction_no: str
    at_ms: int
    device_ms: int
    meter_dwh: int
    period_dwh: tuple[int, ...]


class BookEntry(Line, frozen=True, tag="record", kw_only=True):
    """One executed start, whether it charged or failed, with the values as sent in 0x3B.

    `true_energy_dwh` is what flowed, also when the charge point lies. Four values each for
    sharp, peak, flat, valley. `body_hex` is the body of the record.
    """

    transaction_no: str
    charge_point_no: str
    connector_no: int
    start_mode: int
    physical_card: str
    vin: str
    started_ms: int
    ended_ms: int
    device_started_ms: int
    device_ended_ms: int
    model_no: str
    period_prices_e5: tuple[int, ...]
    period_dwh: tuple[int, ...]
    period_amounts_e4: tuple[int, ...]
    meter_start_dwh: int
    meter_end_dwh: int
    energy_dwh: int
    amount_e4: int
    true_energy_dwh: int
    stop_reason: int
    body_hex: str
    confirmed_ms: int = 0

    @property
    def confirmed(self) -> bool:
        """Whether the platform confirmed the record (0x40 with result 0)."""
        return self.confirmed_ms > 0

    @property
    def started_at(self) -> datetime:
        """Start by the simulation's clock."""
        return from_ms(self.started_ms)

    @property
    def ended_at(self) -> datetime:
        """End by the simulation's clock."""
        return from_ms(self.ended_ms)

    @property
    def payable_fen(self) -> int:
        """What the periods cost together, rounded once; by the simulator's own arithmetic."""
        return payable_fen(self.period_dwh, self.period_prices_e5)


class Confirmed(Line, frozen=True, tag="confirmed", kw_only=True):
    """0x40 came. Only result 0 lets the charge point forget the record."""

    transaction_no: str
    at_ms: int
    result: int


AnyLine = DeviceState | Started | Progress | BookEntry | Confirmed
_decoder = msgspec.json.Decoder(AnyLine)
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class BookTotals:
    """Sums over the finished transactions of a book; energies and money as sent."""

    transactions: int
    confirmed: int
    open: int
    energy_dwh: int
    amount_e4: int
    payable_fen: int


@dataclass(slots=True)
class BookContents:
    """What a book says, folded. Dicts are by transaction number, or by charge point number."""

    entries: dict[str, BookEntry] = field(default_factory=dict)
    open: dict[str, Started] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    devices: dict[str, DeviceState] = field(default_factory=dict)
    meters_dwh: dict[tuple[str, int], int] = field(default_factory=dict)
    starts: int = 0
    torn_lines: int = 0

    def take(self, line: AnyLine) -> None:
        """Fold in one line."""
        match line:
            case DeviceState():
                self.devices[line.charge_point_no] = line
            case Started():
                self.open[line.transaction_no] = line
                self.starts += 1
                self._meter(line, line.meter_start_dwh)
            case Progress():
                self.progress[line.transaction_no] = line
                if (started := self.open.get(line.transaction_no)) is not None:
                    self._meter(started, line.meter_dwh)
            case BookEntry():
                self.entries[line.transaction_no] = line
                self.open.pop(line.transaction_no, None)
                self.progress.pop(line.transaction_no, None)
                self._meter(line, line.meter_start_dwh + line.true_energy_dwh)
            case Confirmed(result=0):
                entry = self.entries.get(line.transaction_no)
                if entry is not None and not entry.confirmed:
                    changed = msgspec.structs.replace(entry, confirmed_ms=line.at_ms)
                    self.entries[line.transaction_no] = changed
            case Confirmed():
                pass  # a refused record stays stored

    def _meter(self, line: Started | BookEntry, reading_dwh: int) -> None:
        self.meters_dwh[line.charge_point_no, line.connector_no] = reading_dwh

    def totals(self) -> BookTotals:
        """Return the sums."""
        return totals(self.entries.values(), len(self.open))


def totals(entries: Iterable[BookEntry], still_open: int = 0) -> BookTotals:
    """Return the sums over `entries`."""
    listed = list(entries)
    return BookTotals(
        transactions=len(listed),
        confirmed=sum(entry.confirmed for entry in listed),
        open=still_open,
        energy_dwh=sum(entry.energy_dwh for entry in listed),
        amount_e4=sum(entry.amount_e4 for entry in listed),
        payable_fen=sum(entry.payable_fen for entry in listed),
    )


def read(path: Path) -> BookContents:
    """Return what the book at `path` says; also while its simulator writes, or after it died.

    A line that was cut by a crash is counted in `torn_lines`. No file is an empty book.
    """
    contents = BookContents()
    if not path.exists():
        return contents
    for raw in path.read_bytes().split(b"\n"):
        if not raw:
            continue
        try:
            contents.take(_decoder.decode(raw))
        except msgspec.MsgspecError:
            contents.torn_lines += 1
    return contents


class Book:
    """A book open for writing; one process at a time. Without a path it is kept in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.contents = BookContents() if path is None else read(path)
        self._file: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab")
            self._end_torn_line(path)
        if self.contents.torn_lines:
            logger.warning("book %s has %d torn lines", path, self.contents.torn_lines)

    def write(self, line: AnyLine, *, sync: bool = True) -> None:
        """Append a line and fold it in; on return it is durable if `sync`.

        Raises:
            OSError: The disk refuses; nothing was folded in then.
        """
        if self._file is not None:
            self._file.write(_encoder.encode(line) + b"\n")
            self._file.flush()
            if sync:
                os.fsync(self._file.fileno())
        self.contents.take(line)

    def keep_device(self, charge_point_no: str, **changes: Any) -> None:
        """Change what a charge point keeps through a power cut."""
        state = self.device(charge_point_no)
        self.write(msgspec.structs.replace(state, **changes))

    def device(self, charge_point_no: str) -> DeviceState:
        """Return what a charge point keeps through a power cut."""
        state = self.contents.devices.get(charge_point_no)
        return state or DeviceState(charge_point_no=charge_point_no)

    def unconfirmed(self, charge_point_no: str) -> list[BookEntry]:
        """Return the unconfirmed records of a charge point, oldest first."""
        return [
            entry
            for entry in self.contents.entries.values()
            if entry.charge_point_no == charge_point_no and not entry.confirmed
        ]

    def entries(self) -> list[BookEntry]:
        """Return every finished transaction, in the order in which they ended."""
        return list(self.contents.entries.values())

    def totals(self) -> BookTotals:
        """Return the sums."""
        return self.contents.totals()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end_torn_line(self, path: Path) -> None:
        # A crash can leave half a line; what is appended must not become part of it.
        if self._file is None or path.stat().st_size == 0:
            return
        with path.open("rb") as reader:
            reader.seek(-1, os.SEEK_END)
            if reader.read(1) != b"\n":
                self._file.write(b"\n")
                self._file.flush()
