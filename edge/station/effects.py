"""What a decision leads to. Decisions return effects; the core carries them out, in order."""

from __future__ import annotations

from msgspec import Struct

from edge.devices.chargers.wishes import AnyWish
from edge.journal import Change
from shared.contracts.events import AnyEvent


class Confirm(Struct, frozen=True):
    """A record of a charge point that may be confirmed once all else here is durable."""

    charge_point_no: str
    token: int


class Effects:
    """The outcome of one decision.

    Attributes:
        wishes: Go to the charge points at once; nothing here waits for a disk.
        events: Facts for HQ, stored with `changes` in one commit.
        changes: The station's own durable state.
        wishes_after: Go out only after that commit.
        wishes_if_failed: Go out instead when the commit failed.
        confirms: Records confirmed only after that commit; never when it failed.
    """

    __slots__ = ("changes", "confirms", "events", "wishes", "wishes_after", "wishes_if_failed")

    def __init__(self) -> None:
        self.wishes: list[AnyWish] = []
        self.events: list[AnyEvent] = []
        self.changes: list[Change] = []
        self.wishes_after: list[AnyWish] = []
        self.wishes_if_failed: list[AnyWish] = []
        self.confirms: list[Confirm] = []

    @property
    def durable(self) -> bool:
        """Whether something has to be committed."""
        return bool(self.events or self.changes or self.wishes_after or self.confirms)

    def add(self, other: Effects) -> None:
        """Append another decision's effects to these."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))
