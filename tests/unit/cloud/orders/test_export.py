"""Orders as CSV: harmless in a spreadsheet, times on the station's clock."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.orders.export import COLUMNS, order_line
from cloud.orders.models import Order
from cloud.orders.rules import OrderState
from cloud.stations.models import Station
from shared.contracts.words import TokenKind

EVENING = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)  # half past midnight in Shanghai


def exported(zone: str = "Asia/Shanghai", **changes: Any) -> dict[str, str]:
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "operator_id": UUID(int=2),
        "station_id": UUID(int=3),
        "transaction_no": "55031412782305012611220030000001",
        "charge_point_no": "55031412782305",
        "connector_no": 1,
        "state": OrderState.BILLED,
        "created_at": EVENING,
        "updated_at": EVENING,
        "started_at": EVENING,
        "ended_at": EVENING + timedelta(hours=1),
        "energy_dwh": 900_000,
        "payable_fen": 9_137,
    }
    station = Station(station_no="1001", time_zone=zone)
    line = order_line(Order(**(fields | changes)), station).decode()
    [cells] = csv.reader([line])
    return dict(zip(COLUMNS, cells, strict=True))


@pytest.mark.parametrize(
    "text", ["=cmd|'/c calc'!A1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x","y")']
)
def test_what_a_charge_point_says_is_no_formula(text: str) -> None:
    cells = exported(
        vin=text,
        token_kind=TokenKind.ACCOUNT,
        token_value=text,
        transaction_no=text,
        charge_point_no=text,
        failure_reason=text,
        flags=[text],
    )
    hostile = ("vin", "token", "transaction_no", "charge_point_no", "failure_reason", "flags")
    assert {cells[name] for name in hostile} == {f"'{text}"}


def test_a_line_break_or_comma_in_a_cell_moves_no_other() -> None:
    cells = exported(failure_reason='no "plug", none', vin="A;B")
    assert (cells["failure_reason"], cells["vin"]) == ('no "plug", none', "A;B")
    assert (cells["energy_kwh"], cells["payable_yuan"]) == ("90.0000", "91.37")


def test_times_are_on_the_stations_clock() -> None:
    assert exported()["started_at"] == "2026-11-22T00:30:00+08:00"
    assert exported("Europe/Berlin")["started_at"] == "2026-11-21T17:30:00+01:00"
    assert exported(ended_at=None)["ended_at"] == ""
