"""Who may charge: the cached list of HQ, with a cap on what is trusted while HQ is away. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edge.journal import Change, Put
from edge.station.stored import decode_one
from shared.clock import from_ms
from shared.contracts.commands import AccessEntry, PublishAccessList
from shared.contracts.events import Token
from shared.contracts.words import RefusalReason, TokenKind

KIND = "access"
_KEY = "list"


class Caps(Struct, frozen=True):
    """What may be charged on trust while HQ is out of reach, fen."""

    token_fen: int
    station_fen: int


class Decision(Struct, frozen=True):
    """May this token charge? `ask_hq` means that only HQ can say."""

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

    def _take(self, published: PublishAccessList | None) -> None:
        self._source = published
        self.version = published.version if published else 0
        entries = published.entries if published else ()
        self._entries = {_key(entry.token): entry for entry in entries}

    def put(self, published: PublishAccessList) -> Change:
        """Replace the list."""
        self._take(published)
        return Put(KIND, _KEY, msgspec.msgpack.encode(published))

    def everything(self) -> list[Change]:
        """Return the stored form of the list."""
        return [] if self._source is None else [self.put(self._source)]

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
        left_fen = entry.limit_fen - entry.exposure_fen - spent_fen
        if not online:
            left_fen = min(
                left_fen, caps.token_fen - spent_fen, caps.station_fen - station_spent_fen
            )
        if left_fen <= 0:
            return Decision(False, RefusalReason.LIMIT_REACHED)
        return Decision(True, limit_fen=left_fen, logical_card_no=entry.logical_card_no)


def unknown_reason(token: Token) -> RefusalReason:
    """Return why an unknown token is refused."""
    if token.kind is TokenKind.VIN:
        return RefusalReason.UNKNOWN_VIN
    return RefusalReason.UNKNOWN_TOKEN


def _key(token: Token) -> tuple[TokenKind, str]:
    return token.kind, token.value.upper()
