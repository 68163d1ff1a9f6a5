"""What is said of a server that does not answer, without its password."""

from __future__ import annotations

import pytest

from cloud.core.connections import UnreachableError, check_redis, open_redis, read_version
from cloud.core.db import create_engine


async def test_a_password_of_redis_is_not_told() -> None:
    url = "redis://hq:secret@127.0.0.1:1/0"
    redis = open_redis(url)
    with pytest.raises(UnreachableError, match=r"redis://hq:\*\*\*@127\.0\.0\.1:1/0") as refused:
        await check_redis(redis, url)
    await redis.aclose()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("log_in", ["hq:secret@127.0.0.1:1/hq", "127.0.0.1:1/hq?password=secret"])
async def test_a_password_of_the_database_is_not_told(log_in: str) -> None:
    engine = create_engine(f"postgresql+asyncpg://{log_in}")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1/hq") as refused:
        await read_version(engine)
    await engine.dispose()
    assert "secret" not in str(refused.value)
