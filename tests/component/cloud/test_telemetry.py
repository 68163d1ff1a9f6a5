"""Telemetry: every value as it was sent, once, in the partition of its day."""

from __future__ import annotations

import time
from uuid import uuid4

import asyncpg

from cloud.worker import Worker
from shared.contracts.envelope import compress
from shared.contracts.telemetry import COLUMNS, MISSING, Sample
from shared.contracts.topics import Lane
from shared.contracts.words import SampleKind
from tests.component.cloud.conftest import TestStation, meter

NUMBER = "55031412782305"
NOW_MS = time.time_ns() // 1_000_000


async def test_all_kinds_come_out_as_they_went_in(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    transaction_id = uuid4()
    samples = [
        Sample(kind, NUMBER, connector, transaction, NOW_MS + number * 1000, values)
        for kind in SampleKind
        for connector in (1, 2)
        for number, (transaction, values) in enumerate(
            [
                (transaction_id, tuple(range(100, 100 + len(COLUMNS[kind])))),
                (None, (MISSING, *range(1, len(COLUMNS[kind])))),
                (None, tuple([MISSING] * len(COLUMNS[kind]))),
                (transaction_id, tuple([0] * len(COLUMNS[kind]))),
            ]
        )
    ]
    await link.committed(await link.send_samples(list(samples)))
    for code, kind in enumerate(SampleKind):
        names = COLUMNS[kind]
        rows = await database.fetch(
            f"SELECT charge_point_no, connector_no, transaction_id, ts_ms, {', '.join(names)}"
            " FROM telemetry_sample s JOIN telemetry_charge_point p ON p.id = s.charge_point_id"
            " WHERE kind = $1 ORDER BY connector_no, ts_ms",
            code,
        )
        read = [
            Sample(
                kind,
                row[0],
                row[1],
                row[2],
                row[3],
                tuple(MISSING if row[name] is None else row[name] for name in names),
            )
            for row in rows
        ]
        assert read == [each for each in samples if each.kind is kind]


async def test_a_batch_or_a_sample_that_comes_again_is_stored_once(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    samples = [meter(NUMBER, NOW_MS + 1000 * n, 100 * n) for n in range(50)]
    first = await link.send_samples(list(samples))
    await link.committed(first)
    overlapping = samples[25:] + [meter(NUMBER, NOW_MS + 1000 * n, 100 * n) for n in range(50, 75)]
    await link.committed(await link.send_samples(overlapping))
    assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 75
    assert await database.fetchval("SELECT count(DISTINCT energy_dwh) FROM telemetry_sample") == 75


async def test_days_have_partitions_and_absurd_times_stand_apart(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    day = 86_400_000
    samples = [meter(NUMBER, NOW_MS - age * day, 1) for age in (0, 3, 30, 5_000)]
    await link.committed(await link.send_samples(samples))
    places = await database.fetch("SELECT tableoid::regclass::text t FROM telemetry_sample")
    names = [row["t"] for row in places]
    assert len(set(names)) == 4
    assert names.count("telemetry_sample_default") == 1


async def test_values_that_cannot_be_are_left_out_and_the_rest_stays(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    values = (4000, 1 << 40, 77, 5, 1 << 20, 41, 33, 12, 40, 3, 0)
    sample = Sample(SampleKind.METER, NUMBER, 1, None, NOW_MS, values)
    await link.committed(await link.send_samples([sample]))
    row = await database.fetchrow(
        "SELECT voltage_dv, current_da, energy_dwh, soc_percent FROM telemetry_sample"
    )
    assert row is not None
    assert tuple(row) == (4000, None, 77, None)


async def test_an_empty_batch_is_fine_and_a_broken_one_is_parked(
    worker: Worker, link: TestStation, database: asyncpg.Connection
) -> None:
    empty = await link.send_samples([])
    broken = await link.send_body(Lane.TELEMETRY, compress(b"\x93\x01"), 1)
    good = await link.send_samples([meter(NUMBER, NOW_MS, 1)])
    await link.committed(empty, broken, good)
    assert await database.fetchval("SELECT count(*) FROM ingest_parked") == 1
    assert await database.fetchval("SELECT count(*) FROM telemetry_sample") == 1
