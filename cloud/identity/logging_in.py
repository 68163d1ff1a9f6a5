"""Logging in and out, the same way for programs and for pages: limited, and on record."""

from __future__ import annotations

import logging
from datetime import datetime

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from cloud.core.audit import add_entry
from cloud.core.errors import TooManyError, UnauthorizedError
from cloud.core.security import Staff
from cloud.identity import service
from cloud.identity.limits import LoginLimit
from cloud.identity.tokens import Claims, Tokens

logger = logging.getLogger(__name__)

_NAME_SHOWN = 64


async def token_for(
    request: Request, session: AsyncSession, *, username: str, password: str, now: datetime
) -> str:
    """Return a token for whoever this is.

    Raises:
        UnauthorizedError: Name or password is wrong, or the person is locked.
        TooManyError: Too many wrong ones lately.
        UnavailableError: Redis, which counts them, does not answer.
    """
    limit: LoginLimit = request.app.state.login_limit
    tokens: Tokens = request.app.state.tokens
    address = request.client.host if request.client else ""
    try:
        await limit.take(username, address)
        user = await service.log_in(session, username=username, password=password, now=now)
    except (UnauthorizedError, TooManyError) as error:
        # Quoted: a name from outside must not look like a line of the log.
        name = username[:_NAME_SHOWN]
        logger.warning("log-in refused name=%r address=%s reason=%s", name, address, error.code)
        raise
    await limit.give_back(username, address)
    add_entry(session, request, Staff(user.id, user.operator_id, user.username, user.role))
    session_id = await service.begin_session(session, user, now=now, ends_at=now + tokens.lifetime)
    return tokens.issue(Claims(user.id, session_id, user.token_epoch), now)


async def end_token(request: Request, session: AsyncSession, token: str) -> None:
    """End the log-in of a token; one that holds no more has none.

    It is a row of the database that ends, so that it holds in every process, without Redis too.
    """
    tokens: Tokens = request.app.state.tokens
    try:
        claims = tokens.read(token)
        staff = await service.staff_of_token(session, claims)
    except UnauthorizedError:
        return
    await service.end_session(session, claims.session_id)
    add_entry(session, request, staff)
