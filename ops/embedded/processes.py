"""Small things about child processes, ports and private files that the three servers share."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path

import psutil

from shared.errors import VoltwardenError

_POLL_S = 0.02
_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0


class EmbeddedError(VoltwardenError):
    """An embedded server cannot start, or its folder cannot be used; says what to do."""


def spawn(
    command: list[str], log: Path, *, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C reaches only its owner."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command, stdin=stdin, stdout=output, stderr=output, start_new_session=True
        )


def free_port() -> int:
    """Return a loopback port that is free now; someone else may still take it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, child: subprocess.Popen[bytes], what: str) -> None:
    """Wait until a child accepts connections on a loopback port.

    Raises:
        EmbeddedError: It ended, or it does not accept within 20 s; it is ended then.
    """
    deadline_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline_s:
        if child.poll() is not None:
            raise EmbeddedError(f"{what} ended with code {child.returncode} while starting")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(_POLL_S)
    end(child)
    raise EmbeddedError(f"{what} does not accept connections within {_START_LIMIT_S:.0f} s")


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child and wait for it: politely, then by force. Nothing if it has ended."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdin is not None:
        child.stdin.close()


def end_leftover(pid: int, mark: str) -> bool:
    """End a process that an earlier owner left behind, if it is still the same one.

    Args:
        pid: Its number, which may belong to someone else by now.
        mark: What its command line must contain for it to be ours.
    """
    try:
        process = psutil.Process(pid)
        if not any(mark in part for part in process.cmdline()):
            return False
        process.terminate()
        process.wait(_STOP_LIMIT_S)
    except psutil.TimeoutExpired:
        process.kill()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file whole that only its owner may read."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)
