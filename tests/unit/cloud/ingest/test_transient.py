"""What is tried again and what is parked."""

from __future__ import annotations

import asyncpg
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy.exc import DBAPIError

from cloud.core.transient import is_transient
from shared.errors import MalformedContractError


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.DeadlockDetectedError("x"),
        asyncpg.CannotConnectNowError("x"),
        asyncpg.DiskFullError("could not extend file"),
        asyncpg.PostgresIOError("could not fsync file"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        RedisConnectionError("x"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("another operation is in progress"),
        DBAPIError("select", {}, ConnectionResetError()),
    ],
)
def test_the_database_being_away_is_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        MalformedContractError("x"),
        KeyError("x"),
        asyncpg.UniqueViolationError("x"),
        asyncpg.exceptions._base.DataError("value out of int32 range"),
        DBAPIError("select", {}, ValueError("x")),
    ],
)
def test_what_would_fail_again_is_not(error: Exception) -> None:
    assert not is_transient(error)
