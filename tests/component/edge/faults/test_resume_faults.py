"""Nothing resumes by itself: not after false smoke, not after the power was gone (S6, S8)."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from edge.devices.chargers.ykc import messages
from tests.component.edge.faults.plant import (
    DETECTOR,
    THERMOMETER,
    Plant,
    line,
    make_field,
    plant,
    plant_config,
    serving,
)
from tests.component.edge.faults.support import (
    agent_process,
    charger,
    heard_by_now,
    until_confirmed,
)

_STARTS = {0x34, 0xA4}


async def test_false_smoke_resumes_only_when_a_person_resets_it(tmp_path: Path) -> None:
    async with plant(tmp_path) as site:
        assert await site.swipe(1)
        site.smoke(on=True)
        await site.link.expect(messages.RemoteStop)
        site.leave(1)
        assert not (await site.reset())["ok"], "reset while the smoke is there"
        site.smoke(on=False)
        await site.until_polled(times=10)
        assert not await site.swipe(1), "resumed when the smoke was gone"
        assert not (await site.reset(pin="0000"))["ok"]
        staff = site.agent.data_dir / "pins.json"
        pins = json.loads(staff.read_text())
        staff.write_text(json.dumps([{**pins[0], "role": "staff"}]))
        assert not (await site.reset())["ok"], "smoke is reset by a chief"
        staff.write_text(json.dumps(pins))
        assert not await site.swipe(1)
        await site.reset_all()
        assert not _STARTS & set(await heard_by_now(site.link))
        assert await site.swipe(1)


async def test_a_trip_outlives_a_restart(tmp_path: Path) -> None:
    field = make_field()
    async with line(field) as port:
        site = Plant(field, plant_config(tmp_path, port))
        async with serving(site):
            site.smoke(on=True)
            await site.link.expect(messages.RemoteStop)
            await site.until_alarm("smoke")
            site.smoke(on=False)
        async with serving(site):
            assert not await site.swipe(1)
            await site.reset_all()
            assert await site.swipe(1)


@pytest.mark.parametrize("missing", [DETECTOR, THERMOMETER])
async def test_after_the_power_was_gone_nothing_starts_before_every_sensor_lives(
    tmp_path: Path, missing: int
) -> None:
    field = make_field()
    async with line(field) as port:
        config = plant_config(tmp_path, port)
        async with agent_process(config, tmp_path / "data") as agent:
            async with charger(agent.port) as link:
                await until_confirmed(link)  # the latches are stored by now, too
            agent.process.send_signal(signal.SIGKILL)
            await agent.process.wait()
        site = Plant(field, config)
        field.units[missing].dead = True
        async with serving(site):
            await site.until_alarm("self_test")
            await site.until_polled(missing, times=2)
            assert not await site.swipe()
            field.units[missing].dead = False
            await site.until_alarm("self_test", gone=True)
            assert await site.swipe()
