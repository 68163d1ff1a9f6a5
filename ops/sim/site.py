"""A simulated site: the charge points of one station, with one book."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ops.sim.book import Book
from ops.sim.charge_point import ChargePoint
from ops.sim.machine import ChargePointSpec
from ops.sim.outage import Outage
from ops.sim.timing import NORMAL, TimingProfile
from shared.clock import Clock


class Site:
    """Charge points in this process. Use as a context manager inside a running loop.

    Args:
        specs: What stands there.
        book_path: The site's book; None keeps it in memory only.
        host: The station.
        port: The station's port for charge points.
        clock: Wall time; may be scaled.
        timing: Real-time periods.
        seed: Same seed, same script: same frame contents except times.
        outage: Told when charge points cannot connect.
    """

    def __init__(
        self,
        specs: Iterable[ChargePointSpec],
        *,
        book_path: Path | None,
        host: str,
        port: int,
        clock: Clock | None = None,
        timing: TimingProfile = NORMAL,
        seed: int = 0,
        outage: Outage | None = None,
    ) -> None:
        self.book = Book(book_path)
        self.seed = seed
        self._outage = outage
        self.charge_points = {
            spec.charge_point_no: ChargePoint(
                spec,
                book=self.book,
                host=host,
                port=port,
                clock=clock,
                timing=timing,
                seed=seed,
                outage=outage,
            )
            for spec in specs
        }

    def start(self) -> None:
        """Let every charge point connect."""
        for point in self.charge_points.values():
            point.start()

    async def stop(self) -> None:
        """Disconnect everything and close the book."""
        for point in self.charge_points.values():
            await point.stop()
        if self._outage is not None:
            self._outage.stop()
        self.book.close()

    async def __aenter__(self) -> Site:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Wait until every charge point has logged in and reports live.

        Raises:
            TimeoutError: One did not.
        """
        for point in self.charge_points.values():
            await point.wait_for("ready", timeout_s=timeout_s)

    def status(self) -> dict[str, Any]:
        """Return what is going on now, JSON values only."""
        return {no: _status(point) for no, point in self.charge_points.items()}


def _status(point: ChargePoint) -> dict[str, Any]:
    machine = point.machine
    connectors = {}
    for number, connector in machine.connectors.items():
        charge, car = connector.charge, connector.car
        voltage_dv, current_da = connector.output(machine.power_percent)
        connectors[str(number)] = {
            "plugged_in": car is not None,
            "vin": car.vin if car else "",
            "soc_percent": car.soc_percent if car else 0,
            "temperature_c": car.temp_high_c if car else 0,
            "transaction_no": charge.transaction_no if charge else "",
            "energy_dwh": charge.split.energy_dwh if charge else 0,
            "amount_e4": charge.split.amount_e4 if charge else 0,
            "voltage_dv": voltage_dv,
            "current_da": current_da,
            "meter_dwh": connector.meter.reading_dwh,
            "bay_lock": connector.bay_lock,
            "isolated": connector.isolated,
        }
    model = machine.session.model
    return {
        "logged_in": machine.session.logged_in,
        "ready": machine.session.ready,
        "model_no": model.model_no if model else "",
        "program_version": machine.device.program_version,
        "faults": machine.faults.active(),
        "last_event": machine.log.count,
        "unconfirmed": len(machine.book.unconfirmed(machine.no)),
        "connectors": connectors,
    }
