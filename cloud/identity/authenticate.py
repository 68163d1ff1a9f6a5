"""Who is calling: a bearer token, an API key as bearer, or `X-API-Key`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cloud.core.errors import UnauthorizedError
from cloud.core.security import Staff
from cloud.identity import service
from cloud.identity.tokens import Tokens
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
            raise UnauthorizedError("log in first")
        claims = tokens.read(value)
        async with sessions() as session:
            return await service.staff_of_token(session, claims)

    return authenticate
