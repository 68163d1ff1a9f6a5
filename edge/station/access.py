"""Who may charge: the cached list of HQ, with a cap on what is trusted while HQ is away. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put
from edge.station.stored import decode_all, decode_one
from shared.clock import from_ms
from shared.contracts.commands import AccessEntry, PublishAccessList
from shared.contracts.events import Token
from shared.contracts.words import RefusalReason, TokenKind
from shared.tokens import normalise

KIND = "access"
_KEY = "list"
_PART = "part:"
PARTS_MAX = 1_000


class Caps(Struct, frozen=True):
    """What may be charged on trust while HQ is out of reach, fen."""

    token_fen: int
    station_fen: int


class Decision(Struct, frozen=True):
    """May this token charge? `ask_hq` means that only HQ can say.

    `limit_fen` 0 with `accepted` means without limit.
    """

    accepted: bool
    reason: RefusalReason = RefusalReason.NONE
    ask_hq: bool = False
    limit_fen: int = 0
    logical_card_no: str = ""


class _Head(Struct, frozen=True):
    """Which stored parts are the list that holds."""

    version: int
    part_count: int

    def has(self, part: PublishAccessList) -> bool:
        return (part.version, part.part_count) == (self.version, self.part_count)

    def stored(self) -> Change:
        return Put(KIND, _KEY, msgspec.msgpack.encode(self))


class _Part:
    """A part of a list, and its entries by token; the last entry of a token counts."""

    def __init__(self, source: PublishAccessList) -> None:
        self.source = source
        self.entries = {_key(entry.token): entry for entry in source.entries}

    def stored(self) -> Change:
        return Put(KIND, _part_key(self.source), msgspec.msgpack.encode(self.source))


class AccessList:
    """The tokens that the station knows."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        head = decode_one(stored, _KEY, _Head) or _Head(0, 0)
        blobs = {key: blob for key, blob in stored.items() if key.startswith(_PART)}
        parts = sorted(decode_all(blobs, PublishAccessList).values(), key=lambda part: part.part_no)
        self._held = [_Part(part) for part in parts if head.has(part)]
        self._parts = {part.part_no: _Part(part) for part in parts if not head.has(part)}
        self.version = head.version if len(self._held) == head.part_count else 0
        """Of the list that holds; 0 when there is none, or a part of it is lost."""

    def put(self, published: PublishAccessList) -> list[Change]:
        """Replace the list, or keep a part of one until all parts are there.

        Each part is stored and indexed by itself: a whole list would keep the event loop busy.

        Raises:
            ValueError: No such part can be.
        """
        if not 1 <= published.part_no <= published.part_count <= PARTS_MAX:
            raise ValueError(f"part {published.part_no} of {published.part_count}")
        head = _Head(published.version, published.part_count)
        others = [p.source for p in self._parts.values() if not head.has(p.source)]
        if any(other.version > published.version for other in others):
            return []  # a later list is on its way, in parts
        changes: list[Change] = []
        if others:
            keys = {_part_key(part.source) for part in self._parts.values()}
            changes += [Delete(KIND, key) for key in keys - self._held_keys()]
            self._parts.clear()
        part = _Part(published)
        self._parts[published.part_no] = part
        changes.append(part.stored())
        if len(self._parts) == published.part_count:
            changes += self._take(head)
        return changes

    def _take(self, head: _Head) -> list[Change]:
        """Have the parts that are all there take the place of the list before."""
        before = self._held_keys()
        self._held = [self._parts[no] for no in sorted(self._parts)]
        self._parts = {}
        self.version = head.version
        return [*(Delete(KIND, key) for key in before - self._held_keys()), head.stored()]

    def _held_keys(self) -> set[str]:
        return {_part_key(part.source) for part in self._held}

    def everything(self) -> list[Change]:
        """Return the stored form of the list."""
        parts = [part.stored() for part in (*self._held, *self._parts.values())]
        return [*parts, _Head(self.version, len(self._held)).stored()]

    def find(self, token: Token) -> AccessEntry | None:
        """Return the entry of a token, None when it is not on the list."""
        key = _key(token)
        found = (part.entries[key] for part in reversed(self._held) if key in part.entries)
        return next(found, None)

    def decide(
        self,
        token: Token,
        password: str,
        *,
        now_ms: int,
        online: bool,
        spent_fen: int,
        station_spent_fen: int,
        caps: Caps,
    ) -> Decision:
        """Decide about one request.

        Args:
            token: Who asks.
            password: What was typed, as the charge point sends it; "" for nothing.
            now_ms: Wall time, UTC milliseconds.
            online: Whether HQ can be asked and knows what was spent.
            spent_fen: Open and unsettled amounts of this token at this station.
            station_spent_fen: The same for everybody.
            caps: What is trusted while HQ is away.
        """
        entry = self.find(token)
        if entry is None:
            unknown = unknown_reason(token)
            return Decision(False, unknown, ask_hq=online)
        if (password or entry.password_md5) and password != entry.password_md5:
            return Decision(False, RefusalReason.WRONG_PASSWORD)
        if entry.frozen:
            return Decision(False, RefusalReason.TOKEN_FROZEN)
        if entry.expires_at is not None and entry.expires_at <= from_ms(now_ms):
            return Decision(False, RefusalReason.NOT_ALLOWED_HERE)
        rooms_fen = []
        if entry.limit_fen:
            rooms_fen.append(entry.limit_fen - entry.exposure_fen - spent_fen)
        if not online:
            rooms_fen += [caps.token_fen - spent_fen, caps.station_fen - station_spent_fen]
        left_fen = min(rooms_fen, default=None)
        if left_fen is not None and left_fen <= 0:
            # Orders may have settled since the list was made: only HQ knows what is still open.
            return Decision(False, RefusalReason.LIMIT_REACHED, ask_hq=online)
        return Decision(True, limit_fen=left_fen or 0, logical_card_no=entry.logical_card_no)


def unknown_reason(token: Token) -> RefusalReason:
    """Return why an unknown token is refused."""
    if token.kind is TokenKind.VIN:
        return RefusalReason.UNKNOWN_VIN
    return RefusalReason.UNKNOWN_TOKEN


def _key(token: Token) -> tuple[TokenKind, str]:
    return token.kind, normalise(token.kind, token.value)


def _part_key(part: PublishAccessList) -> str:
    return f"{_PART}{part.version}:{part.part_count}:{part.part_no}"
