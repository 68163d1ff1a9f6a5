"""What can be done at a simulated site: one vocabulary for script files and the control port.

Every action is a JSON or TOML table with `do` and its arguments, checked as a whole before
anything happens.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ops.sim.car import CHEMISTRIES, Car
from ops.sim.charge_point import ChargePoint
from ops.sim.connector import Limits
from ops.sim.faults import Faults
from ops.sim.site import Site


class CarSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A car: the seed decides what is not given. `chemistry` is lfp or ncm."""

    seed: int = 0
    vin: str | None = None
    chemistry: str | None = None
    capacity_kwh: float | None = None
    soc: float | None = None
    target_soc: float | None = None
    current_max_a: float | None = None
    temp_max_c: int | None = None
    temperature_c: float | None = None
    heating_c_per_s: float | None = None
    protects_itself: bool | None = None

    def __post_init__(self) -> None:
        if self.chemistry is not None and self.chemistry not in CHEMISTRIES:
            raise ValueError(f"chemistry {self.chemistry!r}, use {' or '.join(CHEMISTRIES)}")
        if self.vin is not None and len(self.vin) != 17:
            raise ValueError(f"vin {self.vin!r} has {len(self.vin)} characters, expected 17")
        if self.soc is not None and not 0 <= self.soc <= 1:
            raise ValueError(f"soc {self.soc}, expected 0..1")

    def make(self) -> Car:
        """Return the car."""
        given = {
            name: value
            for name, value in msgspec.structs.asdict(self).items()
            if value is not None and name != "seed"
        }
        if self.chemistry is not None:
            given["chemistry"] = CHEMISTRIES[self.chemistry]
        return Car.seeded(self.seed, **given)


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="do"):
    """Root of all actions."""

    async def run(self, site: Site) -> Any:
        """Do it; returns JSON values. Raises ActionError if it cannot be done."""
        raise NotImplementedError


class ActionError(Exception):
    """An action that is well formed but cannot be done here."""


class AtPoint(Action, frozen=True, kw_only=True):
    """Root of the actions at one charge point."""

    charge_point: str

    def point(self, site: Site) -> ChargePoint:
        """Return the charge point."""
        found = site.charge_points.get(self.charge_point)
        if found is None:
            raise ActionError(f"no charge point {self.charge_point}")
        return found


class AtConnector(AtPoint, frozen=True, kw_only=True):
    """Root of the actions at one connector."""

    connector: int = 1

    def point(self, site: Site) -> ChargePoint:
        """Return the charge point, which has this connector."""
        found = super().point(site)
        if self.connector not in found.machine.connectors:
            raise ActionError(f"charge point {self.charge_point} has no connector {self.connector}")
        return found


class PlugIn(AtConnector, frozen=True, tag="plug_in", kw_only=True):
    """Put the plug into a car."""

    car: CarSpec = CarSpec()

    async def run(self, site: Site) -> Any:
        """Return the car's VIN."""
        car = self.car.make()
        try:
            self.point(site).plug_in(self.connector, car)
        except ValueError as error:
            raise ActionError(str(error)) from error
        return {"vin": car.vin}


class LimitSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the driver sets at the charge point; 0 = none."""

    energy_dwh: int = 0
    amount_e4: int = 0
    duration_min: int = 0
    soc_percent: int = 0

    def make(self) -> Limits:
        """Return the limits."""
        return Limits(**msgspec.structs.asdict(self))


class Swipe(AtConnector, frozen=True, tag="swipe", kw_only=True):
    """Hold a card to the reader: starts, or stops what it started."""

    card: str
    password: str = ""
    limits: LimitSpec = LimitSpec()

    async def run(self, site: Site) -> Any:
        """Ask for the start, or stop."""
        point = self.point(site)
        point.swipe_card(
            self.connector, self.card, password=self.password, limits=self.limits.make()
        )


class Account(AtConnector, frozen=True, tag="account", kw_only=True):
    """Type an account number at the charge point."""

    account: str
    password: str = ""

    async def run(self, site: Site) -> Any:
        """Ask for the start."""
        self.point(site).use_account(self.connector, self.account, password=self.password)


class PresentVin(AtConnector, frozen=True, tag="vin", kw_only=True):
    """Let the plugged-in car identify itself."""

    limits: LimitSpec = LimitSpec()

    async def run(self, site: Site) -> Any:
        """Ask for the start."""
        self.point(site).present_vin(self.connector, limits=self.limits.make())


class SwipeParallel(AtPoint, frozen=True, tag="swipe_parallel", kw_only=True):
    """Start one charge over several connectors."""

    connectors: list[int]
    card: str

    async def run(self, site: Site) -> Any:
        """Ask for the starts."""
        self.point(site).swipe_card_parallel(self.connectors, self.card)


class PlugInParallel(AtPoint, frozen=True, tag="plug_in_parallel", kw_only=True):
    """Put several plugs into one car."""

    connectors: list[int]
    car: CarSpec = CarSpec()

    async def run(self, site: Site) -> Any:
        """Return the car's VIN."""
        car = self.car.make()
        for number in self.connectors:
            self.point(site).plug_in(number, car)
        return {"vin": car.vin}


class Unplug(AtConnector, frozen=True, tag="unplug", kw_only=True):
    """Pull the plug."""

    async def run(self, site: Site) -> Any:
        """Pull it, whatever runs."""
        self.point(site).unplug(self.connector)


class StopButton(AtConnector, frozen=True, tag="stop_button", kw_only=True):
    """Press the stop button."""

    async def run(self, site: Site) -> Any:
        """Press it."""
        self.point(site).press_stop(self.connector)


class EmergencyButton(AtPoint, frozen=True, tag="emergency_stop", kw_only=True):
    """Press the red button."""

    async def run(self, site: Site) -> Any:
        """Press it."""
        self.point(site).press_emergency_stop()


class CutPower(AtConnector, frozen=True, tag="cut_power", kw_only=True):
    """Open the contactor above a connector."""

    async def run(self, site: Site) -> Any:
        """Open it."""
        self.point(site).cut_power(self.connector)


class Contactor(AtConnector, frozen=True, tag="contactor", kw_only=True):
    """Open or close the contactor that feeds a connector, as the station's relay does."""

    is_open: bool

    async def run(self, site: Site) -> Any:
        """Switch it."""
        self.point(site).switch_contactor(self.connector, is_open=self.is_open)


class Overheat(AtConnector, frozen=True, tag="overheat", kw_only=True):
    """Let the battery of the plugged-in car heat up; its own BMS does not stop it."""

    c_per_s: float

    async def run(self, site: Site) -> Any:
        """Begin, by the simulated clock's seconds."""
        car = self.point(site).machine.connectors[self.connector].car
        if car is None:
            raise ActionError("no car is plugged in")
        car.heating_c_per_s = self.c_per_s
        car.protects_itself = False


class Fault(AtPoint, frozen=True, tag="fault", kw_only=True):
    """Set a fault (see `faults.py`); `value` false or 0 ends it."""

    name: str
    value: bool | int | float = True

    def __post_init__(self) -> None:
        Faults().set(self.name, self.value)

    async def run(self, site: Site) -> Any:
        """Set it."""
        self.point(site).set_fault(self.name, self.value)


class DropLink(AtPoint, frozen=True, tag="drop_link", kw_only=True):
    """Break the connection once."""

    async def run(self, site: Site) -> Any:
        """Break it."""
        self.point(site).drop_link()


class Garbage(AtPoint, frozen=True, tag="garbage", kw_only=True):
    """Send bytes that are no frame."""

    async def run(self, site: Site) -> Any:
        """Send them."""
        self.point(site).send_garbage()


class SecondLogin(AtPoint, frozen=True, tag="second_login", kw_only=True):
    """Log in with the same number on a second connection, from another address if given."""

    from_host: str = ""

    async def run(self, site: Site) -> Any:
        """Return the platform's first answer in hex, empty if it closed the connection."""
        return {"answer": (await self.point(site).second_login(self.from_host)).hex()}


class ResendRecord(AtPoint, frozen=True, tag="resend_record", kw_only=True):
    """Send a finished transaction's record again, with another total if wanted."""

    transaction_no: str
    add_energy_dwh: int = 0

    async def run(self, site: Site) -> Any:
        """Send it."""
        try:
            self.point(site).resend_record(self.transaction_no, add_energy_dwh=self.add_energy_dwh)
        except KeyError as error:
            raise ActionError(f"no finished transaction {self.transaction_no}") from error


class Reboot(AtPoint, frozen=True, tag="reboot", kw_only=True):
    """Switch a charge point off and on again."""

    async def run(self, site: Site) -> Any:
        """Switch it off."""
        self.point(site).reboot()


class Wait(AtPoint, frozen=True, tag="wait", kw_only=True):
    """Wait for an event; 0 or "" match any connector or transaction, several names any of them."""

    name: str | list[str]
    connector: int = 0
    transaction_no: str = ""
    since: int = 0
    timeout_s: float = 10.0

    async def run(self, site: Site) -> Any:
        """Return the event."""
        try:
            return await self.point(site).wait_for(
                self.name if isinstance(self.name, str) else tuple(self.name),
                connector_no=self.connector or None,
                transaction_no=self.transaction_no or None,
                since=self.since,
                timeout_s=self.timeout_s,
            )
        except TimeoutError as error:
            raise ActionError(str(error)) from error


class Events(AtPoint, frozen=True, tag="events", kw_only=True):
    """List what happened at a charge point."""

    since: int = 0

    async def run(self, site: Site) -> Any:
        """Return the events after `since`."""
        log = self.point(site).machine.log
        return [event for event in log.events if event.index > self.since]


class Status(Action, frozen=True, tag="status", kw_only=True):
    """Show what is going on."""

    async def run(self, site: Site) -> Any:
        """Return it by charge point."""
        return site.status()


class Transactions(Action, frozen=True, tag="transactions", kw_only=True):
    """Show the book."""

    async def run(self, site: Site) -> Any:
        """Return every finished transaction, and the numbers of the running ones."""
        contents = site.book.contents
        return {"entries": site.book.entries(), "open": sorted(contents.open)}


class Totals(Action, frozen=True, tag="totals", kw_only=True):
    """Show the sums of the book."""

    async def run(self, site: Site) -> Any:
        """Return them."""
        return site.book.totals()


AnyAction = (
    PlugIn
    | PlugInParallel
    | Swipe
    | SwipeParallel
    | Account
    | PresentVin
    | Unplug
    | StopButton
    | EmergencyButton
    | CutPower
    | Contactor
    | Overheat
    | Fault
    | DropLink
    | Garbage
    | SecondLogin
    | ResendRecord
    | Reboot
    | Wait
    | Events
    | Status
    | Transactions
    | Totals
)
