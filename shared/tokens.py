"""The one form in which a token's value is stored and compared, at a station and at HQ."""

from __future__ import annotations

from shared.contracts.words import TokenKind


def normalise(kind: TokenKind, value: str) -> str:
    """Return a token's value in its one form: the case of accounts counts, of others not.

    Charge points send an account as 16 digits with zeros before it: they do not count.
    """
    value = value.strip()
    if kind is not TokenKind.ACCOUNT:
        return value.upper()
    return (value.lstrip("0") or "0") if value.isascii() and value.isdigit() else value
