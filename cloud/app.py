"""COMPOSITION ROOT of the web side: `create_app` takes what is open and serves the API."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Depends, FastAPI, Request
from fastapi.routing import RouteContext, iter_route_contexts
from redis.asyncio import Redis
from starlette.responses import HTMLResponse, Response

from cloud.alarms.feed import AlarmFeed
from cloud.alarms.notify.addresses import Network
from cloud.core import metrics
from cloud.core.connections import Connections, check_database, check_redis, open_connections
from cloud.core.db import Sessions
from cloud.core.deps import Requires
from cloud.core.docs_page import operations_page
from cloud.core.errors import install_error_handlers
from cloud.core.health import health_router
from cloud.core.pagination import link_next
from cloud.core.security import new_secret
from cloud.core.texts import refuse_control_characters
from cloud.identity.authenticate import authenticator
from cloud.identity.limits import LoginLimit
from cloud.identity.service import signing_secret
from cloud.identity.tokens import Tokens
from cloud.settings import Settings
from cloud.slices import ROUTERS
from cloud.stations.edge_config import PublicBroker, public_broker
from cloud.web import pages
from cloud.web.headers import harden
from shared.clock import Clock
from shared.errors import ConfigError

logger = logging.getLogger(__name__)

PUBLIC = frozenset(
    {
        "/api/v1/auth/token",
        "/api/v1/openapi.json",
        "/docs",
        "/healthz",
        "/readyz",
        "/metrics",
        "/version",
        "/login",
        "/logout",
        "/static",
        "/favicon.ico",
    }
)
"""Paths without a permission, on purpose. Everything else names one, or the app does not start."""


@dataclass(frozen=True, slots=True)
class WebParts:
    """What the web side is made of; whoever opened it closes it."""

    connections: Connections
    clock: Clock
    token_secret: str
    token_lifetime: timedelta
    logins_per_minute: int
    public_broker: PublicBroker
    alarm_feed: AlarmFeed
    webhook_networks: Sequence[Network] = ()
    """What webhooks may reach beside public addresses."""


def create_app(parts: WebParts) -> FastAPI:
    """Return the application. Nothing is contacted until it serves."""
    app = FastAPI(
        title="Voltwarden HQ",
        version="1",
        summary="Stations, charging, bills and alarms.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(refuse_control_characters)],
    )
    _fill_state(app, parts)
    install_error_handlers(app)
    pages.install(app, secret=parts.token_secret)
    app.middleware("http")(_observe)
    app.include_router(health_router)
    for router in ROUTERS:
        app.include_router(router)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(operations_page(app.openapi()))

    check_permissions(app)
    return app


def _fill_state(app: FastAPI, parts: WebParts) -> None:
    tokens = Tokens(parts.token_secret, lifetime=parts.token_lifetime, clock=parts.clock)
    sessions: Sessions = parts.connections.sessions
    redis: Redis = parts.connections.redis
    app.state.engine = parts.connections.engine
    app.state.sessions = sessions
    app.state.redis = redis
    app.state.stream_redis = parts.connections.stream_redis
    app.state.clock = parts.clock
    app.state.tokens = tokens
    app.state.authenticate = authenticator(sessions, tokens, parts.clock)
    app.state.login_limit = LoginLimit(redis, per_minute=parts.logins_per_minute)
    app.state.public_broker = parts.public_broker
    app.state.viewers = 0
    app.state.alarm_feed = parts.alarm_feed
    app.state.webhook_networks = parts.webhook_networks


async def _observe(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    given = request.headers.get("X-Request-ID", "")
    # Taken over only if it can do no harm in a log line.
    usable = given.isascii() and given.replace("-", "").isalnum() and len(given) <= 64
    request.state.request_id = given if usable else new_secret()[:22]
    started_s = time.perf_counter()
    response = await call_next(request)
    route = request.scope.get("route")
    path = getattr(route, "path", "none")
    metrics.REQUESTS.labels(path, request.method, response.status_code).inc()
    metrics.REQUEST_SECONDS.labels(path).observe(time.perf_counter() - started_s)
    response.headers["X-Request-ID"] = request.state.request_id
    harden(request, response)
    if link := link_next(request):
        response.headers["Link"] = link
    return response


def permission_of(route: RouteContext) -> Requires | None:
    """Return what a route requires, None if it declares nothing."""
    waiting = [getattr(route, "dependant", None)]
    while waiting:
        dependant = waiting.pop()
        if dependant is not None:
            if isinstance(dependant.call, Requires):
                return dependant.call
            waiting.extend(dependant.dependencies)
    return None


def all_routes(app: FastAPI) -> list[RouteContext]:
    """Return every route that answers requests, those of included routers too."""
    return list(iter_route_contexts(app.routes))


def check_permissions(app: FastAPI) -> None:
    """Refuse to start with a route that declares no permission. Raises RuntimeError."""
    open_routes = [
        str(route.path)
        for route in all_routes(app)
        if route.path not in PUBLIC and permission_of(route) is None
    ]
    if open_routes:
        raise RuntimeError(f"routes without a permission: {', '.join(sorted(open_routes))}")


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """Open everything, yield the application, close everything.

    Raises:
        UnreachableError: Database or Redis do not answer, or the database needs `migrate`.
        ConfigError: The token secret's file cannot be used.
    """
    clock = settings.make_clock()
    async with AsyncExitStack() as stack:
        connections = await stack.enter_async_context(
            open_connections(
                settings.database.url,
                settings.redis.url,
                pool_size=settings.database.pool_size,
                time_scale=settings.time_scale,
            )
        )
        await check_database(connections.engine)
        await check_redis(connections.redis, settings.redis.url)
        feed = AlarmFeed(connections.sessions, settings.database.raw_url)
        app = create_app(
            WebParts(
                connections=connections,
                clock=clock,
                token_secret=await _token_secret(settings, connections, clock),
                token_lifetime=timedelta(hours=settings.web.token_hours),
                logins_per_minute=settings.web.logins_per_minute,
                public_broker=public_broker(settings.broker),
                alarm_feed=feed,
                webhook_networks=settings.notify.allowed_networks,
            )
        )
        listening = asyncio.create_task(feed.run())
        yield app
        listening.cancel()
        await asyncio.wait({listening})


async def _token_secret(settings: Settings, connections: Connections, clock: Clock) -> str:
    path = settings.web.token_secret_file
    if path is None:
        async with connections.sessions() as session, session.begin():
            return await signing_secret(session, clock.now())
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"web.token_secret_file: {path}: {error.strerror}") from error
    if len(secret) < 32:
        raise ConfigError(f"web.token_secret_file: {path} holds fewer than 32 characters")
    return secret
