"""What no honest station sends: a worker outlives it and serves the others."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cloud.worker import Worker
from shared.contracts.events import StationStarted
from shared.contracts.live import LiveConnector, LiveUpdate, encode_live
from shared.contracts.topics import Lane, up
from shared.contracts.words import ConnectorStatus
from tests.component.cloud.conftest import NOW, TestStation

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
