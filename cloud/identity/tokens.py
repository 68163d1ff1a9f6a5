"""Bearer tokens: short-lived, signed, worthless once a person logs out, is locked or changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from cloud.core.errors import UnauthorizedError
from shared.clock import Clock

_ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom a token is for, by which log-in, and to which generation of tokens it belongs."""

    staff_id: UUID
    session_id: UUID
    token_epoch: int


class Tokens:
    """Signs and reads tokens with one secret."""

    def __init__(self, secret: str, *, lifetime: timedelta, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock
        self.lifetime = lifetime

    def issue(self, claims: Claims, now: datetime) -> str:
        """Return a token that lasts for `lifetime`."""
        return jwt.encode(
            {
                "sub": str(claims.staff_id),
                "jti": str(claims.session_id),
                "ver": claims.token_epoch,
                "iat": int(now.timestamp()),
                "exp": int((now + self.lifetime).timestamp()),
            },
            self._secret,
            algorithm=_ALGORITHM,
        )

    def read(self, token: str) -> Claims:
        """Return what a token says. Raises UnauthorizedError."""
        try:
            # Its own check of `exp` reads the machine's clock, not ours.
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                options={
                    "require": ["sub", "jti", "exp", "ver"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            if self._clock.now().timestamp() >= float(claims["exp"]):
                raise UnauthorizedError("the token has expired; log in again")
            return Claims(UUID(claims["sub"]), UUID(claims["jti"]), int(claims["ver"]))
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise UnauthorizedError("not a token of this HQ") from error
