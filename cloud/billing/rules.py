"""What HQ bills for a transaction, and whether anybody must look at it first. Pure.

HQ bills the charge point's own energy per period at the prices of the tariff version that it
held. Where those energies cannot be used, or no record ever came, it bills the station's
readings. Every figure is an exact integer; every limit below is exact, so "at the limit" passes
and one unit more does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct, structs

from shared.clock import to_ms
from shared.contracts.events import Record, TransactionEnded
from shared.money import NANO_PER_E4, NANO_PER_FEN
from shared.rating import (
    Bill,
    RatingError,
    check_readings,
    energy_by_period,
    split,
)
from shared.settlement import bill_transaction, never_began, usable_energies
from shared.tariff import PERIODS, Period, Tariff

HALF_E4_NANO = 50_000
"""0.00005 yuan: what rounding one amount to 1e-4 yuan can cost."""
ENERGY_TOLERANCE_DWH = 200
"""0.02 kWh: what a period may differ from our split without any cut."""
W_PER_DWH_IN_5_S = 72
"""A power in W gives one 0.1 Wh in 5 s for every 72 W of it (5 s / 3600 s × 10)."""
ASSUMED_RATED_W = 120_000
"""Rated power of a charge point that does not say: the default of the registry."""
PLAUSIBLE_MARGIN_MS = 60_000
"""Added to the duration before it is multiplied with the power: times are whole seconds and the
station may see the start late."""
UNSEEN_FLAG = "start_unseen"
"""The station's word for a transaction that it did not see run: its readings are then the
record's own two, and a straight line between them proves nothing about periods."""
TOO_LONG_MS = 24 * 3_600_000
MINUTE_MS = 60_000
LARGEST_BILL_NANO = 10**15
"""A million yuan. More is nonsense from the wire and would not fit the columns either."""

_W_MS_PER_DWH = 360_000


class Basis(StrEnum):
    """Which energies a bill is made of."""

    RECORD = "record"
    READINGS = "readings"
    ZERO = "zero"
    NONE = "none"


class Cause(StrEnum):
    """Why an order waits in the review queue."""

    NO_TARIFF = "no_tariff"
    TARIFF_DIFFERS = "tariff_differs"
    UNPRICED_PERIOD = "unpriced_period"
    NO_ENERGY = "no_energy"
    ARITHMETIC = "arithmetic"
    ATTRIBUTION = "attribution"
    IMPLAUSIBLE_ENERGY = "implausible_energy"
    IMPLAUSIBLE_AMOUNT = "implausible_amount"
    METER_FALLS = "meter_falls"
    METER_DIFFERS = "meter_differs"
    TOO_LONG = "too_long"
    DISPUTED = "disputed"
    NO_END = "no_end"
    DECIDED = "decided"


class Check(Struct, frozen=True):
    """One comparison: `value` may be at most `limit`, both in the unit that `name` ends with."""

    name: str
    value: int
    limit: int

    @property
    def ok(self) -> bool:
        """Whether the value is within the limit."""
        return self.value <= self.limit


class Rated(Struct, frozen=True, kw_only=True):
    """HQ's figure for one transaction, and what speaks against it.

    `causes` empty means that it may be charged at once; otherwise `bill` is a proposal, or None
    where nothing can be computed. `flags` only inform.
    """

    basis: Basis
    bill: Bill | None
    checks: tuple[Check, ...] = ()
    causes: tuple[Cause, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def hq_fen(self) -> int | None:
        """What HQ would charge, None if it cannot say."""
        return None if self.bill is None else self.bill.payable_fen


class _Inputs(Struct, frozen=True, kw_only=True):
    """A transaction's end with what every step below needs of it."""

    ended: TransactionEnded
    tariff: Tariff
    zone: ZoneInfo
    energies_dwh: dict[Period, int] | None
    readings_usable: bool
    flags: list[str]


def rate_order(ended: TransactionEnded, *, tariff: Tariff | None, zone: ZoneInfo) -> Rated:
    """Rate a transaction as HQ bills it and check it against everything else that is known.

    Args:
        ended: The end of the transaction, as the station reported it.
        tariff: The checked version that the charge point held, None if nobody knows it.
        zone: The station's time zone.
    """
    flags = list(ended.flags)
    readings_usable = _readings_usable(ended, flags)
    energies_dwh = _record_energies(ended.record, flags)
    nothing_charged = _is_zero(ended, energies_dwh, readings_usable=readings_usable)
    if nothing_charged and not _costs_time(ended, tariff):
        return Rated(basis=Basis.ZERO, bill=zero_bill(), flags=tuple(flags))
    if tariff is None:
        return Rated(basis=Basis.NONE, bill=None, causes=(Cause.NO_TARIFF,), flags=tuple(flags))
    inputs = _Inputs(
        ended=ended,
        tariff=tariff,
        zone=zone,
        energies_dwh=energies_dwh,
        readings_usable=readings_usable,
        flags=flags,
    )
    return _rate(inputs)


def held(rated: Rated, cause: Cause) -> Rated:
    """Return the same figure as a proposal that somebody must look at because of `cause`."""
    return structs.replace(rated, causes=tuple(dict.fromkeys((*rated.causes, cause))))


def after_decision(rated: Rated, *, decided_fen: int) -> Rated:
    """Return what a later record means after somebody has decided that `decided_fen` is paid.

    A person's word is never overruled by a record; a record that agrees needs no other look.
    """
    return rated if rated.hq_fen == decided_fen else held(rated, Cause.DECIDED)


def zero_bill() -> Bill:
    """Return the bill of a transaction that costs nothing."""
    return Bill(
        lines=(),
        minutes=0,
        energy_dwh=0,
        energy_fee_nano=0,
        service_fee_nano=0,
        time_fee_nano=0,
        total_nano=0,
        energy_fee_fen=0,
        service_fee_fen=0,
        time_fee_fen=0,
        payable_fen=0,
    )


def arithmetic_limit_nano(periods_used: int, *, rounds_to_fen: bool) -> int:
    """Return how far a charge point's amount may be from its energies × prices, in nano."""
    limit_nano = (periods_used + 4) * HALF_E4_NANO + NANO_PER_E4
    return limit_nano + periods_used * NANO_PER_FEN if rounds_to_fen else limit_nano


def attribution_limit_dwh(rated_w: int, cuts: int) -> int:
    """Return how far a period's energy may be from our split: 0.02 kWh + 5 s a cut, in dWh."""
    return ENERGY_TOLERANCE_DWH + rated_w * cuts // W_PER_DWH_IN_5_S


def plausible_limit_dwh(rated_w: int, duration_ms: int) -> int:
    """Return the most energy that a connector can have given: 110 % of rated power × time."""
    return rated_w * 11 * (duration_ms + PLAUSIBLE_MARGIN_MS) // (10 * _W_MS_PER_DWH)


def claimed_dwh(ended: TransactionEnded) -> int:
    """Return the energy that a transaction is said to have had, before anybody can rate it."""
    if ended.record is not None:
        return ended.record.energy_dwh
    return _risen_dwh(ended) if ended.readings else 0


def duration_ms(ended: TransactionEnded) -> int:
    """Return how long the transaction ran, 0 if its times are the wrong way round."""
    return max(0, to_ms(ended.ended_at) - to_ms(ended.started_at))


def arithmetic_check(
    record: Record, energies_dwh: Mapping[Period, int], tariff: Tariff, *, rounds_to_fen: bool
) -> Check:
    """Compare a charge point's amount with its own energies at the prices that it held.

    Prices by time do not fit its protocol, so only the parts by energy are compared.
    """
    expected_nano = 0
    for period, energy_dwh in energies_dwh.items():
        if energy_dwh:
            price = tariff.prices[period]
            expected_nano += energy_dwh * (price.energy_price_e5 + price.service_price_e5)
    used = sum(1 for energy_dwh in energies_dwh.values() if energy_dwh)
    return Check(
        "amount_nano",
        abs(record.amount_e4 * NANO_PER_E4 - expected_nano),
        arithmetic_limit_nano(used, rounds_to_fen=rounds_to_fen),
    )


def attribution_checks(
    energies_dwh: Mapping[Period, int], ended: TransactionEnded, tariff: Tariff, zone: ZoneInfo
) -> tuple[Check, ...]:
    """Compare a charge point's energy of each period with our split of the live series."""
    ours_dwh = energy_by_period(ended.readings, tariff, zone)
    cuts, gaps_dwh = _cuts_by_period(ended, tariff, zone)
    return tuple(
        Check(
            f"{period}_dwh",
            abs(energies_dwh.get(period, 0) - ours_dwh[period]),
            attribution_limit_dwh(rated_w(ended), cuts[period]) + gaps_dwh[period],
        )
        for period in PERIODS
    )


def rated_w(ended: TransactionEnded) -> int:
    """Return the connector's rated power in W."""
    return ended.rated_w or ASSUMED_RATED_W


def _rate(inputs: _Inputs) -> Rated:
    basis, bill, causes = _choose_bill(inputs)
    checks: list[Check] = []
    causes += _tariff_causes(inputs)
    causes += _check_record(inputs, basis, checks)
    causes += _check_plausible(inputs.ended, bill, checks)
    if bill is not None and bill.total_nano > LARGEST_BILL_NANO:
        causes.append(Cause.IMPLAUSIBLE_AMOUNT)
        bill = None
    return Rated(
        basis=basis,
        bill=bill,
        checks=tuple(checks),
        causes=tuple(dict.fromkeys(causes)),
        flags=tuple(inputs.flags),
    )


def _choose_bill(inputs: _Inputs) -> tuple[Basis, Bill | None, list[Cause]]:
    """Return HQ's bill from the best energies there are."""
    tariff, ended, record = inputs.tariff, inputs.ended, inputs.ended.record
    basis, causes = Basis.READINGS, []
    if inputs.energies_dwh is not None:
        basis = Basis.RECORD
        if not all(p in tariff.prices for p, dwh in inputs.energies_dwh.items() if dwh):
            basis, record, causes = Basis.READINGS, None, [Cause.UNPRICED_PERIOD]
    if basis is Basis.READINGS and not inputs.readings_usable:
        return Basis.NONE, None, [*causes, Cause.NO_ENERGY]
    if inputs.energies_dwh is None:
        record = None
    bill = bill_transaction(record, ended.readings, tariff, inputs.zone, duration_ms(ended))
    return basis, bill, causes


def _tariff_causes(inputs: _Inputs) -> list[Cause]:
    reported = inputs.ended.tariff_hash
    if reported and reported != inputs.tariff.content_hash():
        return [Cause.TARIFF_DIFFERS]
    return []


def _check_record(inputs: _Inputs, basis: Basis, checks: list[Check]) -> list[Cause]:
    """Compare the record with its own arithmetic, with our split, and with its meter."""
    record = inputs.ended.record
    if record is None:
        return []
    causes = []
    if basis is Basis.RECORD and not _check_arithmetic(record, inputs, checks):
        causes.append(Cause.ARITHMETIC)
    attribution = _attribution(record, inputs, basis)
    checks.extend(attribution)
    if not (agrees := all(check.ok for check in attribution)):
        causes.append(Cause.ATTRIBUTION)
    watched = bool(attribution) and UNSEEN_FLAG not in inputs.flags
    return _check_meter(record, inputs, checks, live_agrees=watched and agrees) + causes


def _check_arithmetic(record: Record, inputs: _Inputs, checks: list[Check]) -> bool:
    arithmetic = arithmetic_check(
        record,
        inputs.energies_dwh or {},
        inputs.tariff,
        rounds_to_fen=inputs.ended.rounds_to_fen,
    )
    checks.append(arithmetic)
    return arithmetic.ok


def _attribution(record: Record, inputs: _Inputs, basis: Basis) -> Sequence[Check]:
    """Return the comparisons with our readings, none where these prove nothing."""
    if basis is not Basis.RECORD or inputs.energies_dwh is None:
        return [_total_check(record, inputs)] if inputs.readings_usable else []
    if not inputs.readings_usable or UNSEEN_FLAG in inputs.flags:
        inputs.flags.append("attribution_unchecked")
        return []
    metered_dwh = _metered_energies(record, inputs.energies_dwh)
    return attribution_checks(metered_dwh, inputs.ended, inputs.tariff, inputs.zone)


def _check_meter(
    record: Record, inputs: _Inputs, checks: list[Check], *, live_agrees: bool
) -> list[Cause]:
    """Compare a record's energy with what its own meter rose by.

    Some models never fill in their meter: one that stands still says nothing against an energy
    that we saw flow ourselves.
    """
    risen_dwh = record.meter_end_dwh - record.meter_start_dwh
    if risen_dwh < 0:
        return [Cause.METER_FALLS]
    energy_dwh = record.energy_dwh or record.loss_energy_dwh
    limit_dwh = attribution_limit_dwh(rated_w(inputs.ended), 1)
    check = Check("meter_dwh", abs(energy_dwh - risen_dwh), limit_dwh)
    checks.append(check)
    if check.ok:
        return []
    if risen_dwh == 0 and live_agrees:
        inputs.flags.append("meter_stands_still")
        return []
    return [Cause.METER_DIFFERS]


def _total_check(record: Record, inputs: _Inputs) -> Check:
    """Compare totals, where the charge point's energies per period say nothing."""
    return Check(
        "total_dwh",
        abs(record.energy_dwh - _risen_dwh(inputs.ended)),
        attribution_limit_dwh(rated_w(inputs.ended), 1),
    )


def _check_plausible(
    ended: TransactionEnded, bill: Bill | None, checks: list[Check]
) -> list[Cause]:
    """Nobody pays for more energy than the connector can have given in that time."""
    causes = []
    length_ms = duration_ms(ended)
    if length_ms > TOO_LONG_MS:
        causes.append(Cause.TOO_LONG)
    claims = [bill.energy_dwh if bill else 0, ended.record.energy_dwh if ended.record else 0]
    plausible = Check("energy_dwh", max(claims), plausible_limit_dwh(rated_w(ended), length_ms))
    checks.append(plausible)
    if not plausible.ok:
        causes.append(Cause.IMPLAUSIBLE_ENERGY)
    return causes


def _record_energies(record: Record | None, flags: list[str]) -> dict[Period, int] | None:
    """Return a record's energy per period as it is billed, None where it cannot be used."""
    if record is None:
        return None
    energies_dwh = usable_energies(record)
    if energies_dwh is None or min(energies_dwh.values()) < 0:
        flags.append("record_energies_unusable")
        return None
    return energies_dwh


def _metered_energies(record: Record, billed_dwh: Mapping[Period, int]) -> Mapping[Period, int]:
    """Return the energies that the meter saw, which billed ones with line loss are not."""
    metered = {p: totals.energy_dwh for p, totals in zip(PERIODS, record.periods, strict=True)}
    return metered if sum(metered.values()) == record.energy_dwh else billed_dwh


def _readings_usable(ended: TransactionEnded, flags: list[str]) -> bool:
    try:
        check_readings(ended.readings)
    except RatingError:
        if ended.readings:
            flags.append("readings_unusable")
        return False
    return True


def _is_zero(
    ended: TransactionEnded, energies_dwh: Mapping[Period, int] | None, *, readings_usable: bool
) -> bool:
    """Whether nothing was charged: nobody claims any energy, and no reading contradicts."""
    if ended.record is not None:
        if energies_dwh is None or ended.record.energy_dwh or ended.record.amount_e4:
            return False
        if _meter_claims_more(ended, ended.record):
            return False
        return not readings_usable or _risen_dwh(ended) <= ENERGY_TOLERANCE_DWH
    return readings_usable and _risen_dwh(ended) == 0


def _meter_claims_more(ended: TransactionEnded, record: Record) -> bool:
    """Whether the meter of a record without energy rose, by what can have flowed.

    A failed start often has a placeholder on one side, which makes a rise that cannot be.
    """
    risen_dwh = record.meter_end_dwh - record.meter_start_dwh
    possible_dwh = plausible_limit_dwh(rated_w(ended), duration_ms(ended))
    return not never_began(record) and ENERGY_TOLERANCE_DWH < risen_dwh <= possible_dwh


def _costs_time(ended: TransactionEnded, tariff: Tariff | None) -> bool:
    """Whether time alone is to be paid for.

    A price by time is for the place, which nobody else could use, so it is due without energy
    too; but not where charging never began, which is no fault of the customer. Under an unknown
    tariff nobody was promised a price by time.
    """
    if tariff is None or not tariff.per_minute_e5:
        return False
    if ended.record is not None and never_began(ended.record):
        return False
    return duration_ms(ended) >= MINUTE_MS


def _risen_dwh(ended: TransactionEnded) -> int:
    return ended.readings[-1].meter_dwh - ended.readings[0].meter_dwh


def _cuts_by_period(
    ended: TransactionEnded, tariff: Tariff, zone: ZoneInfo
) -> tuple[dict[Period, int], dict[Period, int]]:
    """Return, for each period, the cuts at which it meets another one, and their gaps in dWh.

    A cut between two slots of one period moves no energy between periods, so it earns no
    tolerance. In a gap, while the station was away, nobody saw which side its energy belongs to.
    """
    cuts, gaps_dwh = dict.fromkeys(PERIODS, 0), dict.fromkeys(PERIODS, 0)
    gap_at_dwh = {reading.at_ms: reading.gap_dwh for reading in ended.readings}
    for before, after in pairwise(split(ended.readings, zone)):
        meeting = {tariff.period_of_slot(before.slot), tariff.period_of_slot(after.slot)}
        if len(meeting) == 1:
            continue
        for period in meeting:
            cuts[period] += 1
            gaps_dwh[period] += max(gap_at_dwh.get(after.from_ms, 0), 0)
    return cuts, gaps_dwh
