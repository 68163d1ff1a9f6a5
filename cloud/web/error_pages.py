"""Errors as pages for people; programs go on getting problems as JSON."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cloud.core.errors import BusinessError, ForbiddenError, UnauthorizedError
from cloud.web.headers import harden

logger = logging.getLogger(__name__)

Render = Callable[..., HTMLResponse]


def install_error_pages(app: FastAPI, render: Render) -> None:
    """Put pages before the error handlers that are there, for browsers only."""
    kinds = (BusinessError, RequestValidationError, HTTPException, OverflowError, Exception)
    for kind in kinds:
        app.exception_handler(kind)(_page_or(app.exception_handlers[kind], render))


def _page_or(otherwise: Any, render: Render) -> Callable[[Request, Any], Any]:
    async def handler(request: Request, error: Exception) -> Response:
        # The other handler always runs: it is the one that logs bugs.
        answer = otherwise(request, error)
        response: Response = await answer if inspect.isawaitable(answer) else answer
        if wants_page(request):
            response = _page_for(request, error, response, render)
        # What answers a bug stands outside the middleware that hardens all other answers.
        harden(request, response)
        return response

    return handler


def wants_page(request: Request) -> bool:
    """Whether a person with a browser waits for this answer."""
    accepts = "text/html" in request.headers.get("Accept", "")
    return accepts and not request.url.path.startswith("/api/")


def _page_for(request: Request, error: Exception, problem: Response, render: Render) -> Response:
    if isinstance(error, UnauthorizedError):
        return _to_login(request)
    page = _page(request, error, problem.status_code, render)
    if "retry-after" in problem.headers:
        page.headers["Retry-After"] = problem.headers["retry-after"]
    return page


def _to_login(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = "/login" if here == "/" else f"/login?{urlencode({'next': here})}"
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


def _page(request: Request, error: Exception, status: int, render: Render) -> HTMLResponse:
    context = error.context if isinstance(error, BusinessError) else {}
    missing = context.get("permission", "") if isinstance(error, ForbiddenError) else ""
    known = status in {403, 404, 405, 409, 412, 422, 429, 503}
    return render(
        request,
        "web/error.html",
        status=status,
        code=status,
        kind=f"error.{status}" if known else "error.other",
        refusal=error.code if isinstance(error, BusinessError) else "",
        permission=missing,
        roles=context.get("roles", []),
        role=context.get("role", ""),
        request_id=getattr(request.state, "request_id", ""),
    )
