"""Lists by cursor: stable while rows are added, and as quick on page 1,000 as on page 1."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud.core.errors import BusinessError

T = TypeVar("T")


class CursorError(BusinessError):
    """A cursor that this list did not give."""

    status = 400
    code = "bad_cursor"


class PageRequest(BaseModel):
    """Which part of a list is wanted; without a cursor the first."""

    limit: int = 50
    cursor: str = ""
    state: Any = None
    """The request's, to note where the list goes on."""


class Page(BaseModel, Generic[T]):
    """A part of a list. `next_cursor` is empty at the end."""

    items: list[T]
    next_cursor: str = ""


def _page(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500, description="Items at most")] = 50,
    cursor: Annotated[str, Query(max_length=200, description="`next_cursor` of before")] = "",
) -> PageRequest:
    return PageRequest(limit=limit, cursor=cursor, state=request.state)


PageDep = Annotated[PageRequest, Depends(_page)]


async def newest_first(
    session: AsyncSession, statement: SelectOfScalar[T], page: PageRequest, *, id_column: Any
) -> tuple[list[T], str]:
    """Return a page ordered by falling UUIDv7, thus newest first, and the next cursor.

    Args:
        session: An open session.
        statement: What to list, without order and limit.
        page: Which part.
        id_column: The UUIDv7 column that orders the list, e.g. `col(Order.id)`.

    Raises:
        CursorError: The cursor is not one of this list.
    """
    if page.cursor:
        statement = statement.where(id_column < _decode(page.cursor))
    rows = (await session.scalars(statement.order_by(id_column.desc()).limit(page.limit + 1))).all()
    if len(rows) <= page.limit:
        return list(rows), ""
    last = rows[page.limit - 1]
    cursor = _encode(getattr(last, id_column.key))
    if page.state is not None:
        page.state.next_cursor = cursor
    return list(rows[: page.limit]), cursor


def link_next(request: Request) -> str:
    """Return the `Link` header of an answer that is a part of a list, "" at its end."""
    cursor: str = getattr(request.state, "next_cursor", "")
    if not cursor:
        return ""
    url = request.url.include_query_params(cursor=cursor)
    return f'<{url.path}?{url.query}>; rel="next"'


def _encode(key: UUID) -> str:
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def _decode(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(cursor + "=="))
    except (ValueError, binascii.Error) as error:
        raise CursorError("this cursor is not one of this list") from error
