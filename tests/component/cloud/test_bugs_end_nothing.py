"""A worker outlives what should never happen: it takes in the facts of every station."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from cloud.core.commands import enqueue_command
from cloud.core.db import Sessions
from cloud.settings import Settings
from cloud.stations.models import Station
from cloud.worker import Job, Worker, open_worker
from shared.clock import SystemClock
from shared.contracts.commands import ReportState
from tests.component.cloud.conftest import TestStation, until


async def test_a_job_that_fails_is_told_and_done_again(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    again = asyncio.Event()
    calls = []

    async def fail() -> None:
        calls.append(1)
        if len(calls) > 1:
            again.set()
        raise KeyError("a bug")

    async with open_worker(settings) as worker:
        worker.jobs = (Job("bad", 0.01, fail),)
        task = asyncio.create_task(worker.run())
        waiting = asyncio.create_task(again.wait())
        await asyncio.wait({task, waiting}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert again.is_set()
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})
    told = [each for each in caplog.records if each.getMessage() == "job failed job=bad"]
    assert told[0].exc_info is not None
    assert told[0].levelno == logging.ERROR


async def test_a_command_that_nobody_can_read_fails_and_the_next_is_sent(
    worker: Worker,
    link: TestStation,
    station: Station,
    sessions: Sessions,
    database: asyncpg.Connection,
) -> None:
    now = SystemClock().now()
    async with sessions() as session, session.begin():
        bad = await enqueue_command(session, station.id, ReportState(), expires_at=None, now=now)
        good = await enqueue_command(session, station.id, ReportState(), expires_at=None, now=now)
        connection = await session.connection()
        await connection.exec_driver_sql(
            "UPDATE core_command SET command = '\\x93' WHERE id = $1", (bad,)
        )
    async with asyncio.timeout(20):
        command_id, _ = await link.commands.get()
    assert command_id == good

    async def failed() -> bool:
        outcome = await database.fetchval("SELECT outcome FROM core_command WHERE id = $1", bad)
        return bool(outcome == "failed")

    await until(failed)
