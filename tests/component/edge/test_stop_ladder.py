"""Charge points that do not stop, over real lines: each is cut off by its rung of the ladder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge.devices.sensors.profile import load_profiles
from ops.sim.car import Car
from ops.sim.charge_point import ChargePoint
from ops.sim.sensors.layout import Layout, Line
from ops.sim.sensors.site import SensorSite
from shared.contracts import commands as c
from shared.contracts.events import SafetyTripped
from shared.contracts.protection import (
    Device,
    Interlock,
    OpenContactor,
    Output,
    OutputKind,
    Protection,
    Reach,
    Zone,
)
from tests.component.edge.agent_support import (
    CARD,
    NUMBER,
    Running,
    charge_point,
    running,
    write_config,
)

CONNECTOR = (NUMBER, 1)
PROTECTION = Protection(
    devices=(
        Device(name="smoke-a", line="field", unit_id=1, profile="calectro-ug3-mb", zone="A"),
        Device(name="relays", line="field", unit_id=2, profile="waveshare-relay-d"),
    ),
    zones=(Zone(name="A", connectors=(CONNECTOR,)),),
    outputs=(
        Output(
            name="siren", kind=OutputKind.SIREN, device="relays", point="relay1",
            read_back="input1",
        ),
        Output(
            name="cut", kind=OutputKind.CONTACTOR, device="relays", point="relay2",
            read_back="input2", connectors=(CONNECTOR,),
        ),
    ),
    interlocks=(
        Interlock(
            cause="smoke", stop=Reach.ZONE, sirens=True, contactor=OpenContactor.UNCONFIRMED
        ),
    ),
)  # fmt: skip


class Plant:
    """An agent, a charge point that charges a car, and what stands around it."""

    def __init__(self, agent: Running, point: ChargePoint, devices: SensorSite) -> None:
        self.agent = agent
        self.point = point
        self.devices = devices
        self.trips: list[SafetyTripped] = []
        self.cut_s: float | None = None
        self.started_s = 0.0
        tell = agent.agent.station.guard._tell

        def heard(trip: object) -> object:
            effects = tell(trip)
            self.trips += [event for event in effects.events if isinstance(event, SafetyTripped)]
            return effects

        agent.agent.station.guard._tell = heard
        devices.installation.on_contactor = self._on_contactor

    def _on_contactor(self, place: tuple[str, int], is_open: bool) -> None:
        self.cut_s = asyncio.get_running_loop().time() - self.started_s if is_open else None
        self.point.switch_contactor(place[1], is_open=is_open)

    def smoke(self) -> None:
        self.started_s = asyncio.get_running_loop().time()
        self.devices.installation.devices["smoke-a"].set("smoke", 1.0)

    async def until(self, holds: Callable[[], bool], limit_s: float) -> None:
        async with asyncio.timeout(limit_s):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.02)

    def is_open(self, code: str, subject: str) -> bool:
        return self.agent.agent.station.alarms.is_open(code, subject)


@asynccontextmanager
async def plant(folder: Path) -> AsyncIterator[Plant]:
    layout = Layout(
        devices=PROTECTION.devices,
        zones=PROTECTION.zones,
        outputs=PROTECTION.outputs,
        lines=(Line(name="field"),),
    )
    async with SensorSite(layout, load_profiles()) as devices:
        port = devices.lines["field"].port
        line = f'[[line]]\nname = "field"\ntransport = "tcp"\nhost = "127.0.0.1"\nport = {port}\n'
        async with running(write_config(folder, more=line)) as station:
            await station.allow()
            await station.command(c.PublishProtection(version=1, protection=PROTECTION))
            async with charge_point(station.port, folder) as point:
                await point.wait_for("ready")
                point.plug_in(1, Car.seeded(1, soc=0.3))
                point.swipe_card(1, CARD)
                await point.wait_for("charging", connector_no=1)
                plant = Plant(station, point, devices)
                outputs = station.agent.station.safety.outputs
                await plant.until(lambda: outputs.agrees_since_s("cut") is not None, 10)
                live = station.agent.station.live
                await plant.until(
                    lambda: (
                        (sample := live.get(CONNECTOR).sample) is not None
                        and sample.current_da > 100
                    ),
                    10,
                )
                yield plant


@pytest.mark.parametrize("fault", ["ignore_stop", "false_stop"])
async def test_who_goes_on_charging_is_cut_off_at_six_seconds(tmp_path: Path, fault: str) -> None:
    async with plant(tmp_path) as site:
        site.point.set_fault(fault)
        site.smoke()
        # The car may be without current before the relay's answer says that it wrote.
        await site.until(
            lambda: (
                bool(site.trips)
                and site.trips[-1].zero_current_ms is not None
                and site.trips[-1].contactor_us is not None
            ),
            12,
        )
        assert site.cut_s is not None
        assert 6.0 <= site.cut_s < 7.0
        last = site.trips[-1]
        assert last.zero_current_ms is not None
        assert 6000 <= last.zero_current_ms < 8000
        assert last.siren_us is not None
        assert 0 < last.siren_us < 500_000
        assert last.contactors == ("cut",)
        assert {trip.trip_id for trip in site.trips} == {last.trip_id}
        assert not site.is_open("stop_not_confirmed", f"connector:{NUMBER}:1")


async def test_whose_link_is_lost_during_a_stop_is_cut_off_at_once(tmp_path: Path) -> None:
    async with plant(tmp_path) as site:
        site.point.set_fault("ignore_stop")
        site.smoke()
        await site.until(lambda: bool(site.trips), 5)
        lost_s = asyncio.get_running_loop().time()
        site.point.set_fault("link_down")
        await site.until(lambda: site.cut_s is not None, 5)
        assert asyncio.get_running_loop().time() - lost_s < 1.5
        safety = site.agent.agent.station.safety
        await site.until(lambda: not safety.stopping(CONNECTOR), 5)
        assert not site.is_open("stop_not_confirmed", f"connector:{NUMBER}:1")


@pytest.mark.parametrize("fault", ["weld", "weld_hidden"])
async def test_a_contactor_that_welds_is_said_and_so_is_the_stop(
    tmp_path: Path, fault: str
) -> None:
    async with plant(tmp_path) as site:
        site.point.set_fault("ignore_stop")
        site.devices.installation.devices["relays"].faults.set(fault, "relay2")
        site.smoke()
        await site.until(lambda: site.is_open("contactor_not_open", "output:cut"), 12)
        await site.until(lambda: site.is_open("stop_not_confirmed", f"connector:{NUMBER}:1"), 12)
        assert site.cut_s is None


async def test_who_obeys_keeps_its_supply(tmp_path: Path) -> None:
    async with plant(tmp_path) as site:
        site.smoke()
        await site.until(lambda: bool(site.trips) and site.trips[-1].zero_current_ms is not None, 8)
        assert site.cut_s is None
        assert not site.agent.agent.station.safety.outputs.is_isolated(CONNECTOR)
