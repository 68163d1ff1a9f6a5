"""What a transaction costs. Pure; the station's screen and HQ's bill both come from here.

Everything is an exact integer until the one rounding: payable fen = half-up of the total in
nano-yuan. The parts get their fen from that total by largest remainder, so they always add up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from msgspec import Struct

from shared.clock import from_ms
from shared.money import NANO_PER_E5, NANO_PER_FEN, divide_half_up, share_out
from shared.tariff import PERIODS, SLOT_MINUTES, Period, Tariff

_SLOT_MS = SLOT_MINUTES * 60_000
_MINUTE_MS = 60_000
SPAN_MAX_DAYS = 31
"""Nothing charges for longer. A clock that was lost gives decades, a cut for each half hour."""
_SPAN_MAX_MS = SPAN_MAX_DAYS * 86_400_000
_LAST_MS = 250_000_000_000_000
"""In the year 9892: behind it no zone's clock can be worked out."""


class RatingError(ValueError):
    """Readings that cannot be rated; `field` says which."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Reading(Struct, frozen=True, array_like=True):
    """A meter reading: when (UTC milliseconds), how much (0.1 Wh), measured or interpolated.

    `gap_dwh` is not 0 where an interpolated reading lies in a long gap between two samples: the
    energy of that gap, of which nobody knows how much came before.
    """

    at_ms: int
    meter_dwh: int
    measured: bool = True
    gap_dwh: int = 0


class Segment(Struct, frozen=True):
    """The energy of one half-hour slot of the station's local clock, or a part of it."""

    from_ms: int
    to_ms: int
    slot: int
    energy_dwh: int


class BillLine(Struct, frozen=True, kw_only=True):
    """One line: a segment, or all of one period when only period totals are known (no times)."""

    period: Period
    energy_dwh: int
    energy_fee_nano: int
    service_fee_nano: int
    energy_fee_fen: int
    service_fee_fen: int
    from_ms: int | None = None
    to_ms: int | None = None


class Bill(Struct, frozen=True, kw_only=True):
    """A rated transaction: `energy_fee_fen + service_fee_fen + time_fee_fen == payable_fen`."""

    lines: tuple[BillLine, ...]
    minutes: int
    energy_dwh: int
    energy_fee_nano: int
    service_fee_nano: int
    time_fee_nano: int
    total_nano: int
    energy_fee_fen: int
    service_fee_fen: int
    time_fee_fen: int
    payable_fen: int


def rate_readings(readings: Sequence[Reading], tariff: Tariff, zone: ZoneInfo) -> Bill:
    """Rate a transaction from its meter readings, one line a half-hour segment.

    Args:
        readings: Two or more, times rising, within 31 days, meter never falling.
        tariff: Already checked (`check_tariff`); fixed for the whole transaction.
        zone: The station's time zone, which decides the slots.

    Raises:
        RatingError: The readings break the rules above.
    """
    segments = split(readings, zone)
    energies = [(tariff.period_of_slot(s.slot), s.energy_dwh) for s in segments]
    times = [(s.from_ms, s.to_ms) for s in segments]
    duration_ms = readings[-1].at_ms - readings[0].at_ms
    return _price(energies, times, tariff, duration_ms // _MINUTE_MS)


def rate_periods(energies_dwh: Mapping[Period, int], tariff: Tariff, minutes: int) -> Bill:
    """Rate a transaction from its energy per period, one line a period with energy in it.

    Args:
        energies_dwh: What the charge point counted in each period, 0 or more.
        tariff: Already checked; the version that the charge point held.
        minutes: Whole minutes of the transaction, for a tariff by time.

    Raises:
        RatingError: An energy is negative or the minutes are.
    """
    for period, energy_dwh in energies_dwh.items():
        if energy_dwh < 0:
            raise RatingError(f"energies.{period}", f"negative energy {energy_dwh} dWh")
    if minutes < 0:
        raise RatingError("minutes", f"negative: {minutes}")
    used = [(period, energies_dwh[period]) for period in PERIODS if energies_dwh.get(period)]
    return _price(used, [(None, None)] * len(used), tariff, minutes)


def split(readings: Sequence[Reading], zone: ZoneInfo) -> list[Segment]:
    """Cut the energy of the readings at every half hour of the station's local clock.

    Energy at a cut lies on the line between the readings around it; the last part takes the
    rest, so the segments add up to the last reading minus the first.

    Raises:
        RatingError: The readings cannot be rated, see `check_readings`.
    """
    check_readings(readings)
    cuts = [readings[0].at_ms, *_cuts(readings[0].at_ms, readings[-1].at_ms, zone)]
    meters_dwh = [_meter_at(readings, cut_ms) for cut_ms in cuts] + [readings[-1].meter_dwh]
    ends = [*cuts[1:], readings[-1].at_ms]
    return [
        Segment(start_ms, end_ms, slot_of(start_ms, zone), meters_dwh[i + 1] - meters_dwh[i])
        for i, (start_ms, end_ms) in enumerate(zip(cuts, ends, strict=True))
    ]


def energy_by_period(
    readings: Sequence[Reading], tariff: Tariff, zone: ZoneInfo
) -> dict[Period, int]:
    """Return the readings' energy in each of the four periods, 0.1 Wh."""
    energies = dict.fromkeys(PERIODS, 0)
    for segment in split(readings, zone):
        energies[tariff.period_of_slot(segment.slot)] += segment.energy_dwh
    return energies


def check_readings(readings: Sequence[Reading]) -> None:
    """Check that readings can be rated.

    Raises:
        RatingError: Fewer than two readings, times not rising, before 1970 or more than 31 days
            apart, or the meter falling.
    """
    if len(readings) < 2:
        raise RatingError("readings", f"{len(readings)} given, at least two are needed")
    first_ms = readings[0].at_ms
    if not 0 <= first_ms <= _LAST_MS:
        raise RatingError("readings[0]", "its time is none that a clock shows")
    for index in range(1, len(readings)):
        before, after = readings[index - 1], readings[index]
        if after.at_ms <= before.at_ms:
            raise RatingError(f"readings[{index}]", "its time is not after the one before")
        if after.at_ms - first_ms > _SPAN_MAX_MS:
            raise RatingError(
                f"readings[{index}]", f"more than {SPAN_MAX_DAYS} days after the first one"
            )
        if after.meter_dwh < before.meter_dwh:
            raise RatingError(f"readings[{index}]", "the meter falls")


def slot_of(at_ms: int, zone: ZoneInfo) -> int:
    """Return the half-hour slot 0–47 of the local clock at an instant."""
    local = from_ms(at_ms).astimezone(zone)
    return local.hour * 2 + local.minute // SLOT_MINUTES


def next_cut(at_ms: int, zone: ZoneInfo) -> int:
    """Return the next instant at which the local clock enters another half hour."""
    local = from_ms(at_ms).astimezone(zone)
    into_slot_ms = (
        (local.minute % SLOT_MINUTES) * _MINUTE_MS + local.second * 1000 + local.microsecond // 1000
    )
    cut_ms = at_ms + _SLOT_MS - into_slot_ms
    if from_ms(cut_ms - 1).astimezone(zone).utcoffset() == local.utcoffset():
        return cut_ms
    return _offset_change(at_ms, cut_ms, zone)


def _offset_change(low_ms: int, high_ms: int, zone: ZoneInfo) -> int:
    """Find where the zone's offset changes inside a slot (a few zones do that), by halving."""
    before = from_ms(low_ms).astimezone(zone).utcoffset()
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if from_ms(middle_ms).astimezone(zone).utcoffset() == before:
            low_ms = middle_ms
        else:
            high_ms = middle_ms
    return high_ms


def _cuts(start_ms: int, end_ms: int, zone: ZoneInfo) -> Iterator[int]:
    cut_ms = next_cut(start_ms, zone)
    while cut_ms < end_ms:
        yield cut_ms
        cut_ms = next_cut(cut_ms, zone)


def _meter_at(readings: Sequence[Reading], at_ms: int) -> int:
    """Return the meter on the line between the readings around an instant within them."""
    index = bisect_left(readings, at_ms, lo=1, key=lambda reading: reading.at_ms)
    before, after = readings[index - 1], readings[index]
    risen_dwh = after.meter_dwh - before.meter_dwh
    share = (at_ms - before.at_ms, after.at_ms - before.at_ms)
    return before.meter_dwh + risen_dwh * share[0] // share[1]


def _price(
    energies: Sequence[tuple[Period, int]],
    times: Sequence[tuple[int | None, int | None]],
    tariff: Tariff,
    minutes: int,
) -> Bill:
    energy_nanos = [dwh * tariff.prices[period].energy_price_e5 for period, dwh in energies]
    service_nanos = [dwh * tariff.prices[period].service_price_e5 for period, dwh in energies]
    components = (
        sum(energy_nanos),
        sum(service_nanos),
        minutes * tariff.per_minute_e5 * NANO_PER_E5,
    )
    total_nano = sum(components)
    payable_fen = divide_half_up(total_nano, NANO_PER_FEN)
    energy_fee_fen, service_fee_fen, time_fee_fen = share_out(payable_fen, components)
    energy_fens = share_out(energy_fee_fen, energy_nanos) if energies else []
    service_fens = share_out(service_fee_fen, service_nanos) if energies else []
    lines = tuple(
        BillLine(
            period=period,
            energy_dwh=dwh,
            energy_fee_nano=energy_nanos[i],
            service_fee_nano=service_nanos[i],
            energy_fee_fen=energy_fens[i],
            service_fee_fen=service_fens[i],
            from_ms=times[i][0],
            to_ms=times[i][1],
        )
        for i, (period, dwh) in enumerate(energies)
    )
    return Bill(
        lines=lines,
        minutes=minutes,
        energy_dwh=sum(dwh for _, dwh in energies),
        energy_fee_nano=components[0],
        service_fee_nano=components[1],
        time_fee_nano=components[2],
        total_nano=total_nano,
        energy_fee_fen=energy_fee_fen,
        service_fee_fen=service_fee_fen,
        time_fee_fen=time_fee_fen,
        payable_fen=payable_fen,
    )
