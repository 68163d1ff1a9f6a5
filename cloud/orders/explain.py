"""Why a bill is what it is: readings → segments → periods → prices → rounding, and the frames.

Nothing is computed anew in another way: segments come from the same cutting, lines from the bill
as it was written.
"""

from __future__ import annotations

from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.billing import service as billing
from cloud.billing.models import Bill, Line
from cloud.orders.facts import facts_of, known_of, read_fact
from cloud.orders.models import Order
from cloud.orders.queries import find_order
from cloud.orders.rules import Known
from cloud.orders.service import OrderNotFoundError
from cloud.stations import lookup
from cloud.tariffs import service as tariffs
from shared.clock import from_ms
from shared.contracts.events import (
    FrameReference,
    Record,
    TransactionAuthorized,
    TransactionEnded,
    TransactionFramesLogged,
)
from shared.rating import RatingError, Reading, split
from shared.tariff import PERIODS, Tariff


class MeterReading(Struct, frozen=True):
    """One reading of the station's, in station time."""

    at: datetime
    meter_dwh: int
    measured: bool


class SegmentPart(Struct, frozen=True):
    """The energy of one half hour or a part of it, by the station's readings."""

    started_at: datetime
    ended_at: datetime
    slot: int
    period: str
    energy_dwh: int


class PeriodPart(Struct, frozen=True):
    """One period: the charge point's energy and price, our energy, and the prices that hold."""

    period: str
    record_energy_dwh: int | None
    record_price_e5: int | None
    readings_energy_dwh: int | None
    energy_price_e5: int | None
    service_price_e5: int | None


class Version(Struct, frozen=True):
    """One version of the bill."""

    version: int
    kind: str
    payable_fen: int
    delta_fen: int
    reason: str
    created_by: str
    created_at: datetime


class FetchedFrames(Struct, frozen=True):
    """Raw frames that a bill refers to; `lines` are of the station's frame log.

    `status` is `fetched`, `changed` (they do not hash to what the station promised),
    `unreachable`, `failed`, or `not_fetched` when nobody asked.
    """

    file: str
    first_line: int
    last_line: int
    sha256: str
    status: str = "not_fetched"
    lines: list[str] = []


class Explanation(Struct, kw_only=True):
    """All that a bill was made of."""

    order_id: UUID
    operator_id: UUID
    station_no: str
    station_id: UUID
    transaction_no: str
    charge_point_no: str
    connector_no: int
    state: str
    ended_by: str | None
    basis: str | None
    tariff_version: int | None
    tariff_hash: str
    readings: list[MeterReading]
    segments: list[SegmentPart]
    periods: list[PeriodPart]
    per_minute_e5: int
    minutes: int
    lines: list[dict[str, Any]]
    total_nano: int
    energy_fee_fen: int
    service_fee_fen: int
    time_fee_fen: int
    charge_point_e4: int | None
    station_fen: int | None
    hq_fen: int | None
    payable_fen: int
    checks: list[dict[str, Any]]
    causes: list[str]
    flags: list[str]
    versions: list[Version]
    record: Record | None
    raw_record: str
    raw_frames: list[str]
    frames: list[FetchedFrames]


async def explain_order(
    session: AsyncSession, order_ref: str, *, operator_id: UUID | None = None
) -> Explanation:
    """Return what an order's bill was made of.

    Args:
        session: An open session; nothing is written.
        order_ref: Order id, transaction id or transaction number.
        operator_id: Whose; None searches all, for HQ's own command line.

    Raises:
        OrderNotFoundError: No such order.
    """
    order = await find_order(session, operator_id, order_ref)
    if order is None:
        raise OrderNotFoundError(f"no order {order_ref}")
    station = await lookup.station_by_id(session, order.operator_id, order.station_id)
    known = await known_of(session, order)
    bills = list(await billing.bills_of(session, order.id))
    bill = bills[-1] if bills else None
    lines = [] if bill is None else list(await billing.lines_of(session, bill.id))
    version = await tariffs.find_version(
        session, station_id=order.station_id, tariff_version_id=order.tariff_version_id
    )
    tariff = None if version is None else tariffs.tariff_of(version)
    zone = ZoneInfo(station.time_zone)
    explanation = _explain(order, known, bill, lines, tariff, zone)
    explanation.station_no = station.station_no
    explanation.tariff_version = None if version is None else version.version
    explanation.versions = [_version(each) for each in bills]
    explanation.raw_frames = await _raw_frames(session, order)
    explanation.frames += await _logged_frames(session, order)
    return explanation


def _explain(
    order: Order,
    known: Known,
    bill: Bill | None,
    lines: list[Line],
    tariff: Tariff | None,
    zone: ZoneInfo,
) -> Explanation:
    end = known.end
    readings = () if end is None else end.readings
    segments = _segments(readings, tariff, zone)
    record = None if end is None else end.record
    return Explanation(
        order_id=order.id,
        operator_id=order.operator_id,
        station_no="",
        station_id=order.station_id,
        transaction_no=order.transaction_no,
        charge_point_no=order.charge_point_no,
        connector_no=order.connector_no,
        state=order.state,
        ended_by=order.ended_by,
        basis=None if bill is None else str(bill.basis),
        tariff_version=None,
        tariff_hash="" if bill is None else bill.tariff_hash,
        readings=[_reading(reading, zone) for reading in readings],
        segments=segments,
        periods=_periods(record, segments, tariff),
        per_minute_e5=0 if tariff is None else tariff.per_minute_e5,
        minutes=0 if bill is None else bill.minutes,
        lines=[line.model_dump(exclude={"bill_id", "operator_id"}) for line in lines],
        total_nano=0 if bill is None else bill.total_nano,
        energy_fee_fen=0 if bill is None else bill.energy_fee_fen,
        service_fee_fen=0 if bill is None else bill.service_fee_fen,
        time_fee_fen=0 if bill is None else bill.time_fee_fen,
        charge_point_e4=None if bill is None else bill.charge_point_e4,
        station_fen=None if bill is None else bill.station_fen,
        hq_fen=None if bill is None else bill.hq_fen,
        payable_fen=order.payable_fen,
        checks=[] if bill is None else bill.checks,
        causes=[] if bill is None else bill.causes,
        flags=order.flags,
        versions=[],
        record=record,
        raw_record="" if end is None else end.raw_record.hex(),
        raw_frames=[],
        frames=[_reference(each) for each in ([] if end is None else end.frames)],
    )


def _segments(
    readings: tuple[Reading, ...], tariff: Tariff | None, zone: ZoneInfo
) -> list[SegmentPart]:
    try:
        segments = split(readings, zone)
    except RatingError:
        return []
    return [
        SegmentPart(
            from_ms(segment.from_ms).astimezone(zone),
            from_ms(segment.to_ms).astimezone(zone),
            segment.slot,
            "" if tariff is None else str(tariff.period_of_slot(segment.slot)),
            segment.energy_dwh,
        )
        for segment in segments
    ]


def _periods(
    record: Record | None, segments: list[SegmentPart], tariff: Tariff | None
) -> list[PeriodPart]:
    parts = []
    for index, period in enumerate(PERIODS):
        price = None if tariff is None else tariff.prices.get(period)
        totals = None if record is None else record.periods[index]
        ours = sum(segment.energy_dwh for segment in segments if segment.period == period)
        parts.append(
            PeriodPart(
                str(period),
                None if totals is None else totals.energy_dwh,
                None if totals is None else totals.price_e5,
                ours if segments and tariff is not None else None,
                None if price is None else price.energy_price_e5,
                None if price is None else price.service_price_e5,
            )
        )
    return parts


def _reading(reading: Reading, zone: ZoneInfo) -> MeterReading:
    return MeterReading(
        from_ms(reading.at_ms).astimezone(zone), reading.meter_dwh, reading.measured
    )


def _reference(reference: FrameReference) -> FetchedFrames:
    return FetchedFrames(**msgspec.structs.asdict(reference))


def _version(bill: Bill) -> Version:
    return Version(
        bill.version,
        bill.kind,
        bill.payable_fen,
        bill.delta_fen,
        bill.reason,
        bill.created_by,
        bill.created_at,
    )


async def _logged_frames(session: AsyncSession, order: Order) -> list[FetchedFrames]:
    """Return where the station says that the frames of the transaction's time stand."""
    events = [read_fact(fact) for fact in await facts_of(session, order.id)]
    logged = [event.frames for event in events if isinstance(event, TransactionFramesLogged)]
    return [_reference(each) for each in dict.fromkeys(chain.from_iterable(logged))]


async def _raw_frames(session: AsyncSession, order: Order) -> list[str]:
    """Return the frames that came with the facts, each once, as they were on the wire."""
    frames: dict[str, None] = {}
    for fact in await facts_of(session, order.id):
        event = read_fact(fact)
        if isinstance(event, TransactionAuthorized | TransactionEnded):
            frames.update(dict.fromkeys(frame.hex() for frame in event.raw_frames))
    return list(frames)
