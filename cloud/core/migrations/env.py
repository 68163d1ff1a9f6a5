"""Run by Alembic itself: connects and applies or compares versions."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, DateTime, LargeBinary, String, TypeDecorator
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.sql.sqltypes import AutoString

from cloud.core.columns import UtcDateTime

_PARTITIONS = "telemetry_sample_"


def _include(name: str | None, kind: str, _parents: Any) -> bool:
    # Partitions come and go by a job; they are not part of the model.
    return not (kind == "table" and name is not None and name.startswith(_PARTITIONS))


def _render(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    # Version files must not depend on our classes, which change.
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False


def _same_type(_context: Any, _inspected: Any, _column: Any, inspected: Any, wanted: Any) -> Any:
    if isinstance(wanted, TypeDecorator) and isinstance(wanted.impl, DateTime | String):
        return not isinstance(inspected, type(wanted.impl))
    return None if not isinstance(wanted, LargeBinary) else False


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["tables"],
        include_name=_include,
        render_item=_render,
        compare_type=_same_type,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _connect() -> None:
    engine = create_async_engine(context.config.attributes["url"])
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
            await connection.commit()
    finally:
        await engine.dispose()


asyncio.run(_connect())
