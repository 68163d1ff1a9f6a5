"""`vw hq parked` as an operator types it: looking at what was set aside, and trying it again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
from typer.testing import CliRunner

from cloud.cli import app
from cloud.settings import Settings
from cloud.stations.models import Station
from shared.contracts.envelope import pack_events
from shared.contracts.events import StationStarted
from shared.contracts.topics import Lane
from tests.component.cloud.conftest import NOW

STARTED = StationStarted(occurred_at=NOW, version="1.2.3", clean=True, boot_id=uuid4())


async def run(config: Path, *arguments: str) -> tuple[int, str]:
    # Each command has an event loop of its own.
    command = ["parked", *arguments, "--config", str(config)]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    return result.exit_code, result.stdout


async def set_aside(
    database: asyncpg.Connection, station: Station, lane: Lane, body: bytes
) -> UUID:
    parked_id = uuid4()
    await database.execute(
        "INSERT INTO ingest_parked (id, operator_id, station_id, stream_id, seq, content,"
        " lane, body, error, sealed_ms, received_at)"
        " VALUES ($1, $2, $3, 1, 1, 0, $4, $5, 'a bug', 0, $6)",
        *(parked_id, station.operator_id, station.id, lane.value, body, NOW),
    )
    return parked_id


async def test_a_batch_is_listed_shown_handled_and_forgotten(
    hq_config: Path, settings: Settings, station: Station, database: asyncpg.Connection
) -> None:
    parked_id = str(await set_aside(database, station, Lane.STATE, pack_events([STARTED])))
    code, out = await run(hq_config, "list")
    row = json.loads(out)
    assert (code, row["id"], row["lane"], row["error"]) == (0, parked_id, "state", "a bug")
    code, out = await run(hq_config, "show", parked_id)
    assert (code, json.loads(out)[0]["version"]) == (0, "1.2.3")
    assert await run(hq_config, "retry", parked_id) == (0, "")
    assert await database.fetchval("SELECT agent_version FROM stations_station") == "1.2.3"
    assert await run(hq_config, "retry", parked_id) == (3, "")


async def test_what_holds_no_facts_stays(
    hq_config: Path, station: Station, database: asyncpg.Connection
) -> None:
    for lane, body in ((Lane.TELEMETRY, b""), (Lane.STATE, b"no facts")):
        parked_id = str(await set_aside(database, station, lane, body))
        assert await run(hq_config, "retry", parked_id) == (6, "")
        await database.execute("UPDATE ingest_parked SET seq = seq + 1")
    assert await database.fetchval("SELECT count(*) FROM ingest_parked") == 2
