"""What no honest station sends: a worker outlives it and serves the others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from cloud.core.security import Role
from cloud.worker import Worker
from shared.contracts.events import StationStarted, TransactionEnded, TransactionStarted
from shared.contracts.live import LiveConnector, LiveUpdate, encode_live
from shared.contracts.topics import Lane, up
from shared.contracts.words import ConnectorStatus, EndKind, StartMeans
from tests.component.cloud.conftest import NOW, LogIn, TestStation

STARTED = StationStarted(occurred_at=NOW, version="1.2.3", clean=True, boot_id=uuid4())


@pytest.mark.parametrize(
    ("at_ms", "age_ms", "number"),
    [
        (-(2**63), 2**63 - 1, "55"),
        (2**64 - 1, -(2**63), "55"),
        (1, 0, "\ud800"),
        (1, 0, "5" * 200_000),
        (1, 0, "\x00"),
    ],
)
async def test_live_values_that_cannot_be_end_nothing(
    worker: Worker, link: TestStation, at_ms: int, age_ms: int, number: str
) -> None:
    connector = LiveConnector(
        number.encode("utf-8", "replace").decode(), 1, ConnectorStatus.IDLE, age_ms
    )
    update = LiveUpdate(link.station_no, at_ms, True, (connector,))
    await link.client.publish(up(link.station_no, Lane.LIVE), encode_live(update), qos=1)
    await link.committed(await link.send(Lane.STATE, STARTED))


@pytest.mark.parametrize("at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
async def test_a_time_at_the_end_of_the_calendar_spoils_no_list(
    worker: Worker,
    link: TestStation,
    client: httpx.AsyncClient,
    log_in: LogIn,
    database: asyncpg.Connection,
    at: datetime,
) -> None:
    names: dict[str, Any] = {
        "transaction_id": uuid4(),
        "transaction_no": "1" * 32,
        "charge_point_no": "55031412782305",
        "connector_no": 1,
    }
    started = TransactionStarted(occurred_at=NOW, **names)
    absurd = TransactionEnded(
        occurred_at=at,
        means=StartMeans.CARD,
        ended_by=EndKind.ESTIMATED,
        started_at=at,
        ended_at=at,
        **(names | {"transaction_id": uuid4(), "transaction_no": "2" * 32}),
    )
    await link.committed(await link.send(Lane.BILL, started, absurd))
    headers = await log_in(Role.ADMIN)
    listed = await client.get("/api/v1/orders", headers=headers)
    assert listed.status_code == 200
    exported = await client.get("/api/v1/orders/export.csv", headers=headers)
    assert "1" * 32 in exported.text
    for path in ("/", "/orders", "/api/v1/orders/review"):
        answer = await client.get(path, headers=headers)
        assert answer.status_code < 500, path
    for order in listed.json()["items"]:
        for path in ("", "/explanation"):
            one = await client.get(f"/api/v1/orders/{order['id']}{path}", headers=headers)
            assert one.status_code == 200, path
