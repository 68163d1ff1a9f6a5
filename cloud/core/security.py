"""Roles as data, who is calling, and the primitives for passwords and tokens."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What staff may be. *Operator* means the company, so nobody's role is called that."""

    ADMIN = "admin"
    DISPATCHER = "dispatcher"
    VIEWER = "viewer"


class Permission(StrEnum):
    """What a route needs. Every route names exactly one, or is public by name."""

    READ = "read"
    OPERATE = "operate"
    ADMINISTER = "administer"


MATRIX: dict[Permission, frozenset[Role]] = {
    Permission.READ: frozenset({Role.ADMIN, Role.DISPATCHER, Role.VIEWER}),
    Permission.OPERATE: frozenset({Role.ADMIN, Role.DISPATCHER}),
    Permission.ADMINISTER: frozenset({Role.ADMIN}),
}
"""Who may do what. What is not here is refused."""


@dataclass(frozen=True, slots=True)
class Staff:
    """Who is calling: a person, or a key that acts with a role."""

    staff_id: UUID
    operator_id: UUID
    name: str
    role: Role


def new_secret() -> str:
    """Return 256 random bits as text without characters that need quoting."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> str:
    """Return how a random 256-bit secret is stored.

    A plain SHA-256 is enough for it: there is nothing to guess. Passwords that people choose go
    through argon2 (`cloud.identity`).
    """
    return hashlib.sha256(secret.encode()).hexdigest()
