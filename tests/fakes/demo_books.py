"""What the demo's books say of a transaction: a line of a simulator, an order of HQ's API."""

from __future__ import annotations

from typing import Any

from ops.sim.book import BookEntry


def ended(number: str, fen: int = 100) -> BookEntry:
    """A transaction of 1 Wh at a price that makes it cost so much."""
    return BookEntry(
        transaction_no=number,
        charge_point_no="1",
        connector_no=1,
        start_mode=1,
        physical_card="",
        vin="",
        started_ms=0,
        ended_ms=1,
        device_started_ms=0,
        device_ended_ms=1,
        model_no="1",
        period_prices_e5=(fen * 1000, 0, 0, 0),
        period_dwh=(10_000, 0, 0, 0),
        period_amounts_e4=(fen * 100, 0, 0, 0),
        meter_start_dwh=0,
        meter_end_dwh=10_000,
        energy_dwh=10_000,
        amount_e4=fen * 100,
        true_energy_dwh=10_000,
        stop_reason=0,
        body_hex="",
    )


def order(order_id: str, number: str, fen: int = 100, state: str = "billed") -> dict[str, Any]:
    """The order of such a transaction; only a billed one has ended."""
    return {
        "id": order_id,
        "transaction_no": number,
        "state": state,
        "ended_by": "stopped" if state == "billed" else None,
        "energy_dwh": 10_000,
        "payable_fen": fen,
    }
