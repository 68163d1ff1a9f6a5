"""`vw hq explain` and `vw hq reconcile`: why a bill is what it is, and whether the books agree."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec

from cloud.core.db import Sessions
from cloud.orders.explain import explain_order
from cloud.orders.frames import fetch_frames
from cloud.orders.reconcile import StationDay, reconcile
from cloud.orders.rendering import as_data, as_text
from shared.clock import Clock
from shared.money import format_yuan


async def explain_command(
    sessions: Sessions, clock: Clock, order: str, *, as_json: bool, timeout_s: float = 10.0
) -> str:
    """Return what to print for `vw hq explain ORDER`.

    Args:
        sessions: Opens sessions on HQ's database.
        clock: HQ's clock.
        order: Order id, transaction id or transaction number.
        as_json: One JSON object instead of text.
        timeout_s: How long the station may take to send its raw frames; 0 does not ask it.

    Raises:
        OrderNotFoundError: No such order.
    """
    async with sessions() as session:
        explanation = await explain_order(session, order)
    if timeout_s > 0:
        await fetch_frames(sessions, clock, explanation, timeout_s=timeout_s)
    return _json(as_data(explanation)) if as_json else as_text(explanation)


async def reconcile_command(
    sessions: Sessions, clock: Clock, *, day: date | None, station_no: str, as_json: bool
) -> tuple[str, bool]:
    """Return what to print for `vw hq reconcile`, and whether the books agree."""
    async with sessions() as session:
        days = await reconcile(session, day=day, now=clock.now(), station_no=station_no)
    ok = all(each.ok for each in days)
    if as_json:
        rows = [msgspec.to_builtins(each) | {"ok": each.ok} for each in days]
        return _json({"ok": ok, "stations": rows}), ok
    return "".join(_day_text(each) for each in days), ok


def _day_text(day: StationDay) -> str:
    sums = (day.hq_fen, day.station_fen, day.charge_point_fen, day.charged_fen)
    hq, station, device, charged = map(format_yuan, sums)
    verdict = "agree" if day.ok else "DIFFER"
    lines = [
        f"{day.day} station {day.station_no}: {day.orders} orders, {day.not_billed} not billed",
        f"  HQ {hq} · station {station} · charge points {device} · charged {charged} · {verdict}",
    ]
    for each in day.differences:
        figures = (each.charge_point_fen, each.station_fen, each.hq_fen, each.charged_fen)
        texts = ["-" if fen is None else format_yuan(fen) for fen in figures]
        note = "  rounding" if each.explained else ""
        lines.append(f"  {each.order_id} {each.state}: {' / '.join(texts)}{note}")
    return "\n".join(lines) + "\n"


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, default=str) + "\n"
