"""Is it alive, is it ready, which version is it, and what does it count."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse, Response

from cloud.core import heartbeat
from cloud.core.connections import UnreachableError, read_version
from cloud.core.migrations import head

health_router = APIRouter(tags=["health"], include_in_schema=False)

_OK = "ok"
_UNREACHABLE = "unreachable"
_RETRY_AFTER_S = 5


@health_router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers; nothing else is looked at."""
    return {"status": _OK}


@health_router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Whether requests can be served: database, its version, Redis; and whether HQ works whole.

    Without a broker requests are served all the same: 200, `degraded`. Whoever takes this
    process out of service for it would take the console away when it is needed most.
    """
    state = request.app.state
    checks = {
        **await _check_database(state.engine),
        **await _check_redis(state.redis),
    }
    ready = all(checks[name] == _OK for name in ("database", "migrations", "redis"))
    whole = ready and checks["broker"] == _OK
    return JSONResponse(
        {
            "status": "ready" if whole else "degraded" if ready else "not ready",
            "checks": checks,
        },
        status_code=200 if ready else 503,
        headers={} if ready else {"Retry-After": str(_RETRY_AFTER_S)},
    )


async def _check_database(engine: AsyncEngine) -> dict[str, str]:
    try:
        there = await read_version(engine)
    except UnreachableError:
        return {"database": _UNREACHABLE, "migrations": "unknown"}
    wanted = f"database is at {there}, this program needs {head()}: run `vw hq migrate`"
    return {"database": _OK, "migrations": _OK if there == head() else wanted}


async def _check_redis(redis: Redis) -> dict[str, str]:
    try:
        connected = await heartbeat.anybody_connected(redis)
    except (RedisError, OSError):
        return {"redis": _UNREACHABLE, "broker": "unknown"}
    return {"redis": _OK, "broker": _OK if connected else "no worker is connected to it"}


@health_router.get("/version")
async def read_versions() -> dict[str, str]:
    """Which program this is, and which version of the database it needs."""
    return {"version": version("voltwarden"), "database": head()}


@health_router.get("/metrics")
async def metrics() -> Response:
    """Counters for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
