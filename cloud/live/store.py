"""Latest values per connector in Redis; a cache of the present, rebuilt by the next message.

Keys: `vw:live:NO` (hash, from the live lane and state changes), `vw:latest:NO` (hash, from
telemetry), `vw:stream:NO` (a short ring of updates for SSE). A field is `CHARGE_POINT:CONNECTOR`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from msgspec import structs
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cloud.core.json import dumps
from cloud.ingest.batches import KnownStation
from cloud.telemetry.columns import Samples
from shared.contracts.live import LiveUpdate, decode_live
from shared.contracts.telemetry import COLUMNS, MISSING
from shared.contracts.words import ConnectorStatus, SampleKind
from shared.errors import MalformedContractError

logger = logging.getLogger(__name__)

RING = 256
_KEEP_S = 3_600
_UPDATES_S = 0.1
_LATEST_S = 0.5
"""Telemetry is as old as its window; who drains a week sends thousands of batches a second."""
_UPDATES_MAX = 5_000

_METER = COLUMNS[SampleKind.METER]


def live_key(station_no: str) -> str:
    """Return the hash of live values."""
    return f"vw:live:{station_no}"


def latest_key(station_no: str) -> str:
    """Return the hash of the last telemetry values."""
    return f"vw:latest:{station_no}"


def stream_key(station_no: str) -> str:
    """Return the ring of updates."""
    return f"vw:stream:{station_no}"


class LiveStore:
    """Collects what is new and writes it in one round trip for all stations.

    Updates go ten times a second, the values of telemetry twice.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._latest: dict[str, list[Samples]] = {}
        self._updates: deque[tuple[str, dict[str, bytes], bytes]] = deque(maxlen=_UPDATES_MAX)
        self._some_latest, self._some_updates = asyncio.Event(), asyncio.Event()
        self._away = False

    async def on_live(self, station: KnownStation, payload: bytes) -> None:
        """Take a message of the live lane. Raises MalformedContractError."""
        update = decode_live(payload)
        if update.station_no != station.station_no:
            raise MalformedContractError(
                f"live values of {update.station_no} on the topic of {station.station_no}"
            )
        self._take(update)

    def on_latest(self, station: KnownStation, parts: Sequence[Samples]) -> None:
        """Take the newest meter values of a telemetry batch."""
        for part in parts:
            if part.kind is SampleKind.METER:
                self._latest.setdefault(station.station_no, []).append(part)
                self._some_latest.set()

    def on_status(
        self,
        station_no: str,
        charge_point_no: str,
        connector_no: int,
        status: ConnectorStatus,
        at_ms: int,
    ) -> None:
        """Tell viewers at once that a connector does something else."""
        data = dumps(
            {
                "charge_point_no": charge_point_no,
                "connector_no": connector_no,
                "status": status,
                "at_ms": at_ms,
            }
        )
        whole = b'{"station_no":%b,"connectors":[%b]}' % (dumps(station_no), data)
        self._updates.append((station_no, {}, whole))
        self._some_updates.set()

    async def run(self) -> None:
        """Write until cancelled. Redis being away loses only what is not current any more."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._some_latest, self._write_latest, _LATEST_S))
            tasks.create_task(self._repeat(self._some_updates, self._write_updates, _UPDATES_S))

    async def _repeat(
        self, some: asyncio.Event, write: Callable[[], Awaitable[None]], every_s: float
    ) -> None:
        while True:
            await some.wait()
            some.clear()
            try:
                await write()
                self._away = False
            except (RedisError, OSError) as error:
                if not self._away:
                    logger.warning("redis is away, live values are not kept error=%s", error)
                self._away = True
            await asyncio.sleep(every_s)

    def _take(self, update: LiveUpdate) -> None:
        fields: dict[str, bytes] = {}
        for connector in update.connectors:
            values: dict[str, Any] = structs.asdict(connector)
            values["at_ms"] = update.at_ms - values.pop("age_ms")
            fields[f"{connector.charge_point_no}:{connector.connector_no}"] = dumps(values)
        whole = b'{"station_no":%b,"at_ms":%d,"whole":%b,"connectors":[%b]}' % (
            dumps(update.station_no),
            update.at_ms,
            dumps(update.whole),
            b",".join(fields.values()),
        )
        self._updates.append((update.station_no, fields, whole))
        self._some_updates.set()

    async def _write_latest(self) -> None:
        latest, self._latest = self._latest, {}
        async with self._redis.pipeline(transaction=False) as pipe:
            for station_no, parts in latest.items():
                pipe.hset(latest_key(station_no), mapping=dict[Any, Any](_newest_of(parts)))
                pipe.expire(latest_key(station_no), _KEEP_S)
            await pipe.execute()

    async def _write_updates(self) -> None:
        updates = list(self._updates)
        self._updates.clear()
        async with self._redis.pipeline(transaction=False) as pipe:
            for station_no, fields, whole in updates:
                if fields:
                    pipe.hset(live_key(station_no), mapping=dict[Any, Any](fields))
                    pipe.expire(live_key(station_no), _KEEP_S)
                pipe.xadd(stream_key(station_no), {"d": whole}, maxlen=RING, approximate=True)
                pipe.expire(stream_key(station_no), _KEEP_S)
            await pipe.execute()


def _newest_of(parts: list[Samples]) -> dict[str, bytes]:
    """Return the values of the newest sample of each connector; the last part is the newest."""
    fields: dict[str, bytes] = {}
    seen: set[tuple[str, int]] = set()
    for part in reversed(parts):
        if not seen.issuperset(part.connectors):
            fields = {**_newest(part), **fields}
            seen.update(part.connectors)
    return fields


def _newest(part: Samples) -> dict[str, bytes]:
    # Blocks are ordered by connector, then time: the newest is where the connector changes.
    index = part.keys[1]
    last = np.append(np.flatnonzero(index[1:] != index[:-1]), part.count - 1)
    fields: dict[str, bytes] = {}
    for place in last.tolist():
        charge_point_no, connector_no = part.connectors[int(index[place])]
        meter = zip(_METER, part.values[:, place].tolist(), strict=True)
        values = {name: value for name, value in meter if value != MISSING}
        values["at_ms"] = int(part.keys[0][place])
        fields[f"{charge_point_no}:{connector_no}"] = dumps(values)
    return fields
