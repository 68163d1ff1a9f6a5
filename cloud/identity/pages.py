"""Logging in and out with a browser."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from cloud.core.db import SessionDep
from cloud.core.deps import ClockDep
from cloud.core.errors import BusinessError, TooManyError, UnauthorizedError, UnavailableError
from cloud.identity.logging_in import end_token, token_for
from cloud.web.forms import (
    FIELD,
    NONCE,
    SESSION,
    ForgedFormError,
    form_tokens,
    local_path,
    set_cookie,
)
from cloud.web.pages import Pages

router = APIRouter(include_in_schema=False)
_pages = Pages("cloud.identity")

_REFUSALS: tuple[type[BusinessError], ...] = (
    UnauthorizedError,
    TooManyError,
    UnavailableError,
    ForgedFormError,
)
Next = Annotated[str, Query(alias="next", max_length=500)]
Text = Annotated[str, Form(max_length=256)]
Token = Annotated[str, Form(alias=FIELD, max_length=256)]


@router.get("/login")
async def login_page(request: Request) -> Response:
    """Show the form."""
    return _pages.render(request, "identity/login.html", refusal="", username="")


@router.post("/login")
async def log_in_with_form(
    request: Request,
    session: SessionDep,
    clock: ClockDep,
    *,
    username: Text = "",
    password: Text = "",
    csrf_token: Token = "",
    next_path: Next = "/",
) -> Response:
    """Begin a session and go on to where somebody wanted to, or say what is wrong."""
    try:
        form_tokens(request).check(request, csrf_token)
        token = await token_for(
            request, session, username=username, password=password, now=clock.now()
        )
    except _REFUSALS as error:
        return _refused(request, error, username)
    response = RedirectResponse(local_path(next_path), HTTPStatus.SEE_OTHER)
    set_cookie(request, response, SESSION, token)
    # What forms carried before somebody logged in is worth nothing after it.
    response.delete_cookie(NONCE)
    return response


@router.post("/logout")
async def log_out(request: Request, session: SessionDep, csrf_token: Token = "") -> Response:
    """End the session, for whoever has its token. Raises ForgedFormError."""
    form_tokens(request).check(request, csrf_token)
    await end_token(request, session, request.cookies.get(SESSION, ""))
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(SESSION)
    response.delete_cookie(NONCE)
    return response


def _refused(request: Request, error: BusinessError, username: str) -> Response:
    response = _pages.render(
        request,
        "identity/login.html",
        status=error.status,
        refusal=f"login.{error.code}",
        username=username,
    )
    if "retry_after_s" in error.context:
        response.headers["Retry-After"] = str(error.context["retry_after_s"])
    return response
