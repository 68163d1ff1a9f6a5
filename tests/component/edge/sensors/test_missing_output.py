"""An output that no document names, asked for again and again."""

from __future__ import annotations

import asyncio

import pytest

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.field import FieldBus
from shared.clock import SystemClock
from shared.contracts.protection import Protection


async def test_an_output_that_is_not_there_is_logged_once_per_document(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = FieldBus([], SystemClock(), lambda _report: None)
    outcomes: asyncio.Queue[bool] = asyncio.Queue()

    def done(answered: bool, _at: Moment) -> None:
        outcomes.put_nowait(answered)

    for _ in range(2):
        bus.configure(Protection())
        for _ in range(3):
            bus.write("siren", True, done)
            assert await outcomes.get() is False

    logged = [record.getMessage() for record in caplog.records]
    assert logged == ["no such output output=siren"] * 2
