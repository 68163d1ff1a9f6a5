"""A siren that answers and stays silent (S4)."""

from __future__ import annotations

import time
from pathlib import Path

from edge.devices.chargers.ykc import messages
from tests.component.edge.faults.plant import RELAY, SPARE, document, plant

_LIMIT_S = 2.5
"""A second for the siren to prove itself, and the polls that look."""


def _siren(number: int, **more: object) -> dict[str, object]:
    return {
        "name": f"siren-{number}", "kind": "siren", "device": f"relay-{number}",
        "point": "siren", "read_back": "siren_on", "zones": ["A"], **more,
    }  # fmt: skip


def _spare(number: int) -> dict[str, object]:
    # In a zone of its own it sounds only in another's place.
    return {**_siren(number), "zones": ["B"]}


async def test_a_siren_that_does_not_read_back_is_a_fault_and_another_sounds(
    tmp_path: Path,
) -> None:
    wanted = document(outputs=[_siren(1, backup="siren-2"), _spare(2)])
    wanted["zones"].append({"name": "B", "connectors": []})
    async with plant(tmp_path, wanted) as site:
        site.units[RELAY].stuck = True
        started_s = time.monotonic()
        site.smoke(on=True)
        await site.link.expect(messages.RemoteStop)
        await site.until(site.siren)
        await site.until(lambda: site.siren(SPARE))
        assert time.monotonic() - started_s < _LIMIT_S
        await site.until_alarm("output_fault")


async def test_a_siren_that_does_not_answer_is_a_fault_and_another_sounds(tmp_path: Path) -> None:
    wanted = document(outputs=[_siren(1, backup="siren-2"), _spare(2)])
    wanted["zones"].append({"name": "B", "connectors": []})
    async with plant(tmp_path, wanted) as site:
        site.units[RELAY].dead = True
        site.smoke(on=True)
        await site.link.expect(messages.RemoteStop)
        await site.until(lambda: site.siren(SPARE), _LIMIT_S)
        await site.until_alarm("output_module_down")
        found = await site.alarms()
        assert found["output_module_down"]["object"] == "sensor:relay-1"
        assert "output_fault" not in found, "one cause is one alarm"
        site.units[RELAY].dead = False
        await site.until_alarm("output_module_down", gone=True)
        await site.until(lambda: site.siren() and not site.siren(SPARE))
        assert "output_fault" not in await site.alarms()


async def test_a_siren_that_reads_back_needs_no_other(tmp_path: Path) -> None:
    wanted = document(outputs=[_siren(1, backup="siren-2"), _spare(2)])
    wanted["zones"].append({"name": "B", "connectors": []})
    async with plant(tmp_path, wanted) as site:
        site.smoke(on=True)
        await site.until(site.siren)
        await site.until_polled(RELAY, 15)
        assert not site.siren(SPARE)
        assert "output_fault" not in await site.alarms()
