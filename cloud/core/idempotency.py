"""`Idempotency-Key`: a call that moves money or power is done once, however often it is sent.

The key, a hash of the body and the answer are stored in the transaction of the effect itself, so
that neither can be there without the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import Field, SQLModel, col, delete, update

from cloud.core.columns import Json, UtcDateTime
from cloud.core.errors import BusinessError
from cloud.core.security import Staff

KEPT = timedelta(hours=24)
"""How long a key is remembered."""

Answer = TypeVar("Answer", bound=BaseModel)


class KeyReusedError(BusinessError):
    """This Idempotency-Key was used for another body."""

    status = 422
    code = "idempotency_key_reused"


class IdempotencyRow(SQLModel, table=True):
    """One call that was done, and what it answered."""

    __tablename__ = "core_idempotency"

    operator_id: UUID = Field(primary_key=True)
    path: str = Field(primary_key=True)
    key: str = Field(primary_key=True, max_length=200)
    body_hash: str
    answer: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    at: datetime = Field(sa_type=UtcDateTime)


class Idempotency:
    """The key of one call."""

    def __init__(self, *, key: str, path: str, body_hash: str) -> None:
        self._key = key
        self._path = path
        self._body_hash = body_hash

    async def once(
        self,
        session: AsyncSession,
        staff: Staff,
        answer_type: type[Answer],
        act: Callable[[], Awaitable[Answer]],
        *,
        now: datetime,
    ) -> Answer:
        """Do `act` and keep its answer, or return the answer of the first time.

        A second call that comes while the first still runs waits for its commit.

        Raises:
            KeyReusedError: The first call had another body.
        """
        identity = {"operator_id": staff.operator_id, "path": self._path, "key": self._key}
        mine = [getattr(IdempotencyRow, name) == value for name, value in identity.items()]
        await session.execute(delete(IdempotencyRow).where(*mine, _at < now - KEPT))
        claimed = await session.execute(
            insert(IdempotencyRow)
            .values(**identity, body_hash=self._body_hash, answer={}, at=now)
            .on_conflict_do_nothing()
            .returning(_at)
        )
        if claimed.one_or_none() is None:
            first = await session.get_one(IdempotencyRow, tuple(identity.values()))
            if first.body_hash != self._body_hash:
                raise KeyReusedError("this Idempotency-Key was used for another request")
            return answer_type.model_validate(first.answer)
        answer = await act()
        await session.execute(
            update(IdempotencyRow).where(*mine).values(answer=answer.model_dump(mode="json"))
        )
        return answer


_at = col(IdempotencyRow.at)


async def _idempotency(
    request: Request,
    idempotency_key: Annotated[
        str, Header(min_length=1, max_length=200, description="Any text of your own, per wish")
    ],
) -> Idempotency:
    body_hash = hashlib.sha256(await request.body()).hexdigest()
    return Idempotency(key=idempotency_key, path=request.url.path, body_hash=body_hash)


IdempotencyDep = Annotated[Idempotency, Depends(_idempotency)]
"""Requires the header; used by every POST that moves money or power."""
