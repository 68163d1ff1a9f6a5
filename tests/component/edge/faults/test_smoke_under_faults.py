"""Smoke while everything else fails: the zone is stopped and the siren sounds all the same (S3)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiomqtt import Client, ProtocolVersion

from ops.bench.safety import trip_document
from ops.bench.safety_rig import PIN, SafetyRig
from ops.bench.safety_site import Site
from shared.contracts import topics
from tests.component.edge.faults.support import AgentProcess, agent_process, disk, storage_fault
from tests.component.link_support import STATION, USER, BrokerProcess

_TRIPS = 12
_LIMIT_MS = 1000
_POINTS, _CONNECTORS = 2, 2
_PERIOD_MS = 100
_STORM_PER_S = 500
_OTHERS = 10
"""Charge points that are not in the zone, and flood the station together."""
_FRAMES_PER_S = 1000

CASES = {
    "hq_off": (),
    "disk_full": ("disk_full",),
    "disk_dead": ("disk_dead",),
    "mqtt_storm": ("mqtt_storm",),
    "flood": ("flood",),
    "disk_full_and_flood": ("disk_full", "flood"),
    "all": ("disk_full", "disk_dead", "mqtt_storm", "flood"),
}
"""What fails. HQ is away in each: nobody acknowledges anything."""


@asynccontextmanager
async def storm(broker: BrokerProcess) -> AsyncIterator[None]:
    """Flood the station with what is no command."""
    client = Client(
        "127.0.0.1", broker.port, username=USER, password=broker.password,
        protocol=ProtocolVersion.V5,
    )  # fmt: skip

    async def pour() -> None:
        while True:
            for _ in range(_STORM_PER_S // 20):
                await client.publish(topics.down_command(STATION), secrets.token_bytes(300), qos=0)
            await asyncio.sleep(0.05)

    async with client:
        pouring = asyncio.create_task(pour())
        try:
            yield
        finally:
            pouring.cancel()


async def flood(rig: SafetyRig, port: int) -> None:
    """Have other charge points send as many frames as they can, until the rig ends."""
    load = rig.child("ops.bench.load")
    await asyncio.to_thread(load.ask, do="connect", port=port, connections=_OTHERS, first=_POINTS)
    load.tell(do="pace", frames_per_s=_FRAMES_PER_S, seconds=3600)


async def frames_heard(agent: AgentProcess) -> int:
    """Return how many frames came and went, whether there was room to log them or not."""
    logged = (await agent.state())["counters"]["frame_log"]
    return int(logged["written"] + logged["dropped"] + logged["lost"])


@pytest.mark.parametrize("case", CASES)
async def test_smoke_stops_its_zone_within_a_second(tmp_path: Path, case: str) -> None:
    failing = CASES[case]
    site = Site()
    line = await site.listen()
    async with AsyncExitStack() as stack:
        stack.callback(site.close)
        rig = stack.enter_context(SafetyRig())
        small = stack.enter_context(disk(tmp_path / "disk")) if "disk_full" in failing else None
        hq = None
        if "mqtt_storm" in failing:
            broker = BrokerProcess(tmp_path)
            await broker.start()
            stack.callback(broker.kill)
            secret = tmp_path / "broker-secret"
            secret.write_text(broker.password)
            hq = {"port": broker.port, "user": USER, "secret_file": str(secret)}
        data_dir = (small.folder if small else tmp_path) / "data"
        config = rig.config(
            STATION,
            _POINTS + _OTHERS,
            connectors=_CONNECTORS,
            line={"transport": "tcp", "host": "127.0.0.1", "period_ms": _PERIOD_MS, **line},
            document=trip_document(_POINTS, _CONNECTORS),
            data_dir=data_dir,
            hq=hq,
        )
        agent = await stack.enter_async_context(agent_process(config, data_dir))
        await site.connect(agent.port, _POINTS, _CONNECTORS, 0, str(data_dir / "agent.sock"), PIN)
        if small is not None:
            (data_dir / "station.db-reserve").unlink(missing_ok=True)
            small.fill()
        if "disk_dead" in failing:
            log = tmp_path / "strace.log"
            await stack.enter_async_context(storage_fault(agent.pid, "error=EIO", log))
        if "mqtt_storm" in failing:
            await stack.enter_async_context(storm(broker))
        if "flood" in failing:
            await flood(rig, agent.port)
        heard, started_s = await frames_heard(agent), time.monotonic()
        trips = (await site.trips("contact", _TRIPS, _PERIOD_MS / 1000))["trips"]
        assert max(trip["stop_ms"] for trip in trips) < _LIMIT_MS
        assert max(trip["siren_ms"] for trip in trips) < _LIMIT_MS
        if small is not None:
            assert "storage_failed" in await agent.alarms()
        if "flood" in failing:
            per_s = (await frames_heard(agent) - heard) / (time.monotonic() - started_s)
            assert per_s > _FRAMES_PER_S / 2, "there was no flood"
        if "mqtt_storm" in failing:
            assert (await agent.state())["counters"]["link"]["malformed"] > _STORM_PER_S
