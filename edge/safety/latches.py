"""Connectors that are blocked until their cause is gone or a person has reset them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put

KIND = "latch"
STATION = ("", 0)
"""The place of a latch that blocks the whole station."""
_MARK = "_mark"

Place = tuple[str, int]


class Latch(Struct, frozen=True):
    """Why a place is blocked. `by_hq` latches are lifted by HQ, others on site only."""

    charge_point_no: str
    connector_no: int
    cause: str
    set_ms: int
    by_hq: bool = False
    until_unplugged: bool = False

    @property
    def place(self) -> Place:
        """What is blocked: a connector, a charge point (connector 0) or the station."""
        return self.charge_point_no, self.connector_no


class Latches:
    """The set of latches. It acts at once; the changes that it returns are stored after."""

    def __init__(self, stored: dict[str, bytes], *, trusted: bool) -> None:
        """Take what the journal holds under `KIND`.

        Args:
            stored: The stored latches, with a mark that they were stored at all.
            trusted: False after an unclean stop or a broken file: without the mark the station
                then starts blocked.
        """
        decoder = msgspec.msgpack.Decoder(Latch)
        latches = [decoder.decode(blob) for key, blob in stored.items() if key != _MARK]
        self._by_place = {latch.place: latch for latch in latches}
        self.unreadable = not trusted and _MARK not in stored
        if self.unreadable:
            self._by_place[STATION] = Latch("", 0, "latch_unreadable", 0)

    def mark(self) -> Change:
        """Return the change that says: latches are kept here."""
        return Put(KIND, _MARK, b"1")

    def all(self) -> list[Latch]:
        """Return every latch."""
        return list(self._by_place.values())

    def blocks(self, place: Place) -> Latch | None:
        """Return what blocks a connector: its own latch, its charge point's or the station's."""
        for candidate in (place, (place[0], 0), STATION):
            if latch := self._by_place.get(candidate):
                return latch
        return None

    def set(self, latch: Latch) -> Change:
        """Block a place."""
        self._by_place[latch.place] = latch
        return Put(KIND, _key(latch.place), msgspec.msgpack.encode(latch))

    def release(self, place: Place) -> Change | None:
        """Lift the latch of exactly this place; None when there is none."""
        if self._by_place.pop(place, None) is None:
            return None
        return Delete(KIND, _key(place))

    def get(self, place: Place) -> Latch | None:
        """Return the latch of exactly this place."""
        return self._by_place.get(place)


def _key(place: Place) -> str:
    return f"{place[0]}:{place[1]}"
