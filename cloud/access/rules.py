"""Whether a token may charge, and for how much. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from msgspec import Struct

from cloud.access.models import AccessToken
from shared.contracts.words import RefusalReason, TokenKind

SHAPES = {
    TokenKind.CARD: re.compile(r"[0-9A-Fa-f]{16}\Z"),
    TokenKind.VIN: re.compile(r"[0-9A-HJ-NPR-Za-hj-npr-z]{17}\Z"),
    TokenKind.ACCOUNT: re.compile(r"[\x21-\x7e]{1,32}\Z"),
}
"""What the value of a token of each kind looks like."""
NO_LIMIT = 0


class Decision(Struct, frozen=True):
    """The answer to "may it charge?". `limit_fen` 0 with `accepted` means without limit."""

    accepted: bool
    reason: RefusalReason = RefusalReason.NONE
    limit_fen: int = NO_LIMIT


def is_barred(token: AccessToken, now: datetime) -> bool:
    """Whether a token may start nothing, whatever it has left: frozen or expired."""
    return token.frozen or (token.expires_at is not None and token.expires_at <= now)


def decide(
    token: AccessToken | None,
    *,
    kind: TokenKind,
    allowed_here: bool,
    exposure_fen: int,
    now: datetime,
) -> Decision:
    """Decide whether a token may start charging now.

    Args:
        token: The token, None if there is no such one.
        kind: What kind was asked for; an unknown VIN has a reason of its own.
        allowed_here: Whether its scope has the station.
        exposure_fen: What its open and unsettled orders may still cost.
        now: HQ's time.
    """
    if token is None:
        vin = kind is TokenKind.VIN
        return _refuse(RefusalReason.UNKNOWN_VIN if vin else RefusalReason.UNKNOWN_TOKEN)
    if is_barred(token, now):
        return _refuse(RefusalReason.TOKEN_FROZEN)
    if not allowed_here:
        return _refuse(RefusalReason.NOT_ALLOWED_HERE)
    if token.limit_fen == NO_LIMIT:
        return Decision(accepted=True)
    left_fen = token.limit_fen - exposure_fen
    if left_fen <= 0:
        return _refuse(RefusalReason.LIMIT_REACHED)
    return Decision(accepted=True, limit_fen=left_fen)


def _refuse(reason: RefusalReason) -> Decision:
    return Decision(accepted=False, reason=reason)
