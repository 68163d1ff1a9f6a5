"""Telling a server that is away from a bug: the one is tried again, the other is reported."""

from __future__ import annotations

import asyncpg
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


def is_transient(error: BaseException) -> bool:
    """Tell whether trying again may help: database or Redis are away, or we lost a race."""
    cause: BaseException | None = error
    while cause is not None:
        # A value that the driver cannot encode is an InterfaceError too, and stays one.
        if isinstance(cause, ValueError):
            return False
        if isinstance(cause, _TRANSIENT):
            return True
        cause = getattr(cause, "orig", None) or cause.__cause__
    return False


def is_refused_value(error: BaseException) -> bool:
    """Tell whether the database or its driver refused a value: out of range, no such text."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ValueError, OverflowError, asyncpg.DataError)):
            return True
        cause = getattr(cause, "orig", None) or cause.__cause__
    return False


_TRANSIENT = (
    OSError,
    PoolTimeoutError,
    BusyLoadingError,
    RedisConnectionError,
    RedisTimeoutError,
    asyncpg.InterfaceError,
    # A connection that ended in the midst of an exchange; the next one is a new one.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    # Its disk or file system; a standby that is not yet, or no longer, the one to write to.
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
)
