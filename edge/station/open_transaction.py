"""One transaction while it runs: everything that a bill will need, kept across a crash.

Pure data and pure steps. Samples arrive here; readings at every half hour of the local clock
are kept, interpolated where no sample fell on the cut, so that the energy can be split later.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypedDict
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, field, structs

from edge.devices.chargers.reports import ConnectorSampled
from shared.contracts.events import Token
from shared.contracts.words import StartMeans
from shared.rating import Reading, next_cut

_JITTER_MS = 5_000
_FRAMES_MAX = 32
"""Raw frames kept as proof; a stop that is repeated for hours must not fill the disk."""
_GAP_MS_MAX = 7 * 86_400_000
"""A longer step between two samples is a clock that jumped, not a pause."""


class Stage(StrEnum):
    """Where a transaction stands, as far as the station has seen."""

    AUTHORIZED = "authorized"
    CHARGING = "charging"
    ENDED = "ended"


class Battery(Struct, omit_defaults=True):
    """What the vehicle said of its battery; None is not given."""

    vin: str = ""
    battery_type: int | None = None
    rated_capacity_dah: int | None = None
    rated_voltage_dv: int | None = None
    temperature_max_c: int | None = None
    cell_voltage_max_cv: int | None = None
    current_max_da: int | None = None
    voltage_max_dv: int | None = None
    nominal_energy_dkwh: int | None = None


class Names(TypedDict):
    """The fields that name a transaction in every event."""

    transaction_id: UUID
    transaction_no: str
    charge_point_no: str
    connector_no: int
    order_id: UUID | None


class OpenTransaction(Struct, kw_only=True, omit_defaults=True):
    """A transaction that has not been closed. All times are wall time, UTC milliseconds.

    `last_ms`, `cut_ms`, `cut_from_ms` and `readings` are by the charge point's clock where we know
    it: its periods are cut there. All else is by ours. `untimed_dwh` of `last_dwh` came in later
    than `last_ms`, nobody knows when. At `started_ms` it had charged for `charged_before_min`, as
    it says. `cut_ms` is the next half hour of the local clock as seen from `cut_from_ms`.
    `readings` and `last_dwh` count the energy of this transaction from 0, as 0x13 does.
    `beside_fen` is what the vehicle's other connectors spent of its permission and no longer show:
    what closed ones came to, less what was spent before this was permitted, which its limit leaves
    out.
    """

    transaction_id: UUID
    transaction_no: str
    charge_point_no: str
    connector_no: int
    means: StartMeans
    opened_ms: int
    stage: Stage = Stage.AUTHORIZED
    order_id: UUID | None = None
    token: Token | None = None
    physical_card_no: str = ""
    parallel_no: str = ""
    tariff_version_id: UUID | None = None
    limit_fen: int = 0
    limit_dwh: int = 0
    limit_min: int = 0
    limit_soc_percent: int = 0
    beside_fen: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    last_ms: int | None = None
    last_dwh: int = 0
    untimed_dwh: int = 0
    last_amount_e4: int = 0
    charged_before_min: int = 0
    cut_from_ms: int = 0
    cut_ms: int = 0
    readings: list[Reading] = field(default_factory=list)
    battery: Battery = field(default_factory=Battery)
    raw_frames: list[bytes] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    stop_sent: bool = False
    link_closed_for_record: bool = False
    was_estimated: bool = False
    unreachable_since_ms: int | None = None
    command_id: UUID | None = None

    def names(self) -> Names:
        """Return what names this transaction in events."""
        return Names(
            transaction_id=self.transaction_id,
            transaction_no=self.transaction_no,
            charge_point_no=self.charge_point_no,
            connector_no=self.connector_no,
            order_id=self.order_id,
        )

    @property
    def is_limited(self) -> bool:
        """Whether money, energy, time or state of charge ends it."""
        return bool(self.limit_fen or self.limit_dwh or self.limit_min or self.limit_soc_percent)

    def waited_s(self, now_ms: int) -> float:
        """Return how long this has waited for its charge point, by the wall clock."""
        since_ms = self.unreachable_since_ms or self.ended_ms
        if since_ms is None:
            since_ms = now_ms if self.stage is Stage.CHARGING else self.opened_ms
        return max(now_ms - since_ms, 0) / 1000

    def flag(self, word: str) -> None:
        """Remember why somebody should look at the bill, once."""
        if word not in self.flags:
            self.flags.append(word)

    def keep_frame(self, raw: bytes) -> None:
        """Keep a frame that the bill is proved with, unless there are very many."""
        if len(self.raw_frames) < _FRAMES_MAX:
            self.raw_frames.append(raw)

    def take(
        self, sample: ConnectorSampled, zone: ZoneInfo, sparse_ms: int, ahead_ms: int = 0
    ) -> None:
        """Take in a sample of this transaction; its energy never falls.

        `ahead_ms` is how far the charge point's clock is known to be ahead of ours. A wall clock
        that jumps is flagged and makes no readings; the energy still counts. A cut between samples
        further apart than `sparse_ms` says how much energy may lie on either side.
        """
        at_ms, energy_dwh = sample.at.wall_ms + ahead_ms, sample.energy_dwh
        if energy_dwh < self.last_dwh:
            if energy_dwh:
                self.flag("meter_back_step")
            energy_dwh = self.last_dwh
        if self.started_ms is None:
            self.started_ms = sample.at.wall_ms
            self.charged_before_min = sample.charged_min
            self.readings.append(Reading(at_ms, energy_dwh))
        elif self.last_ms is not None:
            if -_JITTER_MS <= at_ms - self.last_ms <= 0:
                at_ms = self.last_ms
            elif 0 < at_ms - self.last_ms < _GAP_MS_MAX:
                # Nearly always still in the half hour for which the cut was worked out.
                if at_ms >= self.cut_ms or self.last_ms < self.cut_from_ms:
                    self._cut(at_ms, energy_dwh, zone, sparse_ms)
            else:
                self.flag("clock_jump")
        self.last_ms, self.last_dwh, self.untimed_dwh = at_ms, energy_dwh, 0
        if sample.amount_e4 > self.last_amount_e4:
            self.last_amount_e4 = sample.amount_e4

    def take_start(self, started_ms: int, zone: ZoneInfo, sparse_ms: int) -> None:
        """Take in when it began, when nobody saw that: cuts until the first sample lie in a gap."""
        first = self.readings[0] if self.readings else None
        if first is not None and sparse_ms < first.at_ms - started_ms < _GAP_MS_MAX:
            begin = Reading(started_ms, 0)
            before, _ = _cuts(begin, first, next_cut(started_ms, zone), zone, first.meter_dwh)
            self.readings[:0] = [reading for reading in before if reading.at_ms < first.at_ms]

    def take_end(self, ended_ms: int, total_dwh: int, zone: ZoneInfo, sparse_ms: int) -> None:
        """Take in how it ended, when nobody saw that: cuts since the last sample lie in a gap."""
        if self.last_ms is None or total_dwh < self.last_dwh:
            return
        if sparse_ms < ended_ms - self.last_ms < _GAP_MS_MAX:
            self._cut(ended_ms, total_dwh, zone, sparse_ms)

    def take_totals(self, sample: ConnectorSampled) -> None:
        """Take in a sample whose time means nothing here: it was stored, or charging is over."""
        risen_dwh = max(sample.energy_dwh - self.last_dwh, 0)
        self.last_dwh += risen_dwh
        self.untimed_dwh += risen_dwh
        self.last_amount_e4 = max(self.last_amount_e4, sample.amount_e4)

    def _cut(self, at_ms: int, energy_dwh: int, zone: ZoneInfo, sparse_ms: int) -> None:
        assert self.last_ms is not None
        cut_ms = next_cut(self.last_ms, zone)
        seen_dwh = self.last_dwh - self.untimed_dwh
        gap_dwh = energy_dwh - seen_dwh if at_ms - self.last_ms > sparse_ms else 0
        begin, end = Reading(self.last_ms, seen_dwh), Reading(at_ms, energy_dwh)
        readings, cut_ms = _cuts(begin, end, cut_ms, zone, gap_dwh)
        for reading in readings:
            self._add(reading)
        self.cut_from_ms, self.cut_ms = at_ms, cut_ms

    def _add(self, reading: Reading) -> None:
        """Add a cut; one that comes again after a clock was set back lies in a gap between both."""
        gap_dwh = reading.gap_dwh
        while len(self.readings) > 1 and self.readings[-1].at_ms >= reading.at_ms:
            earlier = self.readings.pop()
            gap_dwh = max(gap_dwh, reading.meter_dwh - earlier.meter_dwh + earlier.gap_dwh)
        if gap_dwh != reading.gap_dwh:
            reading = structs.replace(reading, measured=False, gap_dwh=gap_dwh)
        self.readings.append(reading)


def _cuts(
    begin: Reading, end: Reading, cut_ms: int, zone: ZoneInfo, gap_dwh: int
) -> tuple[list[Reading], int]:
    """Return the readings at every cut from `cut_ms` to `end`, and the first cut after it."""
    readings: list[Reading] = []
    risen_dwh, passed_ms = end.meter_dwh - begin.meter_dwh, end.at_ms - begin.at_ms
    while cut_ms <= end.at_ms:
        meter_dwh = begin.meter_dwh + risen_dwh * (cut_ms - begin.at_ms) // passed_ms
        measured = cut_ms == end.at_ms
        readings.append(Reading(cut_ms, meter_dwh, measured, 0 if measured else gap_dwh))
        cut_ms = next_cut(cut_ms, zone)
    return readings, cut_ms


class ClosedTransaction(Struct, omit_defaults=True, array_like=True):
    """What is remembered of a closed transaction, to know its record when it comes again.

    Many of these are in memory, so nothing large is kept of one that has its record.

    Attributes:
        record_sha256: of the record that closed it; empty until one came.
        meter_start_dwh, started_ms, ended_ms: as that record says.
        as_left: the transaction as it stood when it was closed without a record.
        disputes: hashes of records that said something else, as far as they are kept.
        more_disputes: how many more came, which nobody wants to read.
        payable_fen: what it came to, for the token's exposure while HQ is away.
        summary: the station's own account of how it ended, JSON; empty for a failed start.
    """

    transaction_id: UUID
    closed_ms: int
    charge_point_no: str
    connector_no: int
    record_sha256: bytes = b""
    meter_start_dwh: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    as_left: OpenTransaction | None = None
    disputes: tuple[bytes, ...] = ()
    order_id: UUID | None = None
    token: Token | None = None
    payable_fen: int = 0
    summary: bytes = b""
    more_disputes: int = 0
