"""Smoke at a station of the demo: what has to happen, and what must not until it is reset."""

from __future__ import annotations

from typing import Any

from edge.local_api import ask
from ops.demo.children import DemoError
from ops.demo.field import SIREN, SMOKE_DETECTOR, ZONE_A, connectors_of
from ops.demo.stage import Say, Stage, StationProcesses
from ops.sim.control import ControlError

CAUSE = "smoke"
ZONE = ZONE_A
_CHARGING_MIN = 2
_SIREN_LIMIT_S = 15.0
_PATIENCE_S = 3.0  # nobody waits long for a charge where the siren sounds


async def fire(stage: Stage, station: StationProcesses, say: Say) -> list[str]:
    """Let it burn under charging cars, put it out, reset on site; returns what was wrong.

    Raises:
        DemoError: A step did not come about at all.
    """
    watch = _Watch(stage, station)
    station.customers.patience_s = _PATIENCE_S
    await stage.until("cars charge in the zone", watch.are_charging)
    since = (await station.at_field("status"))["last_event"]
    await station.at_field("fire", zone=ZONE)
    try:
        await _wait_for_siren(station, since)
        await stage.until("HQ has the alarm and the trip", watch.is_at_hq)
        await stage.until("the zone is blocked and without current", watch.is_blocked)
        marks = await watch.marks()
    finally:
        await station.at_field("put_out", air=True)
    say(f"the zone is blocked; resetting {station.plan.station_no} on site")
    await stage.until("the detector is clear", watch.is_clear)
    problems = await watch.started_since(marks)
    try:
        await stage.until("the reset on site is accepted", watch.is_reset)
    except DemoError as error:
        raise DemoError(f"{error}: {watch.refusal}") from error
    await stage.until("the siren is off and the contactors are closed", watch.is_quiet)
    await stage.until("cars charge there again", watch.are_charging)
    return problems


async def _wait_for_siren(station: StationProcesses, since: int) -> None:
    siren = next(o for o in station.document.outputs if o.name == SIREN[ZONE])
    place: dict[str, Any] = {"device": siren.device, "point": siren.point, "value": 1}
    wait = {"name": "switched", **place, "since": since, "timeout_s": _SIREN_LIMIT_S}
    try:
        await station.at_field("wait", **wait)
    except ControlError as error:
        raise DemoError(f"the siren stayed silent: {error}") from error


async def release(station: StationProcesses, cause: str = "") -> str:
    """Lift the latches of a station on site, of one cause or all; returns why not, if so."""
    refusals = []
    for latch in (await station.agent_state())["latches"]:
        if cause in ("", latch["cause"]):
            answer = await ask(
                station.socket,
                {
                    "do": "reset",
                    "number": latch["charge_point_no"],
                    "connector": latch["connector_no"],
                    "reason": "no fire",
                    "pin": station.pin,
                },
            )
            if "error" in answer:
                refusals.append(str(answer["error"]))
    return "; ".join(dict.fromkeys(refusals))


class _Watch:
    """Looks at a station from all sides: its devices, its agent, HQ."""

    def __init__(self, stage: Stage, station: StationProcesses) -> None:
        self._stage = stage
        self._station = station
        self._places = connectors_of(station.plan, ZONE)
        self.refusal = ""

    async def _connectors(self) -> list[dict[str, Any]]:
        status = await self._station.status()
        return [status[number]["connectors"][str(n)] for number, n in self._places]

    async def are_charging(self) -> bool:
        """Current flows at enough connectors of the zone."""
        flowing = [bool(connector["current_da"]) for connector in await self._connectors()]
        return sum(flowing) >= _CHARGING_MIN

    async def is_at_hq(self) -> bool:
        """HQ has the open alarm, and the trip with its siren and its zero current."""
        station_no = self._station.plan.station_no
        alarms = await self._stage.hq.read("/alarms", station=station_no, code=CAUSE)
        alarm: bool = any(item["cleared_at"] is None for item in alarms["items"])
        trips = [trip async for trip in self._stage.hq.read_all("/alarms/trips")]
        mine = [trip for trip in trips if trip["cause"] == CAUSE]
        return alarm and any(
            trip["siren_us"] is not None and trip["zero_current_ms"] is not None for trip in mine
        )

    async def is_blocked(self) -> bool:
        """Every connector of the zone is latched, isolated and without current."""
        latches = await self._latched()
        connectors = await self._connectors()
        outputs = (await self._station.at_field("status"))["outputs"]
        return (
            set(self._places) <= latches
            and outputs[SIREN[ZONE]]["is_on"]
            and all(c["isolated"] and not c["current_da"] for c in connectors)
        )

    async def _latched(self) -> set[tuple[str, int]]:
        latches = (await self._station.agent_state())["latches"]
        return {
            (latch["charge_point_no"], latch["connector_no"])
            for latch in latches
            if latch["cause"] == CAUSE
        }

    async def marks(self) -> dict[str, int]:
        """Return the latest event of each charge point."""
        return {no: point["last_event"] for no, point in (await self._station.status()).items()}

    async def started_since(self, marks: dict[str, int]) -> list[str]:
        """Return which charges began in the zone although it is blocked."""
        found = []
        for number in dict(self._places):
            events = await self._station.at_chargers(
                "events", charge_point=number, since=marks[number]
            )
            found += [
                f"a charge began at {number}-{event['connector_no']} in spite of smoke"
                for event in events
                if event["name"] == "charging"
            ]
        return found

    async def is_clear(self) -> bool:
        """The detector no longer sees smoke."""
        status = await self._station.at_field("status")
        return not status["devices"][SMOKE_DETECTOR[ZONE]]["values"][CAUSE]

    async def is_reset(self) -> bool:
        """Try to lift every latch; the station refuses until the cause is gone."""
        self.refusal = await release(self._station, CAUSE)
        return not self.refusal and not await self._latched()

    async def is_quiet(self) -> bool:
        """The siren is off, and every connector of the zone is fed."""
        outputs = (await self._station.at_field("status"))["outputs"]
        fed = [not connector["isolated"] for connector in await self._connectors()]
        return not outputs[SIREN[ZONE]]["is_on"] and all(fed)
