"""What people on site may do over the local socket: at the screen, or by `vw edge`.

Seeing and saying that one has seen need no PIN; whatever changes what the station does, does.
Who did it goes into the fact: the name of the PIN.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from msgspec import to_builtins

from edge.local_api import WRONG, Answer, Handler, LocalApiError
from edge.safety.hands import ISOLATED
from edge.safety.ladder import ORDINARY
from edge.safety.latches import STATION, Latch, Place, place_covers
from edge.station.core import Station
from edge.station.effects import Effects
from edge.station.open_transaction import Stage
from edge.station.pins import ROLES
from shared.clock import from_ms
from shared.contracts.events import TransactionStoppedOnSite

logger = logging.getLogger(__name__)

_BY_MAX = 40
_REASON_MAX = 200
_ON_SITE = "on site"
_MINUTE_MS = 60_000

Request = dict[str, Any]


class SiteActions:
    """Carries requests of people on site out; each method answers one kind of request."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def handlers(self) -> dict[str, Handler]:
        """Return the requests by name."""
        return {
            "acknowledge": self.acknowledge,
            "silence": self.silence,
            "shelve": self.shelve,
            "instruction": self.instruction,
            "trend": self.trend,
            "stop": self.stop,
            "reset": self.reset,
            "drill": self.drill,
            "pins": self.pins,
            "alarms": self.alarms,
        }

    # Without a PIN

    def acknowledge(self, request: Request) -> Answer:
        """Somebody saw an alarm."""
        station = self._station
        alarm_id, by = _id(request, "alarm_id"), _by(request)
        station.perform(station.alarms.acknowledge(alarm_id, by, station.now().wall_ms))
        return {}

    def instruction(self, request: Request) -> Answer:
        """Somebody read what HQ asks for."""
        station = self._station
        instruction_id = _id(request, "instruction_id")
        now_ms = station.now().wall_ms
        station.perform(station.instructions.acknowledge(instruction_id, _by(request), now_ms))
        return {}

    def trend(self, request: Request) -> Answer:
        """What a point did in the last hours."""
        station = self._station
        device, point = str(request.get("device", "")), str(request.get("point", ""))
        points = station.screen.points
        if (device, point) not in points.latest():
            raise LocalApiError("no_values", f"point: {device}/{point} has not been heard of")
        hours = float(request.get("hours") or 24)
        steps = points.trend(device, point, hours, station.now().wall_ms)
        return {"steps": to_builtins(steps)}

    async def pins(self, _request: Request) -> Answer:
        """Whose PINs there are, after reading the station's own list again."""
        await self._station.pins.refresh()
        people = self._station.pins.people()
        ours = self._station.pins.set_on_site()
        return {
            "people": [
                {
                    "name": person.name,
                    "role": person.role,
                    "set_by": "site" if person in ours else "hq",
                }
                for person in people
            ]
        }

    def alarms(self, _request: Request) -> Answer:
        """All open alarms, worst first, as the screen shows them."""
        return {"alarms": to_builtins(self._station.screen.alarms())}

    # With one

    async def silence(self, request: Request) -> Answer:
        """Switch the sound of an alarm off."""
        by = await self._who(request)
        station, alarm_id = self._station, _id(request, "alarm_id")
        alarm = station.alarms.get(alarm_id)
        effects = station.alarms.silence(alarm_id, by, station.now().wall_ms)
        station.guard.on_silenced(alarm)
        station.perform(effects)
        return {"by": by}

    async def shelve(self, request: Request) -> Answer:
        """Put an alarm aside for some minutes; 0 takes it back."""
        by = await self._who(request)
        station, now = self._station, self._station.now()
        minutes = float(request.get("minutes") or 0)
        until_ms = now.wall_ms + int(minutes * _MINUTE_MS) if minutes else None
        reason = _reason(request)
        alarm_id = _id(request, "alarm_id")
        station.perform(station.alarms.shelve(alarm_id, until_ms, reason, by, now))
        return {"by": by}

    async def stop(self, request: Request) -> Answer:
        """Stop the charge at a connector."""
        connector = _connector(request)
        by = await self._who(request)
        station, now = self._station, self._station.now()
        if not station.live.knows(connector):
            raise LocalApiError("no_connector", "connector: there is no such connector here")
        if not station.live.get(connector).online:
            # It would be sent when the charge point is back, to whoever charges then.
            raise LocalApiError(
                "offline", "the charge point is offline: press its own emergency stop"
            )
        effects = Effects()
        running = station.book.on_connector(connector)
        if running is not None and running.stage is not Stage.ENDED:
            effects.add(station.book.stop(running))
            effects.events.append(
                TransactionStoppedOnSite(occurred_at=from_ms(now.wall_ms), by=by, **running.names())
            )
        if not effects.wishes:
            # What flows without a transaction, after it, or not yet seen again is stopped as
            # well; what does not flow is no harm.
            station.safety.stop(connector, ORDINARY, now)
        logger.warning("stopped on site connector=%s-%s by=%s", *connector, by)
        station.perform(effects)
        return {"by": by}

    async def reset(self, request: Request) -> Answer:
        """Lift the latches of a place and of all in it, unless a cause is still there.

        What HQ blocked inside a wider place stays: whoever blocked a connector knows why.
        """
        reason = _reason(request)
        if not reason:
            raise LocalApiError("reason", "reason: say why it is safe")
        number, connector_no = str(request.get("number", "")), int(request.get("connector") or 0)
        place = (number, connector_no) if number else STATION
        latches = self._resettable(place)
        role = self._role_for(latches)
        by = await self._who(request, role)
        # While the PIN was looked at, things may have changed.
        latches = self._resettable(place)
        if ROLES.index(self._role_for(latches)) > ROLES.index(role):
            raise LocalApiError(
                "blocked_anew", "something else blocks it now: look again, then try again"
            )
        effects, now = Effects(), self._station.now()
        for latch in latches:
            effects.add(self._station.guard.release(latch, now, reason, by))
            logger.warning(
                "latch released place=%s cause=%s by=%s reason=%s", place, latch.cause, by, reason
            )
        self._station.perform(effects)
        return {"released": ", ".join(dict.fromkeys(latch.cause for latch in latches)), "by": by}

    def _role_for(self, latches: list[Latch]) -> str:
        roles = {self._station.protection.role_for(latch.cause) for latch in latches}
        return max(roles, key=ROLES.index)

    def _resettable(self, place: Place) -> list[Latch]:
        station = self._station
        latches = [
            latch
            for latch in station.latches.all()
            if latch.place == place or (not latch.by_hq and place_covers(place, latch.place))
        ]
        if not latches:
            raise LocalApiError("not_blocked", "nothing is blocked there")
        wider = any(
            latch.place != place and place_covers(latch.place, place)
            for latch in station.latches.all()
        )
        if wider and any(latch.cause == ISOLATED for latch in latches):
            raise LocalApiError("wider", "something wider blocks it too: reset that first")
        now = station.now()
        if any(station.safety.is_dangerous(latch.place, now) for latch in latches):
            raise LocalApiError(
                "still_dangerous",
                "what tripped is still reported: remove the cause, unplug the vehicle, "
                "or wait a minute",
            )
        return latches

    async def drill(self, request: Request) -> Answer:
        """Try sirens and their read-back; nothing is stopped."""
        by = await self._who(request)
        self._station.guard.start_drill(by)
        return {"by": by}

    async def _who(self, request: Request, role: str = "staff") -> str:
        return await self._station.pins.check(str(request.get("pin") or ""), role)


def _id(request: Request, name: str) -> UUID:
    try:
        return UUID(str(request.get(name, "")))
    except ValueError as error:
        raise LocalApiError(WRONG, f"{name}: not an id") from error


def _by(request: Request) -> str:
    return _text(request, "by", _BY_MAX) or _ON_SITE


def _reason(request: Request) -> str:
    return _text(request, "reason", _REASON_MAX)


def _text(request: Request, name: str, letters_max: int) -> str:
    # JSON can carry half a letter, which no file, fact or screen takes: it must change nothing.
    text = str(request.get(name) or "").strip()
    if len(text) > letters_max or not text.isprintable():
        raise LocalApiError(WRONG, f"{name}: up to {letters_max} printable letters")
    return text


def _connector(request: Request) -> tuple[str, int]:
    number, connector_no = str(request.get("number", "")), int(request.get("connector") or 0)
    if not number or not connector_no:
        raise LocalApiError(WRONG, "number, connector: which connector is meant")
    return number, connector_no
