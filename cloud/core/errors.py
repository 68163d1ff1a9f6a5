"""Refusals, and every error as RFC 9457 `application/problem+json`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import asyncpg
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cloud.core.json import dumps
from cloud.core.transient import is_refused_value, is_transient
from shared.errors import VoltwardenError

logger = logging.getLogger(__name__)

_RETRY_AFTER_S = 5
MEDIA_TYPE = "application/problem+json"


class BusinessError(VoltwardenError):
    """An expected refusal, shown to the caller as it is.

    422 is for malformed requests; use 404 for missing, 409 for "not in this state", 403 for
    "not you", 402 for "not enough money". `context` is added to the answer.
    """

    status: ClassVar[int] = 409
    code: ClassVar[str] = "conflict"

    def __init__(self, message: str, **context: Any) -> None:
        super().__init__(message)
        self.context = context


class NotFoundError(BusinessError):
    """No such thing, or not of this operator."""

    status = 404
    code = "not_found"


class ForbiddenError(BusinessError):
    """Known, but not allowed."""

    status = 403
    code = "forbidden"


class UnauthorizedError(BusinessError):
    """Not known: no, wrong or expired credentials."""

    status = 401
    code = "unauthorized"


class TooManyError(BusinessError):
    """Slow down; `retry_after_s` in the context becomes the header."""

    status = 429
    code = "too_many"


class UnavailableError(BusinessError):
    """Something that this needs does not answer; nothing was changed."""

    status = 503
    code = "unavailable"


class Problem(BaseModel):
    """RFC 9457. `code` is stable; `detail` is for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str = ""


def error_responses(*errors: type[BusinessError]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may refuse with these errors."""
    return {
        error.status: {"model": Problem, "description": (error.__doc__ or "").split("\n")[0]}
        for error in errors
    }


def problem(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    context: dict[str, Any] | None = None,
) -> Response:
    """Return a problem as an answer."""
    content = {
        "type": f"/docs#{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "request_id": getattr(request.state, "request_id", ""),
        **(context or {}),
    }
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if context and "retry_after_s" in context:
        headers["Retry-After"] = str(context["retry_after_s"])
    return Response(dumps(content), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def install_error_handlers(app: FastAPI) -> None:
    """Answer every error as a problem; a bug says nothing about itself but its request id."""

    @app.exception_handler(BusinessError)
    async def _refusal(request: Request, error: BusinessError) -> Response:
        return problem(
            request,
            status=error.status,
            code=error.code,
            detail=str(error),
            context=error.context,
        )

    @app.exception_handler(RequestValidationError)
    async def _malformed(request: Request, error: RequestValidationError) -> Response:
        return problem(
            request,
            status=422,
            code="invalid_request",
            detail="the request is not as the API describes it",
            context={"errors": _pointers(error.errors())},
        )

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        answer = problem(
            request,
            status=error.status_code,
            code=phrase.lower().replace(" ", "_"),
            detail=str(error.detail),
        )
        answer.headers.update(error.headers or {})
        return answer

    @app.exception_handler(SQLAlchemyError)
    @app.exception_handler(asyncpg.PostgresError)
    @app.exception_handler(asyncpg.InterfaceError)
    @app.exception_handler(OSError)
    async def _away(request: Request, error: Exception) -> Response:
        if is_refused_value(error):
            return _refused_value(request, error)
        if not is_transient(error):
            return await _bug(request, error)
        logger.warning("database is away path=%s error=%r", request.url.path, error)
        return problem(
            request,
            status=503,
            code="database_away",
            detail="the database does not answer; nothing was changed",
            context={"retry_after_s": _RETRY_AFTER_S},
        )

    # A date so far out that arithmetic with it leaves the calendar.
    @app.exception_handler(OverflowError)
    async def _overflow(request: Request, error: OverflowError) -> Response:
        return _refused_value(request, error)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> Response:
        logger.error("request failed path=%s", request.url.path, exc_info=error)
        return problem(
            request, status=500, code="internal_error", detail="this should not have happened"
        )


def _refused_value(request: Request, error: Exception) -> Response:
    # Logged as it is: behind a route that checks its values this would be a bug of ours.
    logger.warning("a value was refused path=%s", request.url.path, exc_info=error)
    return problem(
        request,
        status=422,
        code="invalid_value",
        detail="a value is out of range or holds characters that cannot be stored",
    )


def _pointers(errors: Sequence[Any]) -> list[dict[str, str]]:
    return [
        {
            "pointer": "/" + "/".join(str(part) for part in error["loc"]),
            "code": error["type"],
            "message": error["msg"],
        }
        for error in errors
    ]
