"""A real PostgreSQL for the business slices; each test's transaction is rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlmodel import SQLModel

# Imported for their tables.
import cloud.alarms.models
import cloud.alarms.notify.models
import cloud.core.audit
import cloud.core.commands
import cloud.core.idempotency
import cloud.orders.models
import cloud.protection.models
import cloud.tariffs.models  # noqa: F401
from cloud.core.json import dumps_text
from ops.embedded import EmbeddedServers
from tests.component.cloud.slices.world import World, build_world


@pytest.fixture(scope="session")
def slices_url(servers: EmbeddedServers) -> str:
    """The URL of a database for tests that leave nothing behind."""
    return servers.create_database("slices")


@pytest.fixture
async def session(slices_url: str) -> AsyncIterator[AsyncSession]:
    """Yield a session whose work is undone after the test."""
    engine = create_async_engine(slices_url, poolclass=NullPool, json_serializer=dumps_text)
    async with engine.connect() as connection:
        outer = await connection.begin()
        await connection.run_sync(SQLModel.metadata.create_all)
        async with AsyncSession(connection, expire_on_commit=False) as opened:
            yield opened
        await outer.rollback()
    await engine.dispose()


@pytest.fixture
async def world(session: AsyncSession) -> World:
    """Return an operator, a station with a charge point, a tariff and a token."""
    return await build_world(session)
