"""Which protection document holds: HQ's newest that was good, else the station's own file."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import msgspec
from msgspec import Struct

from edge.journal import Change, Put
from edge.station.stored import decode_one
from shared.contracts.commands import PublishProtection
from shared.contracts.protection import Protection

logger = logging.getLogger(__name__)

KIND = "protection"
_PUBLISHED = "published"


class Held(Struct, frozen=True):
    """The document that holds. `version` is HQ's, 0 for the station's own.

    `source` is `hq 7`, `file` or `built-in`, for people.
    """

    protection: Protection
    version: int
    sha256: str
    source: str


class ProtectionShelf:
    """Keeps HQ's last good document; the station's own serves until there is one."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        self._published = decode_one(stored, _PUBLISHED, PublishProtection)
        self.held = _held(Protection(), 0, "built-in")
        if self._published is not None:
            self.held = _of_hq(self._published)
        self.check: Callable[[Protection], None] = lambda _protection: None
        """Raises when a document does not fit this station; set by whoever knows its lines."""

    def use_own(self, own: Protection) -> None:
        """Take the station's own file; HQ's document goes before it."""
        if self._published is None:
            self.held = _held(own, 0, "file")

    def put(self, command: PublishProtection) -> Change:
        """Take HQ's document.

        Raises:
            ProtectionError: It does not fit; the last good one holds.
            ValueError: It is older than the one that holds.
        """
        if command.version < self.held.version:
            raise ValueError("older_version")
        self.check(command.protection)
        self._published = command
        self.held = _of_hq(command)
        return _stored(command)

    def role_for(self, cause: str) -> str:
        """Return who may reset what this cause blocked: `staff` or `chief`."""
        rows = self.held.protection.interlocks or ()
        return next((row.role for row in rows if row.cause == cause), "staff")

    def everything(self) -> list[Change]:
        """Return the stored form of HQ's document."""
        return [_stored(self._published)] if self._published else []


def _of_hq(published: PublishProtection) -> Held:
    return _held(published.protection, published.version, f"hq {published.version}")


def _held(protection: Protection, version: int, source: str) -> Held:
    sha256 = hashlib.sha256(msgspec.json.encode(protection)).hexdigest()
    return Held(protection, version, sha256, source)


def _stored(published: PublishProtection) -> Put:
    return Put(KIND, _PUBLISHED, msgspec.msgpack.encode(published))
