"""Who is calling: a bearer token, an API key as bearer, `X-API-Key`, or a page's session cookie.

A browser sends its cookie with whatever any page asks for, so alone it lets nobody but read: what
changes something also needs `X-CSRF-Token`, or the form's field of that meaning, which only our
own pages know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from cloud.core.errors import UnauthorizedError
from cloud.core.security import Staff
from cloud.identity import service
from cloud.identity.tokens import Tokens
from cloud.web.forms import FIELD, HEADER, SAFE_METHODS, SESSION, form_tokens
from shared.clock import Clock

_FORM = "application/x-www-form-urlencoded"


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
            value = await _session_token(request)
        claims = tokens.read(value)
        request.state.session_id = claims.session_id
        async with sessions() as session:
            return await service.staff_of_token(session, claims)

    return authenticate


async def _session_token(request: Request) -> str:
    token = request.cookies.get(SESSION, "")
    if not token:
        raise UnauthorizedError("log in first")
    if request.method not in SAFE_METHODS:
        given = request.headers.get(HEADER, "") or await _of_form(request)
        form_tokens(request).check(request, given)
    return token


async def _of_form(request: Request) -> str:
    if not request.headers.get("Content-Type", "").startswith(_FORM):
        return ""
    return str((await request.form(max_files=0)).get(FIELD, ""))
