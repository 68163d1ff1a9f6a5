"""Reading the latest values of connectors back from Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cloud.live.store import latest_key, live_key
from shared.contracts.words import ConnectorStatus
from shared.money import divide_half_up

_E4_PER_FEN = 100
_OF_CHARGING = frozenset({"power_w", "current_da", "remaining_min"})

Values = dict[str, Any]


async def read_values(redis: Redis, station_nos: Sequence[str]) -> dict[str, dict[str, Values]]:
    """Return the latest values per station and `CHARGE_POINT:CONNECTOR`; none without Redis.

    Those of the live lane and of telemetry are laid over each other, the newer on top, with the
    names of the live lane; `values_at_ms` says how old they are.
    """
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for station_no in station_nos:
                pipe.hgetall(latest_key(station_no))
                pipe.hgetall(live_key(station_no))
            answers: list[Any] = await pipe.execute()
    except (RedisError, OSError):
        return {station_no: {} for station_no in station_nos}
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return {no: _laid_over(*pair) for no, pair in zip(station_nos, pairs, strict=True)}


def while_it_charges(values: Values, status: ConnectorStatus) -> Values:
    """Return values without those that mean nothing unless the connector charges. Pure.

    The last sample of a charge may still say a power and minutes left, and nothing follows it.
    """
    if status is ConnectorStatus.CHARGING:
        return values
    return {name: value for name, value in values.items() if name not in _OF_CHARGING}


def _laid_over(*sources: dict[bytes, bytes]) -> dict[str, Values]:
    values: dict[str, Values] = {}
    for source in sources:
        for name, data in source.items():
            read = _as_live(orjson.loads(data))
            known = values.get(name.decode(), {"values_at_ms": 0})
            older, newer = sorted((known, read), key=lambda each: int(each["values_at_ms"]))
            values[name.decode()] = {**older, **newer}
    return values


def _as_live(read: Values) -> Values:
    """Say what telemetry says in the live lane's words too, so that newer replaces older."""
    if "amount_e4" in read:
        read["amount_fen"] = divide_half_up(read["amount_e4"], _E4_PER_FEN)
    if "power_w" not in read and "voltage_dv" in read and "current_da" in read:
        read["power_w"] = read["voltage_dv"] * read["current_da"] // 100
    read["values_at_ms"] = read.pop("at_ms")
    return read
