"""Batches in: once in effect, acknowledged after the commit, poison out of the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiomqtt import Client

from cloud.stations.models import Station
from cloud.worker import Worker
from shared.contracts.envelope import compress, pack_events
from shared.contracts.events import (
    AnyEvent,
    ChargePointAdopted,
    ChargePointLost,
    ChargePointQuarantined,
    ConnectorStatusChanged,
    ProtectionActivated,
    StationStarted,
    TariffConfirmed,
)
from shared.contracts.topics import Lane, up
from shared.contracts.words import ConnectorStatus
from tests.component.cloud.conftest import NOW, TestStation

STARTED = StationStarted(occurred_at=NOW, version="1.2.3", clean=True, boot_id=uuid4())


def adopted(charge_point_no: str, connectors: int = 2) -> ChargePointAdopted:
    return ChargePointAdopted(
        occurred_at=NOW,
        charge_point_no=charge_point_no,
        connector_count=connectors,
        dialect="ykc16",
        rated_w=120_000,
    )


async def test_a_fact_is_stored_before_it_is_acknowledged(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    sent = await link.send(Lane.STATE, STARTED)
    await link.committed(sent)
    assert await database.fetchval("SELECT agent_version FROM stations_station") == "1.2.3"


async def test_a_batch_that_comes_again_has_no_second_effect_but_is_acknowledged(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    body = pack_events([adopted("55031412782305"), STARTED])
    sent = await link.send_body(Lane.STATE, body, 2)
    await link.committed(sent)
    version = await database.fetchval("SELECT registry_version FROM stations_station")
    # Whoever handled it again would write what it says again.
    await database.execute("UPDATE stations_station SET agent_version = 'newer'")
    link.acked.clear()
    await link.send_body(Lane.STATE, body, 2, seq=sent.seq)
    await link.committed(sent)
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == 1
    assert await database.fetchval("SELECT registry_version FROM stations_station") == version
    assert await database.fetchval("SELECT agent_version FROM stations_station") == "newer"
    assert await database.fetchval("SELECT count(*) FROM stations_connector") == 2


@pytest.mark.parametrize(
    "body", [b"no zstd", compress(b"no events"), pack_events([adopted("55", connectors=100_000)])]
)
async def test_a_batch_that_cannot_be_handled_is_parked_and_the_stream_goes_on(
    worker: Worker, link: TestStation, database: asyncpg.Connection, body: bytes
) -> None:
    poison = await link.send_body(Lane.STATE, body, 1)
    good = await link.send(Lane.STATE, STARTED)
    await link.committed(poison, good)
    row = await database.fetchrow("SELECT body, error FROM ingest_parked")
    assert row is not None
    assert row["body"] == body
    assert row["error"]
    assert await database.fetchval("SELECT agent_version FROM stations_station") == "1.2.3"
    assert await database.fetchval("SELECT code FROM alarms_alarm") == "batch_parked"


async def test_nobody_speaks_for_another_station_or_unasked(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    await link.send_body(Lane.STATE, pack_events([STARTED]), 1, says="S-OTHER")
    await link.client.publish(up("S-NOBODY", Lane.STATE), b"\x00", qos=1)
    await link.client.publish(up(link.station_no, Lane.STATE), b"\xff\xff", qos=1)
    # One worker reads in order: once this is acknowledged, the others were read.
    await link.committed(await link.send(Lane.STATE, STARTED))
    assert len(link.acked) == 1
    assert await database.fetchval("SELECT count(*) FROM ingest_inbox") == 1


async def test_what_a_station_says_of_its_connectors_is_kept_latest_first(
    worker: Worker, link: TestStation, station: Station, database: asyncpg.Connection
) -> None:
    number = "55031412782305"
    quarantined = ChargePointQuarantined(
        occurred_at=NOW, charge_point_no=number, address="10.0.0.9", firmware="V1.2"
    )
    later = ConnectorStatusChanged(
        occurred_at=NOW.replace(minute=5),
        charge_point_no=number,
        connector_no=2,
        status=ConnectorStatus.CHARGING,
        plugged_in=True,
    )
    earlier = ConnectorStatusChanged(
        occurred_at=NOW,
        charge_point_no=number,
        connector_no=2,
        status=ConnectorStatus.IDLE,
        plugged_in=False,
    )
    await link.committed(await link.send(Lane.STATE, quarantined))
    assert await database.fetchval("SELECT address FROM stations_quarantine") == "10.0.0.9"
    await link.committed(await link.send(Lane.STATE, adopted(number), later, earlier))
    assert await database.fetchval("SELECT count(*) FROM stations_quarantine") == 0
    assert await database.fetchval("SELECT firmware FROM stations_charge_point") == "V1.2"
    assert (
        await database.fetchval("SELECT status FROM stations_connector WHERE connector_no = 2")
        == "charging"
    )


async def test_a_garbage_status_ends_nothing(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    client: Client = link.client
    await client.publish(f"vw/1/{link.station_no}/status", b"\xc1\xc1", qos=1)
    await link.committed(await link.send(Lane.STATE, STARTED))


async def test_a_clock_that_was_far_ahead_freezes_nothing(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    number, version_ids = "55031412782305", (uuid4(), uuid4())

    def told(occurred_at: datetime, status: ConnectorStatus, version_id: UUID) -> list[AnyEvent]:
        return [
            ConnectorStatusChanged(
                occurred_at=occurred_at,
                charge_point_no=number,
                connector_no=1,
                status=status,
                plugged_in=False,
            ),
            TariffConfirmed(
                occurred_at=occurred_at,
                charge_point_no=number,
                tariff_version_id=version_id,
                model_no=1,
                content_hash="",
            ),
            ProtectionActivated(occurred_at=occurred_at, version=0, sha256=version_id.hex),
        ]

    now = datetime.now(UTC)
    ahead = told(now + timedelta(days=3650), ConnectorStatus.CHARGING, version_ids[0])
    lost = ChargePointLost(
        occurred_at=now + timedelta(days=3650), charge_point_no=number, reason="silent"
    )
    await link.committed(await link.send(Lane.STATE, adopted(number), *ahead, lost))
    right = told(datetime.now(UTC), ConnectorStatus.IDLE, version_ids[1])
    await link.committed(await link.send(Lane.STATE, *right))
    status = "SELECT status FROM stations_connector WHERE connector_no = 1"
    assert await database.fetchval(status) == "idle"
    held = "SELECT tariff_version_id FROM tariffs_holding"
    assert await database.fetchval(held) == version_ids[1]
    protects = "SELECT active_sha256 FROM protection_station"
    assert await database.fetchval(protects) == version_ids[1].hex
