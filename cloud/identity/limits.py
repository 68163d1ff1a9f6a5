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

    async def check(self, username: str, address: str) -> None:
        """Let a try through.

        Raises:
            TooManyError: Too many wrong ones lately.
            UnavailableError: Redis does not answer: better nobody than anybody.
        """
        try:
            counts = await self._redis.mget(_keys(username, address))
            if any(int(count or 0) >= self._per_minute for count in counts):
                left_s = max([await self._redis.ttl(key) for key in _keys(username, address)])
                raise TooManyError("too many wrong log-ins", retry_after_s=max(left_s, 1))
        except (RedisError, OSError) as error:
            raise UnavailableError("log-in is not possible now", retry_after_s=5) from error

    async def count_wrong(self, username: str, address: str) -> None:
        """Note a wrong one. Raises UnavailableError."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key in _keys(username, address):
                    pipe.incr(key)
                    pipe.expire(key, _WINDOW_S, nx=True)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise UnavailableError("log-in is not possible now", retry_after_s=5) from error


def _keys(username: str, address: str) -> list[str]:
    # The name is hashed so that no length or character of it reaches a key.
    name = hashlib.sha256(username.encode()).hexdigest()[:32]
    return [f"vw:login:name:{name}:{address}", f"vw:login:address:{address}"]
