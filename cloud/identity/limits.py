"""Wrong log-ins are counted in Redis; without Redis nobody logs in."""

from __future__ import annotations

import hashlib

from redis.asyncio import Redis
from redis.exceptions import RedisError

from cloud.core.errors import TooManyError, UnavailableError

_WINDOW_S = 60


class LoginLimit:
    """At most so many wrong log-ins a minute for one name and for one address."""

    def __init__(self, redis: Redis, *, per_minute: int) -> None:
        self._redis = redis
        self._per_minute = per_minute

    async def take(self, username: str, address: str) -> None:
        """Count a try as wrong before it is looked at, so that many at once are no way around.

        Raises:
            TooManyError: Too many wrong ones lately.
            UnavailableError: Redis does not answer: better nobody than anybody.
        """
        counts = await self._count(username, address, 1)
        if max(counts) > self._per_minute:
            raise TooManyError("too many wrong log-ins", retry_after_s=_WINDOW_S)

    async def give_back(self, username: str, address: str) -> None:
        """Take back the count of a try that was right. Raises UnavailableError."""
        await self._count(username, address, -1)

    async def _count(self, username: str, address: str, step: int) -> list[int]:
        keys = _keys(username, address)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                for key in keys:
                    pipe.incrby(key, step)
                for key in keys:
                    # Only what has no end yet: the window does not grow with each try.
                    pipe.expire(key, _WINDOW_S, nx=True)
                return [int(count) for count in (await pipe.execute())[: len(keys)]]
        except (RedisError, OSError) as error:
            raise UnavailableError("log-in is not possible now", retry_after_s=5) from error


def _keys(username: str, address: str) -> list[str]:
    # The name is hashed so that no length or character of it reaches a key.
    name = hashlib.sha256(username.encode()).hexdigest()[:32]
    return [f"vw:login:name:{name}:{address}", f"vw:login:address:{address}"]
