"""A line that lies, and smoke that flaps (S1, S2)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from edge.devices.chargers.ykc import messages
from tests.component.edge.faults.plant import (
    BULK,
    DETECTOR,
    FAULTS,
    PERIOD_S,
    SILENT,
    SMOKE,
    THERMOMETER,
    document,
    plant,
)

_FAULT_LIMIT_S = 3 * PERIOD_S + 0.7
"""Three polls, the answers that each waits for, and this test's own look at the alarms."""
_OTHERS_LIMIT_S = 2.0


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_detector_that_cannot_be_read_is_a_fault_and_delays_nobody(
    tmp_path: Path, fault: str
) -> None:
    async with plant(tmp_path) as site:
        await site.until_alarm("detector_fault", gone=True)
        site.field.faults[DETECTOR] = fault
        started_s = time.monotonic()
        await site.until_alarm("detector_fault")
        assert time.monotonic() - started_s < _FAULT_LIMIT_S
        assert "smoke" not in await site.alarms()
        await site.until(lambda: time.monotonic() - started_s > _OTHERS_LIMIT_S * 1.5)
        for unit_id in (THERMOMETER, BULK):
            read_s = [at_s for at_s in site.units[unit_id].read_s if at_s > started_s]
            gaps_s = [
                later - earlier
                for earlier, later in zip([started_s, *read_s], [*read_s, time.monotonic()],
                                          strict=True)
            ]  # fmt: skip
            assert max(gaps_s) < _OTHERS_LIMIT_S, f"unit {unit_id} waited"
        # What cannot be read protects nobody: no vehicle more is taken in there.
        assert not await site.swipe()
        del site.field.faults[DETECTOR]
        await site.until_alarm("detector_fault", gone=True)
        site.smoke(on=True)
        await site.link.expect(messages.RemoteStop)


async def test_flapping_smoke_trips_within_2_s_and_stays_tripped(tmp_path: Path) -> None:
    vote = {
        "rule_id": "smoke", "kind": "vote", "code": "smoke", "needed": 2, "of": 3,
        "select": SMOKE["select"], "clear_s": 0.0,
    }  # fmt: skip
    async with plant(tmp_path, document(vote, SILENT)) as site:
        unit = site.units[DETECTOR]

        async def one_poll(*, smoke: bool) -> None:
            site.smoke(on=smoke)
            before = len(unit.read_s)
            await site.until(lambda: len(unit.read_s) > before)

        await one_poll(smoke=True)
        for _ in range(4):
            await one_poll(smoke=False)
        assert "smoke" not in await site.alarms(), "one sample of three is no smoke"
        started_s = time.monotonic()
        stop = asyncio.create_task(site.link.expect(messages.RemoteStop))
        smoke = True
        while not stop.done():
            await one_poll(smoke=smoke)
            smoke = not smoke
            assert time.monotonic() - started_s < 2
        site.smoke(on=False)
        await site.until_polled(times=10)
        assert not await site.swipe(1)
        assert not await site.swipe(2)
        await site.reset_all()
        assert await site.swipe(1)
