"""Which protection document holds: HQ's newest that was good, else the station's own file."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from edge.journal import Change, Journal, Put
from edge.station.effects import Effects
from edge.station.stored import decode_one
from shared import protection as documents
from shared.clock import from_ms
from shared.contracts.commands import PublishProtection
from shared.contracts.events import ProtectionActivated
from shared.contracts.protection import Protection
from shared.errors import ProtectionError

if TYPE_CHECKING:
    from edge.station.core import Station

logger = logging.getLogger(__name__)

KIND = "protection"
DOCUMENT = "channel:document"
"""Object of the alarm that stands while something is wrong with the document that holds."""
_PUBLISHED = "published"
_STAFF = "staff"
_LOST = "what HQ published cannot be read; publish it again"


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

    def __init__(self, stored: dict[str, bytes], *, damaged: bool = False) -> None:
        """Take what the journal holds under `KIND`; `damaged` when some of it was left out."""
        self._fits: Callable[[Protection], None] = lambda _protection: None
        self._own = Held(Protection(), 0, documents.document_hash(Protection()), "built-in")
        self._published = decode_one(stored, _PUBLISHED, PublishProtection)
        self._is_lost = self._published is None and (damaged or _PUBLISHED in stored)
        self._hold(_of_hq(self._published) if self._published else self._own)
        self.problem = ""
        """What is wrong with the document that holds, "" as a rule."""
        self._look()

    def connect(self, fits: Callable[[Protection], None]) -> None:
        """Take what knows this station's lines and models: it raises ProtectionError.

        A document that was good before a change of the configuration goes on protecting as far
        as it can; `problem` says what of it cannot be.
        """
        self._fits = fits
        self._look()

    def use_own(self, own: Protection) -> None:
        """Take the station's own file; HQ's document goes before it."""
        self._own = Held(own, 0, documents.document_hash(own), "file")
        if self._published is None:
            self._hold(self._own)
            self._look()

    def put(self, command: PublishProtection) -> Change:
        """Take HQ's document.

        Raises:
            ProtectionError: It does not fit; the last good one holds.
            ValueError: It is older than the one that holds.
        """
        if command.version < self.held.version:
            raise ValueError("older_version")
        documents.check(command.protection)
        self._fits(command.protection)
        self._published, self._is_lost = command, False
        self._hold(_of_hq(command))
        self.problem = ""
        return _stored(command)

    def role_for(self, cause: str) -> str:
        """Return who may reset what this cause blocked: `staff` or `chief`."""
        return self._roles.get(cause, _STAFF)

    def everything(self) -> list[Change]:
        """Return the stored form of HQ's document."""
        return [_stored(self._published)] if self._published else []

    def _hold(self, held: Held) -> None:
        self.held = held
        rows = documents.interlocks_of(held.protection)
        self._roles = {row.cause: row.role for row in rows}

    def _look(self) -> None:
        try:
            documents.check(self.held.protection)
            self._fits(self.held.protection)
        except ProtectionError as error:
            self.problem = str(error)
            logger.error("protection document %s does not fit: %s", self.held.source, error)
        else:
            self.problem = _LOST if self._is_lost else ""


def load_shelf(journal: Journal) -> ProtectionShelf:
    """Return the shelf with what is stored."""
    damaged = journal.damaged
    stored = journal.load(KIND)
    return ProtectionShelf(stored, damaged=journal.damaged > damaged)


def activate(station: Station) -> Effects:
    """Protect by the document that holds, and say so."""
    held, now = station.protection.held, station.now()
    try:
        station.on_protection(held.protection)
    except ProtectionError as error:
        # What of it can protect does; a station that did not start would not protect at all.
        station.protection.problem = str(error)
        logger.error("protection document %s is not active as a whole: %s", held.source, error)
    effects = Effects()
    effects.events.append(
        ProtectionActivated(
            occurred_at=from_ms(now.wall_ms), version=held.version, sha256=held.sha256
        )
    )
    problem = station.protection.problem
    code, subject = "protection_degraded", DOCUMENT
    if problem:
        effects.add(
            station.alarms.raise_alarm(code, subject, now.wall_ms, channel=f"document ({problem})")
        )
    else:
        effects.add(station.alarms.clear_alarm(code, subject, now.wall_ms))
    return effects


def _of_hq(published: PublishProtection) -> Held:
    protection, version = published.protection, published.version
    return Held(protection, version, documents.document_hash(protection), f"hq {version}")


def _stored(published: PublishProtection) -> Put:
    return Put(KIND, _PUBLISHED, msgspec.msgpack.encode(published))
