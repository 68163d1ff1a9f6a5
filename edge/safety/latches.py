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
    object: str = ""
    """Where the cause was noticed, as alarms name it; "" is the place itself."""
    opened: bool = False
    """The contactors above the place were opened with it."""

    @property
    def place(self) -> Place:
        """What is blocked: a connector, a charge point (connector 0) or the station."""
        return self.charge_point_no, self.connector_no

    @property
    def subject(self) -> str:
        """The object of the alarm that this latch belongs to."""
        return self.object or subject_of(self.place)


def subject_of(place: Place) -> str:
    """Return the name that alarms give a place."""
    number, connector_no = place
    if not number:
        return "station"
    return f"connector:{number}:{connector_no}" if connector_no else f"charge_point:{number}"


def place_covers(place: Place, connector: Place) -> bool:
    """Whether a place is this connector, its charge point or the station."""
    return place in (connector, (connector[0], 0), STATION)


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
        self._latches: dict[Place, dict[tuple[str, str], Latch]] = {}
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
            self._keep(latch)
        if self.unreadable:
            self.distrust()

    def distrust(self) -> None:
        """Block the station: a latch was there that could not be read."""
        self.unreadable = True
        self._keep(Latch(*STATION, UNREADABLE, 0))

    def everything(self) -> list[Change]:
        """Return the stored form: that latches are kept here, and each."""
        return [Put(KIND, _MARK, b"1"), *(self.set(latch) for latch in self.all())]

    @property
    def none_set(self) -> bool:
        """Whether nothing is blocked."""
        return not self._latches

    def all(self) -> list[Latch]:
        """Return every latch."""
        return [latch for latches in self._latches.values() for latch in latches.values()]

    def together(self, latch: Latch) -> list[Latch]:
        """Return what the cause of a latch, or the order of HQ, has latched wherever it blocks."""
        return [
            each
            for each in self.all()
            if (each.cause, each.subject, each.by_hq) == (latch.cause, latch.subject, latch.by_hq)
        ]

    def at(self, place: Place) -> list[Latch]:
        """Return the latches of exactly this place."""
        return list(self._latches.get(place, {}).values())

    def blocks(self, place: Place) -> Latch | None:
        """Return what blocks a connector: its own latch, its charge point's or the station's."""
        if not self._latches:
            return None
        for candidate in (place, (place[0], 0), STATION):
            if latches := self.at(candidate):
                # Those that could not be read hide nothing that is known.
                return min(latches, key=lambda latch: latch.cause == UNREADABLE)
        return None

    def blocks_only(self, place: Place, cause: str) -> bool:
        """Whether nothing but this cause blocks a connector."""
        return all(latch.cause == cause for latch in self.all() if place_covers(latch.place, place))

    @property
    def unreadable_stands(self) -> bool:
        """Whether the station is still blocked because its latches could not be read."""
        return any(latch.cause == UNREADABLE for latch in self.all())

    def set(self, latch: Latch) -> Change:
        """Block a place."""
        self._keep(latch)
        return Put(KIND, _key(latch), msgspec.msgpack.encode(latch))

    def release(self, latch: Latch) -> Change | None:
        """Lift a latch; None when it is not set."""
        here = self._latches.get(latch.place, {})
        if here.pop((latch.cause, latch.object), None) is None:
            return None
        if not here:
            del self._latches[latch.place]
        return Delete(KIND, _key(latch))

    def _keep(self, latch: Latch) -> None:
        self._latches.setdefault(latch.place, {})[latch.cause, latch.object] = latch


def _key(latch: Latch) -> str:
    key = f"{latch.charge_point_no}:{latch.connector_no}:{latch.cause}"
    return f"{key}:{latch.object}" if latch.object else key
