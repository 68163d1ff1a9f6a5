"""Connectors that are blocked until their cause is gone or a person has reset them."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from edge.journal import Change, Delete, Put

KIND = "latch"
STATION = ("", 0)
"""The place of a latch that blocks the whole station."""
UNREADABLE = "latch_unreadable"
"""Cause of the latch that stands for those that could not be read: nothing new is started."""
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
    """The set of latches. It acts at once; the changes that it returns are stored after.

    A place may be blocked for several causes; it is free when the last of them is lifted.
    """

    def __init__(self, stored: dict[str, bytes], *, trusted: bool) -> None:
        """Take what the journal holds under `KIND`.

        Args:
            stored: The stored latches, with a mark that they were stored at all.
            trusted: False after an unclean stop or a broken file: without the mark the station
                then starts blocked, as it does with a latch that cannot be read.
        """
        self._latches: dict[tuple[Place, str], Latch] = {}
        self.unreadable = not trusted and _MARK not in stored
        decoder = msgspec.msgpack.Decoder(Latch)
        for key, blob in stored.items():
            if key == _MARK:
                continue
            try:
                latch = decoder.decode(blob)
            except msgspec.MsgspecError:
                self.unreadable = True
                continue
            self._latches[latch.place, latch.cause] = latch
        if self.unreadable:
            self.distrust()

    def distrust(self) -> None:
        """Block the station: a latch was there that could not be read."""
        self.unreadable = True
        self._latches[STATION, UNREADABLE] = Latch(*STATION, UNREADABLE, 0)

    def everything(self) -> list[Change]:
        """Return the stored form: that latches are kept here, and each."""
        return [Put(KIND, _MARK, b"1"), *(self.set(latch) for latch in self.all())]

    def all(self) -> list[Latch]:
        """Return every latch."""
        return list(self._latches.values())

    def at(self, place: Place) -> list[Latch]:
        """Return the latches of exactly this place."""
        return [latch for latch in self._latches.values() if latch.place == place]

    def blocks(self, place: Place) -> Latch | None:
        """Return what blocks a connector: its own latch, its charge point's or the station's."""
        if not self._latches:
            return None
        for candidate in (place, (place[0], 0), STATION):
            if latches := self.at(candidate):
                return latches[0]
        return None

    def set(self, latch: Latch) -> Change:
        """Block a place."""
        self._latches[latch.place, latch.cause] = latch
        return Put(KIND, _key(latch), msgspec.msgpack.encode(latch))

    def release(self, latch: Latch) -> Change | None:
        """Lift a latch; None when it is not set."""
        if self._latches.pop((latch.place, latch.cause), None) is None:
            return None
        return Delete(KIND, _key(latch))


def _key(latch: Latch) -> str:
    return f"{latch.charge_point_no}:{latch.connector_no}:{latch.cause}"
