"""Which number is on which link, and who wins when two log in with one number. Pure.

A link is known by its id, which no other link of this process ever has: the late end of an old
link therefore never touches the number's new one.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """What to do with a login that the station would accept."""

    ADMIT = "admit"
    EVICT = "evict"
    PROBE = "probe"


class Probe(Struct, frozen=True):
    """The present holder of a number is asked whether it lives, since somebody else wants in."""

    charge_point_no: str
    holder_id: int
    challenger_id: int
    since_s: float


class Links:
    """The numbers' holders. Held only by the gateway."""

    def __init__(self) -> None:
        self._holders: dict[str, int] = {}
        self._probes: dict[str, Probe] = {}

    def holder(self, charge_point_no: str) -> int | None:
        """Return the link that this number is logged in on."""
        return self._holders.get(charge_point_no)

    def judge(self, charge_point_no: str, challenger_id: int, *, same_address: bool) -> Verdict:
        """Decide on a login: a new link from the same address has replaced the old one.

        From another address it may be a second device with the same number: the old link is
        asked first.
        """
        holder_id = self._holders.get(charge_point_no)
        if holder_id is None or holder_id == challenger_id:
            return Verdict.ADMIT
        return Verdict.EVICT if same_address else Verdict.PROBE

    def claim(self, charge_point_no: str, link_id: int) -> None:
        """Make `link_id` the number's link."""
        self._holders[charge_point_no] = link_id

    def release(self, charge_point_no: str, link_id: int) -> None:
        """Forget that a number was on `link_id`; nothing happens if it is elsewhere by now."""
        if self._holders.get(charge_point_no) == link_id:
            del self._holders[charge_point_no]

    def numbers(self) -> tuple[str, ...]:
        """Return all numbers that are logged in."""
        return tuple(self._holders)

    def begin_probe(self, charge_point_no: str, challenger_id: int, since_s: float) -> Probe | None:
        """Begin asking the holder; None while another challenger is being answered."""
        holder_id = self._holders.get(charge_point_no)
        if holder_id is None or charge_point_no in self._probes:
            return None
        probe = Probe(charge_point_no, holder_id, challenger_id, since_s)
        self._probes[charge_point_no] = probe
        return probe

    def end_probe(self, probe: Probe) -> None:
        """Forget a probe that has its answer."""
        if self._probes.get(probe.charge_point_no) is probe:
            del self._probes[probe.charge_point_no]
