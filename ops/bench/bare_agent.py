"""The station without its storage: the real gateway, safety and station over nothing durable.

The baseline for alarm latency: what remains of it when no disk and no link can disturb.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import uvloop

from edge import settings as settings_module
from edge.bus import EventBus
from edge.devices.chargers.gateway import ChargerGateway
from edge.devices.chargers.registry import PROTOCOLS
from edge.devices.chargers.reports import AnyReport
from edge.devices.chargers.timing import NORMAL as WIRE_NORMAL
from edge.journal import Journal
from edge.safety.ladder import Rungs
from edge.station.access import Caps
from edge.station.core import Station
from edge.station.tariffs import load_file
from edge.station.timing import NORMAL
from shared.clock import SystemClock
from shared.contracts.commands import ChargePointConfig

_LADDER_TICK_S = 0.1


class _NoJournal:
    """Forgets everything and says that it is durable."""

    clean = True
    recovered: str | None = None
    failed: str | None = None
    damaged = 0
    parked = 0
    refused = 0
    lost = 0
    lost_kinds: tuple[str, ...] = ()
    pending_bytes = 0
    boot_id: UUID = uuid4()

    def load(self, kind: str) -> dict[str, bytes]:
        del kind
        return {}

    def append(
        self, events: Sequence[Any], changes: Sequence[Any] = (), on_done: Any = None
    ) -> None:
        del events, changes
        if on_done is not None:
            asyncio.get_running_loop().call_soon(on_done, True)


class _NoFrameLog:
    def append(self, frames: Iterable[tuple[str, str, bytes]], at_us: int) -> None:
        """Drop them."""


async def _serve(config: Path) -> None:
    settings = settings_module.load(config)
    clock = SystemClock()
    station = Station(
        station_no=settings.station.number,
        version="bare",
        clock=clock,
        zone_name=settings.station.zone,
        journal=cast(Journal, _NoJournal()),
        add_sample=lambda _sample: None,
        timing=NORMAL,
        rungs=Rungs(),
        caps=Caps(token_fen=0, station_fen=0),
        local_charge_points=tuple(
            ChargePointConfig(charge_point_no=each.number, silence_limit_s=each.silence_limit_s)
            for each in settings.charge_point
        ),
        local_tariff=load_file(settings.tariff.file) if settings.tariff else None,
        hq_reachable=lambda: False,
        fetch_frames=lambda _file, _first, _last: b"",
    )
    bus: EventBus[AnyReport] = EventBus(clock)
    protocol = PROTOCOLS["ykc"]
    gateway = ChargerGateway(
        new_connection=lambda link_id, address: protocol.new_connection(
            link_id, address, station.zone, WIRE_NORMAL
        ),
        bus=bus,
        frame_log=_NoFrameLog(),
        clock=clock,
    )
    station.connect(gateway, bus)
    station.start()
    host, port = await gateway.serve("127.0.0.1", 0)
    sys.stderr.write(f"listening for charge points on {host}:{port}\n")
    sys.stderr.flush()
    while True:
        await asyncio.sleep(_LADDER_TICK_S)
        station.safety.tick(station.now())


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[sys.argv.index("--config") + 1])))
