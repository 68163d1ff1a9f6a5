"""The broker's files as text: configuration and password lines. No I/O but reading templates."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

from shared.contracts.topics import STATION_NO

WORKER = "hq.worker"
"""The user of HQ's workers; no station number can look like it."""

SALT_BYTES = 12
_ITERATIONS = 101
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What differs between two installations."""

    folder: Path
    """Holds mosquitto.conf, acl, passwords, server.crt and server.key."""
    data: Path
    user: str = "mosquitto"
    station_host: str = "0.0.0.0"  # noqa: S104 - stations come from everywhere
    station_port: int = 8883
    worker_host: str = "127.0.0.1"
    worker_port: int = 1883
    connections_max: int = 10_000


def configuration(places: Places) -> str:
    """Return mosquitto.conf."""
    template = Template((_HERE / "mosquitto.conf.template").read_text(encoding="utf-8"))
    return template.substitute(asdict(places))


def rights() -> str:
    """Return the access list."""
    return (_HERE / "acl").read_text(encoding="utf-8")


def password_line(user: str, secret: str, salt: bytes) -> str:
    """Return a user's line as `mosquitto_passwd` writes it: PBKDF2 over SHA-512.

    Args:
        user: A station's number, or `WORKER`.
        secret: As HQ showed it.
        salt: `SALT_BYTES` random bytes.

    Raises:
        ValueError: Neither a station number nor the worker, or no secret, or a salt of another
            length.
    """
    if user != WORKER and not STATION_NO.match(user):
        raise ValueError(
            f"user {user!r}: a station number (letters, digits, - or _, up to 32) or {WORKER}"
        )
    if not secret:
        raise ValueError("the secret is empty")
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes, expected {SALT_BYTES}")
    digest = hashlib.pbkdf2_hmac("sha512", secret.encode(), salt, _ITERATIONS)
    salt_text, digest_text = (base64.b64encode(part).decode() for part in (salt, digest))
    return f"{user}:$7${_ITERATIONS}${salt_text}${digest_text}"


def with_user(passwords: str, user: str, line: str | None) -> str:
    """Return the password file's text with a user's line added, replaced or, if None, removed."""
    kept = [one for one in passwords.splitlines() if one and one.split(":", 1)[0] != user]
    return "".join(f"{one}\n" for one in (*kept, *([line] if line else [])))
