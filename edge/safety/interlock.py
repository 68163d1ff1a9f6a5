"""The interlock matrix: from a cause and its place to what is stopped, opened and sounded.

Pure: it names connectors and outputs; the engine acts on them.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from shared.contracts.protection import (
    Interlock,
    OpenContactor,
    Output,
    OutputKind,
    Protection,
    Reach,
    Reset,
)
from shared.protection import interlocks_of

Connector = tuple[str, int]
Place = tuple[str, int]
"""A connector, a charge point (connector 0) or the station (`("", 0)`), as latches name them."""

STATION: Place = ("", 0)
_SOUNDERS = (OutputKind.SIREN, OutputKind.STROBE)


class Action(Struct, frozen=True, kw_only=True):
    """What one cause does at one place.

    `connectors` are stopped, `places` are latched (none without a latch). `contactors`, by the
    names of their outputs, feed what is stopped and open at `open_contactors`. `sirens` are
    sirens and strobes, `speakers` loudspeakers for `message`; `no_new_starts` are the places that
    take no new charge while the cause lasts.
    """

    cause: str
    stop: Reach = Reach.NONE
    connectors: tuple[Connector, ...] = ()
    places: tuple[Place, ...] = ()
    contactors: tuple[str, ...] = ()
    open_contactors: OpenContactor = OpenContactor.NEVER
    sirens: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    message: str = ""
    reset: Reset = Reset.NO_LATCH
    role: str = "staff"
    no_new_starts: tuple[Place, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether it is a trip: something is stopped, or would be if anything charged."""
        return self.stop is not Reach.NONE


class Scope(Struct, frozen=True):
    """Where something was noticed: in zones, at a charge point or a connector, or anywhere.

    All empty is the whole station.
    """

    zones: tuple[str, ...] = ()
    place: Place = STATION


class Matrix:
    """The rows of one document, and the zones and outputs that they act on."""

    def __init__(self, protection: Protection) -> None:
        self.rows = {row.cause: row for row in interlocks_of(protection)}
        self._outputs = protection.outputs
        self._zone_of_device = {device.name: device.zone for device in protection.devices}
        self._zones_of_output = {output.name: output.zones for output in protection.outputs}
        # A zone without connectors protects nothing by itself: what it notices counts everywhere.
        self._zones = {zone.name: zone.connectors for zone in protection.zones}
        self._of_connector: dict[Connector, tuple[str, ...]] = {}
        for zone in protection.zones:
            for connector in zone.connectors:
                held = self._of_connector.get(connector, ())
                self._of_connector[connector] = (*held, zone.name)

    def act(
        self,
        code: str,
        object_: str,
        connectors_known: Iterable[Connector],
        *,
        ordered: bool = False,
    ) -> Action:
        """Return what a cause does, noticed at an object as alarms name it.

        A code without a row does nothing. An object that is bound to no zone, or is not known,
        is the whole station; a charge point or connector is itself. What is `ordered` stops
        exactly what the order names, however far the row reaches.
        """
        row = self.rows.get(code)
        if row is None:
            return Action(cause=code)
        scope = self.scope(object_)
        stop = Reach.CONNECTOR if ordered else row.stop
        places = self._places(stop, scope)
        stopped = tuple(sorted(each for each in set(connectors_known) if _covered(each, places)))
        contactors = self._contactors(places) if row.contactor is not OpenContactor.NEVER else ()
        return Action(
            cause=code,
            stop=stop,
            connectors=stopped,
            places=places if row.reset is not Reset.NO_LATCH else (),
            contactors=contactors,
            open_contactors=row.contactor if contactors else OpenContactor.NEVER,
            sirens=self._sounding(scope, _SOUNDERS) if row.sirens else (),
            speakers=self._sounding(scope, (OutputKind.SPEAKER,)) if row.message else (),
            message=row.message,
            reset=row.reset,
            role=row.role,
            no_new_starts=self._places(_widest(row), scope) if row.no_new_starts else (),
        )

    def scope(self, object_: str) -> Scope:
        """Return where an object stands."""
        kind, _, name = object_.partition(":")
        if kind == "sensor":
            zone = self._zone_of_device.get(name.partition("/")[0], "")
            return Scope(zones=(zone,)) if zone else Scope()
        if kind == "zone" and name in self._zones:
            return Scope(zones=(name,))
        if kind == "output":
            return Scope(zones=self._zones_of_output.get(name, ()))
        number, _, connector_no = name.partition(":")
        if kind == "charge_point" and number:
            return Scope(self._zones_of(number), (number, 0))
        if kind == "connector" and connector_no.isdecimal():
            place = (number, int(connector_no))
            return Scope(self._of_connector.get(place, ()), place)
        return Scope()

    def _zones_of(self, charge_point_no: str) -> tuple[str, ...]:
        return tuple(
            zone
            for zone, connectors in self._zones.items()
            if any(number == charge_point_no for number, _ in connectors)
        )

    def _places(self, reach: Reach, scope: Scope) -> tuple[Place, ...]:
        """Return what a reach covers; what is too narrow for its place takes the next wider."""
        if reach is Reach.NONE:
            return ()
        number, connector_no = scope.place
        if reach is Reach.CONNECTOR and connector_no:
            return (scope.place,)
        if reach in (Reach.CONNECTOR, Reach.CHARGE_POINT) and number:
            return ((number, 0),)
        if reach is Reach.STATION or not scope.zones:
            return (STATION,)
        bound = [self._zones.get(zone, ()) for zone in scope.zones]
        return tuple(sorted(set().union(*bound))) if all(bound) else (STATION,)

    def _contactors(self, places: tuple[Place, ...]) -> tuple[str, ...]:
        return tuple(
            output.name
            for output in self._outputs
            if output.kind is OutputKind.CONTACTOR
            and any(_covered(connector, places) for connector in output.connectors)
        )

    def _sounding(self, scope: Scope, kinds: tuple[OutputKind, ...]) -> tuple[str, ...]:
        """Return the outputs of the zones; all where a zone has none, so that it is heard."""
        outputs = [output for output in self._outputs if output.kind in kinds]
        near = [output for output in outputs if _heard(output, scope.zones)]
        return tuple(output.name for output in near or outputs)


def _covered(connector: Connector, places: tuple[Place, ...]) -> bool:
    return connector in places or (connector[0], 0) in places or STATION in places


def _heard(output: Output, zones: tuple[str, ...]) -> bool:
    return not zones or not output.zones or bool(set(zones) & set(output.zones))


def _widest(row: Interlock) -> Reach:
    """Return where new charges are refused: as far as the row stops, else in the zone."""
    return Reach.ZONE if row.stop is Reach.NONE else row.stop
