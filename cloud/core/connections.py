"""Opening what a process of HQ stands on, and saying plainly what does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from cloud.core.db import Sessions, create_engine, create_sessions
from cloud.core.migrations import head
from shared.errors import VoltwardenError
from shared.urls import hide_password


class UnreachableError(VoltwardenError):
    """A server that HQ needs does not answer; the message says which and how to get one."""


@dataclass(frozen=True, slots=True)
class Connections:
    """Open connections; whoever opened them closes them."""

    engine: AsyncEngine
    sessions: Sessions
    redis: Redis
    stream_redis: Redis


def open_redis(url: str, *, timeout_s: float = 2.0) -> Redis:
    """Return a client that gives up quickly: what waits for a cache has lost already."""
    return Redis.from_url(
        url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )


@asynccontextmanager
async def open_connections(
    database_url: str, redis_url: str, *, pool_size: int, time_scale: float
) -> AsyncIterator[Connections]:
    """Open and, at the end, close everything. Nothing is contacted yet."""
    engine = create_engine(database_url, pool_size=pool_size)
    redis = open_redis(redis_url)
    # Blocking reads of streams last up to 15 s.
    stream_redis = open_redis(redis_url, timeout_s=30.0)
    try:
        sessions = create_sessions(engine, time_scale=time_scale)
        yield Connections(engine, sessions, redis, stream_redis)
    finally:
        await redis.aclose()
        await stream_redis.aclose()
        await engine.dispose()


async def read_version(engine: AsyncEngine) -> str | None:
    """Return the version of the database, None for an empty one. Raises UnreachableError."""
    try:
        async with asyncio.timeout(5.0), engine.connect() as connection:
            there = await connection.scalar(text("SELECT to_regclass('alembic_version')"))
            if not there:
                return None
            version: str = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            return version
    except (OSError, SQLAlchemyError, asyncpg.PostgresError, TimeoutError) as error:
        shown = hide_password(engine.url.render_as_string())
        raise UnreachableError(
            f"the database at {shown} does not answer ({error!r}); "
            "start it, or `vw embedded up` for one of our own"
        ) from error


async def check_database(engine: AsyncEngine) -> None:
    """Check that the database answers and is of our version. Raises UnreachableError."""
    version = await read_version(engine)
    if version != head():
        raise UnreachableError(
            f"the database is at version {version}, this program needs {head()}; "
            "run `vw hq migrate`"
        )


async def check_redis(redis: Redis, url: str) -> None:
    """Check that Redis answers. Raises UnreachableError."""
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        raise UnreachableError(
            f"Redis at {hide_password(url)} does not answer ({error}); "
            "start it, or `vw embedded up` for one of our own"
        ) from error
