"""Who may charge: the cached list of HQ, with a cap on what is trusted while HQ is away. Pure."""

from __future__ import annotations

from itertools import chain

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


class AccessList:
    """The tokens that the station knows."""

    def __init__(self, stored: dict[str, bytes]) -> None:
        """Take what the journal holds under `KIND`."""
        self._take(decode_one(stored, _KEY, PublishAccessList))
        blobs = {key: blob for key, blob in stored.items() if key.startswith(_PART)}
        self._parts = {part.part_no: part for part in decode_all(blobs, PublishAccessList).values()}

    def _take(self, published: PublishAccessList | None) -> None:
        self._source = published
        self.version = published.version if published else 0
        entries = published.entries if published else ()
        self._entries = {_key(entry.token): entry for entry in entries}

    def put(self, published: PublishAccessList) -> list[Change]:
        """Replace the list, or keep a part of one until all parts are there.

        Raises:
            ValueError: No such part can be.
        """
        if not 1 <= published.part_no <= published.part_count <= PARTS_MAX:
            raise ValueError(f"part {published.part_no} of {published.part_count}")
        same = (published.version, published.part_count)
        others = [p for p in self._parts.values() if (p.version, p.part_count) != same]
        if any(other.version > published.version for other in others):
            return []  # a later list is on its way, in parts
        changes = self._drop_parts() if others else []
        self._parts[published.part_no] = published
        if len(self._parts) < published.part_count:
            return [*changes, _stored_part(published)]
        entries = chain.from_iterable(self._parts[no].entries for no in sorted(self._parts))
        whole = PublishAccessList(version=published.version, entries=tuple(entries))
        changes += self._drop_parts()
        self._take(whole)
        return [*changes, _stored(whole)]

    def everything(self) -> list[Change]:
        """Return the stored form of the list."""
        whole = [] if self._source is None else [_stored(self._source)]
        return [*whole, *map(_stored_part, self._parts.values())]

    def _drop_parts(self) -> list[Change]:
        dropped: list[Change] = [Delete(KIND, f"{_PART}{no}") for no in self._parts]
        self._parts.clear()
        return dropped

    def find(self, token: Token) -> AccessEntry | None:
        """Return the entry of a token, None when it is not on the list."""
        return self._entries.get(_key(token))

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


def _stored(published: PublishAccessList) -> Change:
    return Put(KIND, _KEY, msgspec.msgpack.encode(published))


def _stored_part(part: PublishAccessList) -> Change:
    return Put(KIND, f"{_PART}{part.part_no}", msgspec.msgpack.encode(part))
