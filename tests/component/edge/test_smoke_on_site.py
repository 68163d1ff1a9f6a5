"""From HQ's document to the screen, on real lines: what people on site see, may do, and may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from edge.devices.sensors.profile import load_profiles
from edge.local_api import watch
from edge.station.pins import FILE, hash_pin, save_file
from edge.view import AlarmView, StationView
from ops.sim.car import Car
from ops.sim.charge_point import ChargePoint
from ops.sim.sensors.layout import Layout, Line
from ops.sim.sensors.site import SensorSite
from shared.contracts import commands as c
from shared.contracts.protection import (
    Device,
    Output,
    OutputKind,
    Pin,
    Protection,
    Quality,
    Quantity,
    Zone,
)
from shared.contracts.words import ConnectorStatus
from tests.component.edge.agent_support import (
    CARD,
    NUMBER,
    Running,
    charge_point,
    running,
    write_config,
)

STAFF, CHIEF = "274913", "8261"
PINS = (
    Pin(name="Wang", role="staff", hash=hash_pin(STAFF)),
    Pin(name="Zhao", role="chief", hash=hash_pin(CHIEF)),
)
PROTECTION = Protection(
    devices=(
        Device(
            name="smoke-a", line="field", unit_id=1, profile="calectro-ug3-mb", zone="A",
            title_zh="烟感", title_en="Smoke detector",
        ),
        Device(name="relays", line="field", unit_id=2, profile="waveshare-relay-d"),
    ),
    zones=(
        Zone(
            name="A", title_zh="A 区", title_en="Area A", connectors=((NUMBER, 1), (NUMBER, 2))
        ),
    ),
    outputs=(
        Output(
            name="siren", kind=OutputKind.SIREN, device="relays", point="relay1",
            read_back="input1", zones=("A",),
        ),
        Output(
            name="cut", kind=OutputKind.CONTACTOR, device="relays", point="relay2",
            read_back="input2", connectors=((NUMBER, 1),),
        ),
    ),
)  # fmt: skip


async def seen(path: Path, holds) -> StationView:
    """Return the first view on the screen of which something holds."""
    async with asyncio.timeout(20), aclosing(watch(path)) as views:
        async for view in views:
            if holds(view):
                return view
    raise AssertionError


def smoke_alarm(view: StationView) -> AlarmView | None:
    return next((alarm for alarm in view.alarms if alarm.code == "smoke"), None)


def siren_reads(view: StationView) -> bool | None:
    return next(output.reads_on for output in view.outputs if output.name == "siren")


async def reset(station: Running, pin: str) -> dict[str, object]:
    return await station.ask(
        do="reset", number=NUMBER, connector=1, reason="a burnt sausage", pin=pin
    )


@asynccontextmanager
async def protected(tmp_path: Path) -> AsyncIterator[tuple[Running, SensorSite]]:
    """Run a station by `PROTECTION`, with its devices on a real line."""
    layout = Layout(
        devices=PROTECTION.devices,
        zones=PROTECTION.zones,
        outputs=PROTECTION.outputs,
        lines=(Line(name="field"),),
    )
    async with SensorSite(layout, load_profiles()) as devices:
        port = devices.lines["field"].port
        line = f'[[line]]\nname = "field"\ntransport = "tcp"\nhost = "127.0.0.1"\nport = {port}\n'
        async with running(write_config(tmp_path, more=line)) as station:
            save_file(station.data_dir / FILE, PINS)
            await station.allow()
            await station.command(c.PublishProtection(version=1, protection=PROTECTION))
            yield station, devices


@asynccontextmanager
async def charging(station: Running, folder: Path) -> AsyncIterator[ChargePoint]:
    async with charge_point(station.port, folder) as point:
        await point.wait_for("ready")
        point.plug_in(1, Car.seeded(1, soc=0.3))
        point.swipe_card(1, CARD)
        await point.wait_for("charging", connector_no=1)
        yield point


async def test_smoke_is_seen_silenced_and_reset_by_the_chief_once_it_is_gone(
    tmp_path: Path,
) -> None:
    async with protected(tmp_path) as (station, devices), charging(station, tmp_path):
        await burn(station, devices)


async def burn(station: Running, devices: SensorSite) -> None:
    path = station.data_dir / "agent.sock"

    def is_calm(view: StationView) -> bool:
        smoke = [point for point in view.points if point.quantity is Quantity.SMOKE]
        return bool(smoke) and smoke[0].value == 0.0 and siren_reads(view) is False

    calm = await seen(path, is_calm)
    (point,) = [point for point in calm.points if point.quantity is Quantity.SMOKE]
    assert (point.title_zh, point.title_en) == (
        "A 区 烟感 烟雾报警",
        "Area A: Smoke detector Smoke",
    )
    assert (point.is_safety, point.quality, point.alarming) == (True, Quality.GOOD, False)
    assert calm.system.protection == "hq 1"

    devices.installation.devices["smoke-a"].set("smoke", 1.0)

    def is_proven(view: StationView) -> bool:
        alarm = smoke_alarm(view)
        return alarm is not None and alarm.trip_zero_ms is not None and siren_reads(view) is True

    view = await seen(path, is_proven)
    alarm = smoke_alarm(view)
    assert alarm is not None
    assert view.alarms[0] is alarm
    assert (alarm.place_zh, alarm.place_en) == ("A 区 烟感", "Area A: Smoke detector")
    assert alarm.stopped == ("01-A", "01-B")
    assert alarm.isolated == ("01-A",)
    assert alarm.trip_stop_ms is not None
    assert 0 < alarm.trip_stop_ms < 200
    assert alarm.trip_siren_ms is not None
    assert 0 < alarm.trip_siren_ms < 1000
    blocked = view.charge_points[0].connectors[0]
    assert (blocked.status, blocked.isolated) == (ConnectorStatus.ALARM, True)
    assert "smoke" in blocked.blocked_by

    assert (await station.ask(do="acknowledge", alarm_id=alarm.alarm_id, by="Li"))["ok"]
    acknowledged = await seen(path, lambda v: smoke_alarm(v).acknowledged_by == "Li")
    assert siren_reads(acknowledged) is True
    assert (await station.ask(do="silence", alarm_id=alarm.alarm_id, pin=STAFF))["ok"]
    await seen(path, lambda v: smoke_alarm(v).silenced and siren_reads(v) is False)

    assert "still reported" in str((await reset(station, CHIEF))["error"])
    devices.installation.devices["smoke-a"].release("smoke")
    gone = await seen(path, lambda v: not smoke_alarm(v).active)
    assert gone.charge_points[0].connectors[0].status is ConnectorStatus.ALARM
    assert "needs chief" in str((await reset(station, STAFF))["error"])
    assert (await reset(station, CHIEF))["by"] == "Zhao"

    def is_free(view: StationView) -> bool:
        connectors = view.charge_points[0].connectors
        return smoke_alarm(view) is None and not any(c.blocked_by for c in connectors)

    free = await seen(path, is_free)
    assert not any(connector.isolated for connector in free.charge_points[0].connectors)
    steps = await station.ask(do="trend", device="smoke-a", point="smoke", hours=1)
    assert max(step[3] for step in steps["steps"]) == 1.0


def ordered(view: StationView) -> AlarmView | None:
    return next((alarm for alarm in view.alarms if alarm.code == "emergency_stop"), None)


async def test_an_emergency_stop_of_hq_sounds_stops_and_shows_its_figures(tmp_path: Path) -> None:
    async with protected(tmp_path) as (station, _), charging(station, tmp_path):
        path = station.data_dir / "agent.sock"
        await seen(path, lambda view: siren_reads(view) is False)
        await station.command(c.EmergencyStop(charge_point_no=NUMBER, connector_no=1))

        def is_proven(view: StationView) -> bool:
            alarm = ordered(view)
            return alarm is not None and alarm.trip_zero_ms is not None and siren_reads(view)

        alarm = ordered(await seen(path, is_proven))
        assert alarm is not None
        assert alarm.stopped == ("01-A",)
        assert alarm.trip_stop_ms is not None
        assert alarm.trip_siren_ms is not None
        await station.command(c.ResetEmergencyStop(charge_point_no=NUMBER, connector_no=1))
        await seen(path, lambda view: ordered(view) is None and siren_reads(view) is False)


async def test_who_is_offline_is_cut_off_by_an_emergency_stop_and_not_by_a_stop(
    tmp_path: Path,
) -> None:
    async with protected(tmp_path) as (station, _):
        path = station.data_dir / "agent.sock"
        async with charging(station, tmp_path):
            pass

        def is_offline(view: StationView) -> bool:
            return not view.charge_points[0].online and siren_reads(view) is False

        await seen(path, is_offline)
        answer = await station.ask(do="stop", number=NUMBER, connector=1, pin=STAFF)
        assert (answer["ok"], answer["code"]) == (False, "offline")
        view = await seen(path, is_offline)
        assert not view.charge_points[0].connectors[0].isolated
        await station.command(c.EmergencyStop(charge_point_no=NUMBER))
        await seen(path, lambda view: view.charge_points[0].connectors[0].isolated)
