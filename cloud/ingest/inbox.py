"""The inbox: claiming a batch, and parking one that cannot be handled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cloud.ingest.batches import Batch
from shared.clock import to_ms
from shared.ids import uuid7

_CLAIM = (
    "INSERT INTO ingest_inbox (stream_id, seq, content, received_ms)"
    " SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[])"
    " ON CONFLICT DO NOTHING RETURNING stream_id, seq, content"
)
_PARK = (
    "INSERT INTO ingest_parked (id, operator_id, station_id, stream_id, seq, content, lane,"
    " body, error, sealed_ms, received_at)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    " ON CONFLICT DO NOTHING"
)

Key = tuple[int, int, int]
Connection = Any
"""A raw asyncpg connection, of a pool or under an SQLAlchemy session."""


def key_of(batch: Batch) -> Key:
    """Return what names a batch in the inbox."""
    return batch.stream_id, batch.uplink.seq, batch.content


async def claim(connection: Connection, batches: Sequence[Batch]) -> set[Key]:
    """Write inbox rows and return those that are new; the others are committed already.

    Waits where another worker holds the same batch in an open transaction. Sorted, so that two
    workers with the same batches cannot wait for each other.
    """
    rows = sorted({(*key_of(batch), to_ms(batch.received_at)) for batch in batches})
    fresh = await connection.fetch(_CLAIM, *zip(*rows, strict=True))
    return {(row[0], row[1], row[2]) for row in fresh}


async def park(
    connection: Connection, batch: Batch, error: str, *, body: bytes | None = None
) -> None:
    """Keep a batch that cannot be handled, or `body`, the part of it that cannot, and why."""
    uplink = batch.uplink
    await connection.execute(
        _PARK,
        uuid7(to_ms(batch.received_at)),
        batch.station.operator_id,
        batch.station.station_id,
        *key_of(batch),
        uplink.lane.value,
        uplink.body if body is None else body,
        error.replace("\x00", "")[:2000],
        uplink.sealed_at_ms,
        batch.received_at,
    )
