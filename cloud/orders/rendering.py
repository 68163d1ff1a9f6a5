"""An explanation as text for a terminal, and as plain data for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from cloud.orders.explain import Explanation
from shared.energy import format_kwh
from shared.money import format_yuan


def as_data(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as what JSON can hold."""
    data: dict[str, Any] = msgspec.to_builtins(explanation)
    return data


def as_text(explanation: Explanation) -> str:
    """Return an explanation as text, readings first, rounding last, frames at the end."""
    return "\n".join(_lines(explanation)) + "\n"


def _lines(e: Explanation) -> Iterator[str]:
    yield f"order {e.order_id}  station {e.station_no}  {e.charge_point_no}:{e.connector_no}"
    yield f"transaction {e.transaction_no}  {e.state}  ended by {e.ended_by or '-'}"
    yield f"tariff version {e.tariff_version or 'unknown'}  {e.tariff_hash[:12]}"
    yield from _energy_lines(e)
    yield from _price_lines(e)
    yield from _figure_lines(e)
    yield from _frame_lines(e)


def _energy_lines(e: Explanation) -> Iterator[str]:
    yield f"\n1. readings of the station ({len(e.readings)})"
    for reading in e.readings:
        how = "" if reading.measured else "  interpolated"
        yield f"   {reading.at.isoformat()}  {format_kwh(reading.meter_dwh):>14} kWh{how}"
    yield "\n2. cut at every half hour of the station's clock"
    for part in e.segments:
        span = f"{part.started_at:%m-%d %H:%M:%S} → {part.ended_at:%H:%M:%S}"
        yield f"   {span}  slot {part.slot:2}  {part.period:6}  {format_kwh(part.energy_dwh):>12}"


def _price_lines(e: Explanation) -> Iterator[str]:
    yield "\n3. periods: charge point's kWh, our kWh, electricity and service price (yuan/kWh)"
    for part in e.periods:
        energies = [_kwh(part.record_energy_dwh), _kwh(part.readings_energy_dwh)]
        prices = [_price(part.energy_price_e5), _price(part.service_price_e5)]
        yield f"   {part.period:6}  " + "  ".join(f"{text:>12}" for text in energies + prices)
    yield f"\n4. billed by: {e.basis or 'nothing yet'}"
    for line in e.lines:
        fees = (line["energy_fee_nano"], line["service_fee_nano"])
        nano = "  ".join(f"{_nano(fee):>16}" for fee in fees)
        yield f"   {line['period']:6}  {format_kwh(line['energy_dwh']):>12} kWh  {nano}"
    if e.per_minute_e5:
        yield f"   time    {e.minutes} min × {_price(e.per_minute_e5)}"
    yield "\n5. rounded once"
    parts = (e.energy_fee_fen, e.service_fee_fen, e.time_fee_fen)
    yield f"   {_nano(e.total_nano)} yuan → {_yuan(e.hq_fen)}"
    yield "   electricity {} + service {} + time {}".format(*map(format_yuan, parts))


def _figure_lines(e: Explanation) -> Iterator[str]:
    yield "\n6. three figures side by side"
    yield f"   charge point {_e4(e.charge_point_e4)}  station {_yuan(e.station_fen)}"
    yield f"   HQ {_yuan(e.hq_fen)}  charged {format_yuan(e.payable_fen)}"
    for check in e.checks:
        verdict = "ok" if check["ok"] else "OUTSIDE"
        yield f"   {check['name']:14} {check['value']:>14} ≤ {check['limit']:<14} {verdict}"
    if e.causes:
        yield f"   for review: {', '.join(e.causes)}"
    if e.flags:
        yield f"   flags: {', '.join(e.flags)}"
    for version in e.versions:
        by = f"  {version.created_by}: {version.reason}" if version.reason else ""
        charged = f"{format_yuan(version.payable_fen)} ({format_yuan(version.delta_fen)})"
        yield f"   bill {version.version}  {version.kind:10} {charged}{by}"


def _frame_lines(e: Explanation) -> Iterator[str]:
    yield "\n7. raw frames"
    if e.raw_record:
        yield f"   record {e.raw_record}"
    for frame in e.raw_frames:
        yield f"   {frame}"
    for each in e.frames:
        yield f"   {each.file}:{each.first_line}-{each.last_line}  {each.status}"
        for text in each.lines:
            yield f"     {text}"


def _kwh(energy_dwh: int | None) -> str:
    return "-" if energy_dwh is None else format_kwh(energy_dwh)


def _price(price_e5: int | None) -> str:
    return "-" if price_e5 is None else f"{price_e5 // 100_000}.{price_e5 % 100_000:05d}"


def _nano(nano: int) -> str:
    return f"{nano // 10**9}.{nano % 10**9:09d}"


def _yuan(fen: int | None) -> str:
    return "-" if fen is None else format_yuan(fen)


def _e4(amount_e4: int | None) -> str:
    return "-" if amount_e4 is None else f"{amount_e4 // 10_000}.{amount_e4 % 10_000:04d}"
