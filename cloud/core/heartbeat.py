"""A sign in Redis that some worker has the broker: for other workers, and for `/readyz`."""

from __future__ import annotations

from redis.asyncio import Redis

_KEY = "vw:hq:broker"
KEEP_S = 5
"""How long the sign stands; workers renew it every second."""


async def beat(redis: Redis) -> None:
    """Say that this worker is connected to the broker. Raises RedisError."""
    await redis.set(_KEY, 1, ex=KEEP_S)


async def anybody_connected(redis: Redis) -> bool:
    """Whether a worker was connected to the broker within the last seconds. Raises RedisError."""
    return bool(await redis.exists(_KEY))
