"""Who is calling: a bearer token, an API key as bearer, `X-API-Key`, or a page's session cookie.

A browser sends its cookie with whatever any page asks for, so alone it lets nobody but read: what
changes something also needs `X-CSRF-Token`, which only our own pages know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cloud.core.errors import UnauthorizedError
from cloud.core.security import Staff
from cloud.identity import service
from cloud.identity.tokens import Tokens
from cloud.web.forms import HEADER, SAFE_METHODS, SESSION, form_tokens
from shared.clock import Clock


def authenticator(
    sessions: async_sessionmaker[AsyncSession], tokens: Tokens, clock: Clock
) -> Callable[[Request], Awaitable[Staff]]:
    """Return what routes ask who is calling. People are looked up each time: a lock holds at
    once."""

    async def authenticate(request: Request) -> Staff:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        key = request.headers.get("X-API-Key", "")
        if scheme.lower() == "bearer" and value.startswith(service.KEY_PREFIX):
            key = value
        if key:
            async with sessions() as session:
                return await service.staff_of_key(session, key, clock.now())
        if scheme.lower() != "bearer" or not value:
            value = _session_token(request)
        claims = tokens.read(value)
        async with sessions() as session:
            return await service.staff_of_token(session, claims)

    return authenticate


def _session_token(request: Request) -> str:
    token = request.cookies.get(SESSION, "")
    if not token:
        raise UnauthorizedError("log in first")
    if request.method not in SAFE_METHODS:
        form_tokens(request).check(request, request.headers.get(HEADER, ""))
    return token
