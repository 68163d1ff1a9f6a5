"""What a tile and a row of the overview say."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from cloud.console.overview import ConnectorView, Place, connector_view, order_view
from cloud.orders.models import Order
from cloud.orders.rules import OrderState
from cloud.stations.models import Connector
from shared.contracts.words import ConnectorStatus

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
PLACE = Place("1001", "站", "Station", "Asia/Shanghai")


def connector(status: ConnectorStatus = ConnectorStatus.CHARGING) -> Connector:
    return Connector(
        id=uuid4(),
        operator_id=UUID(int=1),
        station_id=UUID(int=2),
        charge_point_id=UUID(int=3),
        charge_point_no="55031412782305",
        connector_no=1,
        status=status,
        transaction_id=UUID(int=9),
    )


def order(state: OrderState, transaction_id: UUID | None) -> Order:
    return Order(
        id=uuid4(),
        operator_id=UUID(int=1),
        station_id=UUID(int=2),
        transaction_id=transaction_id,
        charge_point_no="55031412782305",
        connector_no=1,
        state=state,
        energy_dwh=90_000,
        payable_fen=1_234,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("age_ms", "scale", "status", "age_s", "stale"),
    [
        (0, 1.0, ConnectorStatus.CHARGING, 0, False),
        (45_000, 1.0, ConnectorStatus.CHARGING, 45, False),
        (46_000, 1.0, ConnectorStatus.CHARGING, 46, True),
        (46_000, 120.0, ConnectorStatus.CHARGING, 0, False),
        (46_000, 1.0, ConnectorStatus.IDLE, 46, False),  # nothing moves, so nothing is late
        (-5_000, 1.0, ConnectorStatus.CHARGING, 0, False),
    ],
)
def test_values_that_should_move_grow_stale_in_real_seconds(
    age_ms: int, scale: float, status: ConnectorStatus, age_s: int, stale: bool
) -> None:
    values = {"values_at_ms": NOW_MS - age_ms, "power_w": 7_000}
    view = connector_view(connector(status), values, now_ms=NOW_MS, scale=scale)
    assert (view.age_s, view.is_stale) == (age_s, stale)


@pytest.mark.parametrize(
    ("status", "power_w", "remaining_min"),
    [(ConnectorStatus.CHARGING, 54_300, 36)]
    + [(each, None, None) for each in ConnectorStatus if each is not ConnectorStatus.CHARGING],
)
def test_power_and_minutes_left_go_with_the_charging(
    status: ConnectorStatus, power_w: int | None, remaining_min: int | None
) -> None:
    values = {
        "values_at_ms": NOW_MS,
        "power_w": 54_300,
        "remaining_min": 36,
        "energy_dwh": 90_000,
        "amount_fen": 1_234,
        "soc_percent": 80,
    }
    view = connector_view(connector(status), values, now_ms=NOW_MS, scale=1.0)
    assert (view.power_w, view.remaining_min) == (power_w, remaining_min)
    assert (view.energy_dwh, view.amount_fen, view.soc_percent) == (90_000, 1_234, 80)


def test_without_values_there_is_still_a_tile() -> None:
    view = connector_view(connector(), {}, now_ms=NOW_MS, scale=1.0)
    assert (view.status, view.power_w, view.energy_dwh, view.is_stale) == (
        ConnectorStatus.CHARGING,
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("state", "transaction_id", "figures"),
    [
        (OrderState.BILLED, UUID(int=9), (90_000, 1_234, False)),
        (OrderState.CHARGING, UUID(int=9), (5_000, 61, True)),
        (OrderState.CHARGING, UUID(int=8), (None, None, True)),
        (OrderState.REQUESTED, None, (None, None, True)),
    ],
)
def test_an_order_that_runs_shows_its_connectors_figures(
    state: OrderState, transaction_id: UUID | None, figures: tuple[int | None, int | None, bool]
) -> None:
    running = [
        ConnectorView(charge_point_no="1", connector_no=2, status="charging"),
        ConnectorView(
            charge_point_no="55031412782305",
            connector_no=1,
            status="charging",
            transaction_id=UUID(int=9),
            energy_dwh=5_000,
            amount_fen=61,
        ),
    ]
    view = order_view(order(state, transaction_id), PLACE, running)
    assert (view.energy_dwh, view.amount_fen, view.runs) == figures
