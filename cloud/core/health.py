"""Is it alive, is it ready, and what it counts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from cloud.core.connections import UnreachableError, check_database, check_redis

health_router = APIRouter(tags=["health"], include_in_schema=False)


@health_router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers; nothing else is looked at."""
    return {"status": "ok"}


@health_router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Whether requests can be served: database of our version, Redis."""
    state = request.app.state
    checks: dict[str, str] = {}
    try:
        await check_database(state.engine)
        checks["database"] = "ok"
    except UnreachableError:
        checks["database"] = "unreachable or of another version"
    try:
        await check_redis(state.redis, "")
        checks["redis"] = "ok"
    except UnreachableError:
        checks["redis"] = "unreachable"
    ready = all(value == "ok" for value in checks.values())
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "checks": checks},
        status_code=200 if ready else 503,
    )


@health_router.get("/metrics")
async def metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
