"""`vw hq …`: serve, work, migrate and what operators of HQ do by hand."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from uuid import UUID

import typer

from cloud import settings as settings_module
from cloud.core.security import Role
from cloud.settings import Settings
from shared import logs
from shared.errors import ConfigError, VoltwardenError

if TYPE_CHECKING:  # imported late, so that `--help` is quick
    from sqlalchemy.ext.asyncio import AsyncSession

    from cloud.core.db import Sessions

app = typer.Typer(
    name="hq",
    help="Headquarters: serve the API, take in what stations report, look after the database.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

parked_app = typer.Typer(
    name="parked",
    help="Batches that could not be handled and were set aside.",
    no_args_is_help=True,
)
app.add_typer(parked_app)

_FAILED, _USAGE, _NOT_FOUND, _UNREACHABLE, _CONFLICT = 1, 2, 3, 5, 6
_CODES = {400: _USAGE, 404: _NOT_FOUND, 409: _CONFLICT, 422: _USAGE, 503: _UNREACHABLE}
"""Of a refusal: its status in the API, and how a command ends."""

_CONFIG = Path("/etc/voltwarden/cloud.toml")
ConfigOption = Annotated[
    Path, typer.Option("--config", envvar="VW_HQ_CONFIG", help="HQ's TOML file.")
]


@app.command()
def serve(config: ConfigOption = _CONFIG) -> None:
    """Serve the API until Ctrl-C. Exit 5: database or Redis do not answer."""
    settings = _load(config)
    _run(_serve(settings))


@app.command()
def work(config: ConfigOption = _CONFIG) -> None:
    """Take in what stations report and send commands, until Ctrl-C. Any number may run."""
    from cloud.worker import run_worker

    settings = _load(config)
    _calm_collector()
    _run(_until_told(run_worker(settings)))


@app.command()
def migrate(config: ConfigOption = _CONFIG) -> None:
    """Bring the database to this program's version. Safe to run again."""
    from sqlalchemy.exc import SQLAlchemyError

    from cloud.core.migrations import head, upgrade

    settings = _load(config)
    try:
        upgrade(settings.database.url)
    except (OSError, SQLAlchemyError) as error:
        _fail(
            f"the database does not answer ({error}); start it, or `vw embedded up`", _UNREACHABLE
        )
    typer.echo(f"database is at version {head()}", err=True)


@app.command()
def openapi() -> None:
    """Print the API's description as JSON. Needs no server."""
    sys.stdout.write(json.dumps(_description(), ensure_ascii=False, indent=2) + "\n")


@app.command(name="create-admin")
def create_admin(
    config: ConfigOption = _CONFIG,
    username: Annotated[str, typer.Option(help="Log-in name.")] = "admin",
    operator: Annotated[str, typer.Option(help="The company.")] = "Voltwarden",
    role: Annotated[Role, typer.Option(help="What this person may do.")] = Role.ADMIN,
    *,
    password_stdin: Annotated[bool, typer.Option(help="Read the password from stdin.")] = False,
) -> None:
    """Make the first person who may log in, and the operator if there is none.

    Exit 6: the name is taken.
    """
    settings = _load(config)
    password = sys.stdin.readline().strip() if password_stdin else getpass.getpass()
    _run(_create_admin(settings, username, operator, role, password))
    typer.echo(f"{username} may log in", err=True)


@app.command(name="create-station")
def create_station(
    station_no: Annotated[str, typer.Argument(help="Its short number.")],
    config: ConfigOption = _CONFIG,
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    zone: Annotated[str, typer.Option(help="IANA time zone.")] = "Asia/Shanghai",
    operator: Annotated[str, typer.Option(help="The company.")] = "Voltwarden",
) -> None:
    """Make a station; prints its secret and edge.toml as JSON, once. Exit 6: number taken."""
    settings = _load(config)
    made = _run(_create_station(settings, station_no, name or station_no, zone, operator))
    sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")


@app.command()
def explain(
    order: Annotated[str, typer.Argument(help="Order id, transaction id or transaction number.")],
    config: ConfigOption = _CONFIG,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="Seconds to wait for the station's frames; 0 = none.")
    ] = 10.0,
) -> None:
    """Say why a bill is what it is: readings, periods, prices, rounding, raw frames.

    Exit 3: no such order.
    """
    from cloud.orders.cli import explain_command

    settings = _load(config)
    clock = settings.make_clock()

    async def ask() -> str:
        async with _open_sessions(settings) as sessions:
            return await explain_command(
                sessions, clock, order, as_json=as_json, timeout_s=timeout_s
            )

    sys.stdout.write(_run(ask()))


@app.command()
def reconcile(
    config: ConfigOption = _CONFIG,
    day: Annotated[str, typer.Option(help="The stations' local day, YYYY-MM-DD; else today.")] = "",
    station: Annotated[str, typer.Option(help="Only this station.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare the sums of HQ, stations and charge points for a day. Exit 1: they differ."""
    from datetime import date

    from cloud.orders.cli import reconcile_command

    settings = _load(config)
    try:
        wanted = date.fromisoformat(day) if day else None
    except ValueError:
        _fail(f"--day {day!r} is no day; write it as 2026-11-22", _USAGE)

    async def ask() -> tuple[str, bool]:
        async with _open_sessions(settings) as sessions:
            return await reconcile_command(
                sessions,
                settings.make_clock(),
                day=wanted,
                station_no=station,
                as_json=as_json,
            )

    text, agree = _run(ask())
    sys.stdout.write(text)
    if not agree:
        raise typer.Exit(_FAILED)


@parked_app.command(name="list")
def list_parked(config: ConfigOption = _CONFIG) -> None:
    """Print what waits, oldest first, one JSON object a line."""
    from cloud.ingest import parked

    async def ask(session: AsyncSession) -> None:
        for row in await parked.list_parked(session):
            shown = row.model_dump(mode="json", include={"id", "lane", "seq", "error"})
            shown["station_id"] = str(row.station_id)
            shown["received_at"] = row.received_at.isoformat()
            sys.stdout.write(json.dumps(shown, ensure_ascii=False) + "\n")

    _run(_in_transaction(_load(config), ask))


@parked_app.command(name="show")
def show_parked(
    parked_id: Annotated[UUID, typer.Argument(help="As `list` prints it.")],
    config: ConfigOption = _CONFIG,
) -> None:
    """Print a batch's facts as JSON. Exit 3: no such batch; 6: it holds no facts."""
    from cloud.ingest import parked

    async def ask(session: AsyncSession) -> None:
        row = await parked.find_parked(session, parked_id)
        sys.stdout.write(parked.facts_as_json(row).decode() + "\n")

    _run(_in_transaction(_load(config), ask))


@parked_app.command(name="retry")
def retry_parked(
    parked_id: Annotated[UUID, typer.Argument(help="As `list` prints it.")],
    config: ConfigOption = _CONFIG,
) -> None:
    """Handle a batch again, all of it or nothing. Exit 3: no such batch; 6: no facts."""
    from cloud.ingest import parked
    from cloud.ingest.handlers import Ingested, merge
    from cloud.slices import HANDLER_TABLES
    from cloud.stations.lookup import station_by_id
    from cloud.stations.service import zone_of

    async def ask(session: AsyncSession) -> None:
        row = await parked.find_parked(session, parked_id)
        station = await station_by_id(session, row.operator_id, row.station_id)
        context = Ingested(
            operator_id=row.operator_id,
            station_id=station.id,
            station_no=station.station_no,
            zone=zone_of(station),
            received_at=row.received_at,
            stream_id=row.stream_id,
            seq=row.seq,
        )
        count = await parked.retry(session, row, handlers=merge(*HANDLER_TABLES), context=context)
        typer.echo(f"{count} facts handled", err=True)

    _run(_in_transaction(_load(config), ask))


async def _in_transaction(
    settings: Settings, do: Callable[[AsyncSession], Awaitable[None]]
) -> None:
    async with _open_sessions(settings) as sessions, sessions() as session, session.begin():
        await do(session)


@asynccontextmanager
async def _open_sessions(settings: Settings) -> AsyncIterator[Sessions]:
    from cloud.core.connections import check_database, open_connections

    async with open_connections(
        settings.database.url, settings.redis.url, pool_size=1, time_scale=settings.time_scale
    ) as connections:
        await check_database(connections.engine)
        yield connections.sessions


async def _serve(settings: Settings) -> None:
    import uvicorn

    from cloud.app import open_app

    with _listen(settings.web.host, settings.web.port) as listening:
        async with open_app(settings) as api:
            _calm_collector()
            server = uvicorn.Server(
                uvicorn.Config(
                    api,
                    loop="none",
                    http="httptools",
                    access_log=False,
                    log_config=None,
                    lifespan="off",
                    # Streams never end by themselves.
                    timeout_graceful_shutdown=2,
                    server_header=False,
                )
            )
            await server.serve(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is opened. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ConfigError(
            f"web: cannot listen on {host}:{port}: {why}; another program may use the port, "
            "or the host is not an address of this machine"
        ) from error


async def _until_told(work_: Coroutine[Any, Any, None]) -> None:
    import signal

    task = asyncio.create_task(work_)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _create_admin(
    settings: Settings, username: str, operator: str, role: Role, password: str
) -> None:
    from cloud.identity.service import create_staff
    from cloud.stations.service import ensure_operator

    now = settings.make_clock().now()
    async with _open_sessions(settings) as sessions, sessions() as session, session.begin():
        company = await ensure_operator(session, name=operator, now=now)
        await create_staff(
            session,
            operator_id=company.id,
            username=username,
            password=password,
            role=role,
            now=now,
        )


async def _create_station(
    settings: Settings, station_no: str, name: str, zone: str, operator: str
) -> dict[str, str]:
    from cloud.stations import service
    from cloud.stations.edge_config import edge_toml, public_broker

    now = settings.make_clock().now()
    broker = public_broker(settings.broker)
    async with _open_sessions(settings) as sessions, sessions() as session, session.begin():
        company = await service.ensure_operator(session, name=operator, now=now)
        station, secret = await service.create_station(
            session,
            operator_id=company.id,
            station_no=station_no,
            name_zh=name,
            name_en=name,
            time_zone=zone,
            now=now,
        )
        text = edge_toml(station, broker=broker)
    return {"station_no": station_no, "secret": secret, "edge_toml": text}


def _description() -> dict[str, Any]:
    from datetime import timedelta

    from cloud.alarms.feed import AlarmFeed
    from cloud.app import WebParts, create_app
    from cloud.core.connections import Connections, open_redis
    from cloud.core.db import create_engine, create_sessions
    from cloud.stations.edge_config import PublicBroker
    from shared.clock import SystemClock

    # Nothing is contacted: neither engine nor client connects before its first use.
    engine = create_engine("postgresql+asyncpg://nowhere/none")
    redis = open_redis("redis://127.0.0.1:1/0")
    sessions = create_sessions(engine)
    parts = WebParts(
        connections=Connections(engine, sessions, redis, redis),
        clock=SystemClock(),
        token_secret="x" * 32,
        token_lifetime=timedelta(hours=1),
        logins_per_minute=1,
        public_broker=PublicBroker("127.0.0.1", 1883, tls=False),
        alarm_feed=AlarmFeed(sessions, ""),
    )
    return create_app(parts).openapi()


def _calm_collector() -> None:
    """Look for cycles rarely: by default that takes a quarter of a worker's time, because it
    walks over everything that was imported."""
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _load(path: Path) -> Settings:
    try:
        settings = settings_module.load(path)
    except ConfigError as error:
        _fail(str(error), _USAGE)
    logs.set_up(level=settings.log.level)
    return settings


def _run(work_: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    from cloud.core.connections import UnreachableError
    from cloud.core.errors import BusinessError

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work_)
    except UnreachableError as error:
        _fail(str(error), _UNREACHABLE)
    except ConfigError as error:
        _fail(str(error), _USAGE)
    except BusinessError as error:
        _fail(str(error), _CODES.get(error.status, _FAILED))
    except VoltwardenError as error:
        _fail(str(error), _FAILED)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"vw hq: {message}", err=True)
    raise typer.Exit(code)
