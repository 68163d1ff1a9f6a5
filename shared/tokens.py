"""The one form in which a token's value is stored and compared, at a station and at HQ."""

from __future__ import annotations

from shared.contracts.words import TokenKind


def normalise(kind: TokenKind, value: str) -> str:
    """Return a token's value in its one form: the case of accounts counts, of others not."""
    value = value.strip()
    return value if kind is TokenKind.ACCOUNT else value.upper()
