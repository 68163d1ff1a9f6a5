"""Whether a token may charge, and for how much."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from cloud.access.models import AccessToken
from cloud.access.rules import SHAPES, decide
from shared.contracts.words import RefusalReason, TokenKind
from shared.tokens import normalise

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def token(**changes: Any) -> AccessToken:
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "operator_id": UUID(int=2),
        "kind": TokenKind.CARD,
        "value": "D14B0A54F1C2E3A4",
        "limit_fen": 1_000,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return AccessToken(**(fields | changes))


@pytest.mark.parametrize(
    ("found", "allowed_here", "exposure_fen", "reason", "limit_fen"),
    [
        (token(), True, 0, RefusalReason.NONE, 1_000),
        (token(), True, 999, RefusalReason.NONE, 1),
        (token(), True, 1_000, RefusalReason.LIMIT_REACHED, 0),
        (token(limit_fen=0), True, 10**9, RefusalReason.NONE, 0),
        (token(frozen=True), True, 0, RefusalReason.TOKEN_FROZEN, 0),
        (token(expires_at=NOW), True, 0, RefusalReason.TOKEN_FROZEN, 0),
        (token(expires_at=NOW + timedelta(seconds=1)), True, 0, RefusalReason.NONE, 1_000),
        (token(), False, 0, RefusalReason.NOT_ALLOWED_HERE, 0),
        (None, True, 0, RefusalReason.UNKNOWN_TOKEN, 0),
    ],
)
def test_decisions(
    found: AccessToken | None,
    allowed_here: bool,
    exposure_fen: int,
    reason: RefusalReason,
    limit_fen: int,
) -> None:
    decision = decide(
        found,
        kind=TokenKind.CARD,
        allowed_here=allowed_here,
        exposure_fen=exposure_fen,
        now=NOW,
    )
    assert (decision.reason, decision.limit_fen) == (reason, limit_fen)
    assert decision.accepted is (reason is RefusalReason.NONE)


def test_an_unknown_vin_has_a_reason_of_its_own() -> None:
    decision = decide(None, kind=TokenKind.VIN, allowed_here=True, exposure_fen=0, now=NOW)
    assert decision.reason is RefusalReason.UNKNOWN_VIN


def test_values_have_one_form() -> None:
    assert normalise(TokenKind.CARD, " d14b0a54f1c2e3a4 ") == "D14B0A54F1C2E3A4"
    assert normalise(TokenKind.ACCOUNT, "Wang") == "Wang"
    # A charge point sends an account in 8 bytes: digits, with zeros before them.
    assert normalise(TokenKind.ACCOUNT, "0000013800138000") == "13800138000"
    assert normalise(TokenKind.ACCOUNT, "13800138000") == "13800138000"
    assert normalise(TokenKind.ACCOUNT, "0000") == "0"
    assert normalise(TokenKind.CARD, "0000000000000012") == "0000000000000012"
    assert SHAPES[TokenKind.VIN].match("LSVAM4187C2184847")
    assert not SHAPES[TokenKind.VIN].match("LSVAM4187C218484I")
    assert not SHAPES[TokenKind.CARD].match("D14B0A54F1C2E3A4\n")
