"""Identifiers of our own: UUID version 7, which sort by the time at which they were made."""

from __future__ import annotations

import secrets
from uuid import UUID


def uuid7(now_ms: int) -> UUID:
    """Return a new UUIDv7 (RFC 9562 section 5.7) for an instant in milliseconds since 1970."""
    value = (now_ms & ((1 << 48) - 1)) << 80 | secrets.randbits(80)
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return UUID(int=value | 0x7 << 76 | 0x2 << 62)
