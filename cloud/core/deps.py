"""What routes ask for by type: clock, Redis, who is calling and whether they may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import OAuth2PasswordBearer
from redis.asyncio import Redis

from cloud.core.errors import ForbiddenError
from cloud.core.security import MATRIX, Permission, Role, Staff
from shared.clock import Clock

Authenticate = Callable[[Request], Awaitable[Staff]]
"""Finds out who is calling, or raises UnauthorizedError; the composition root installs it."""

# Only so that the API's description says how to log in; reading the header is identity's.
_bearer = OAuth2PasswordBearer("/api/v1/auth/token", auto_error=False)


def _clock(request: Request) -> Clock:
    clock: Clock = request.app.state.clock
    return clock


def _redis(request: Request) -> Redis:
    redis: Redis = request.app.state.redis
    return redis


ClockDep = Annotated[Clock, Depends(_clock)]
RedisDep = Annotated[Redis, Depends(_redis)]


class Requires:
    """A dependency that lets only some roles through and returns who is calling."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission
        self.roles = MATRIX[permission]

    async def __call__(
        self, request: Request, _token: Annotated[str | None, Depends(_bearer)]
    ) -> Staff:
        """Return who is calling. Raises UnauthorizedError or ForbiddenError."""
        authenticate: Authenticate = request.app.state.authenticate
        staff = await authenticate(request)
        request.state.staff = staff
        if staff.role not in self.roles:
            raise ForbiddenError(
                f"this needs one of the roles {', '.join(sorted(self.roles))}",
                role=staff.role,
                permission=self.permission,
                roles=sorted(self.roles),
            )
        return staff


def require(*roles: Role) -> Requires:
    """Return the dependency for exactly these roles. Raises ValueError for a set not in MATRIX."""
    for permission, allowed in MATRIX.items():
        if allowed == set(roles):
            return Requires(permission)
    raise ValueError(f"no permission is for exactly {sorted(roles)}")


Reader = Annotated[Staff, Depends(Requires(Permission.READ))]
"""Anybody who is logged in."""
Dispatcher = Annotated[Staff, Depends(Requires(Permission.OPERATE))]
"""May start, stop and acknowledge."""
Admin = Annotated[Staff, Depends(Requires(Permission.ADMINISTER))]
"""May change prices, people and stations."""
