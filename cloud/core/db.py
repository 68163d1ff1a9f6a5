"""One request is one transaction; only the boundary commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from cloud.core.after_commit import after_commit
from cloud.core.audit import record_call
from cloud.core.commands import TIME_SCALE
from cloud.core.json import dumps_text

Sessions = async_sessionmaker[AsyncSession]


def create_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """Return an engine for `postgresql+asyncpg://…`; it connects when first used."""
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        # Errors are logged, and among the values are passwords and the secret that signs tokens.
        hide_parameters=True,
        json_serializer=dumps_text,
        json_deserializer=orjson.loads,
    )


def create_sessions(engine: AsyncEngine, *, time_scale: float = 1.0) -> Sessions:
    """Return what opens sessions. Objects stay readable after the commit.

    `time_scale` is how much faster than real the wall clock runs, above 1 in a demo only.
    """
    return async_sessionmaker(engine, expire_on_commit=False, info={TIME_SCALE: time_scale})


async def _transaction(request: Request) -> AsyncIterator[AsyncSession]:
    sessions: Sessions = request.app.state.sessions
    async with sessions() as session:
        async with session.begin():
            yield session
            record_call(session, request)
        await after_commit(session).run()


# scope="function" commits *before* the answer is sent. FastAPI's default runs
# this after it, and a failed commit would then follow a "200 OK".
SessionDep = Annotated[AsyncSession, Depends(_transaction, scope="function")]
"""An open transaction: committed when the route returns, rolled back when it raises."""
