"""Fixtures that every test may use: the real servers, started once a test process."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.embedded import EmbeddedServers


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """Real PostgreSQL, Valkey and broker; `servers.endpoints` says where.

    Shared by all tests of the process, so a test that stops the broker starts it again.
    """
    # Not pytest's own folder: that is private, and root's PostgreSQL runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="voltwarden-tests-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServers(folder, durable=False) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database_url(servers: EmbeddedServers) -> str:
    """The URL of a new, empty database; the last test's is dropped.

    Hundreds of them would be gigabytes, which take minutes to remove where the disk is busy.
    """
    return servers.create_database("test")


@pytest.fixture
def redis_url(servers: EmbeddedServers) -> str:
    """The URL of the Valkey, emptied."""
    url = servers.endpoints.redis_url
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64) == b"+OK\r\n"
    return url
