"""How the agent itself does: link, disk, memory, and everything that was counted."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from edge.bus import EventBus
from edge.devices.chargers.complaints import Complaints
from edge.devices.chargers.gateway import ChargerGateway, GatewayStats
from edge.devices.chargers.reports import AnyReport
from edge.devices.sensors.line import LineState
from edge.frame_log import FrameLog
from edge.journal import Journal
from edge.station.core import Station
from edge.telemetry import Telemetry
from edge.uplink.link import Link
from edge.view import SystemView

_LINK_COUNTERS = (
    "connections",
    "sent",
    "resent",
    "malformed",
    "retained_ignored",
    "foreign_acks",
)
_STATM = Path("/proc/self/statm")
_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what a socket says that has them all
_LOOPBACK = "127."
_SIOCGIFADDR = 0x8915
_IFREQ, _IFREQ_ADDRESS = "256s", slice(20, 24)


class Machine(Struct, frozen=True):
    """What is left of the disk, the memory that the agent takes, and the computer's addresses."""

    disk_free_bytes: int | None = None
    rss_bytes: int | None = None
    addresses: tuple[str, ...] = ()


def read_machine(data_dir: Path) -> Machine:
    """Look at the disk and at this process. Blocks: a sick disk may answer late."""
    disk_free, rss, addresses = None, None, own_addresses()
    try:
        stat = os.statvfs(data_dir)
        disk_free = stat.f_bavail * stat.f_frsize
        rss = int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        # Not every system has both; then it is shown as not known.
        return Machine(disk_free, rss, addresses)
    return Machine(disk_free, rss, addresses)


def own_addresses() -> tuple[str, ...]:
    """Return this computer's IPv4 addresses in its networks, without loopback; Linux only."""
    try:
        names = [name for _, name in socket.if_nameindex()]
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        # Who may not ask for networks, or has no file left to, still has a disk and a memory.
        return ()
    found = []
    with asking:
        for name in names:
            request = struct.pack(_IFREQ, name.encode()[:15])
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, request)
            except OSError:  # it is down, or has no address
                continue
            found.append(socket.inet_ntoa(answer[_IFREQ_ADDRESS]))
    return tuple(each for each in found if not each.startswith(_LOOPBACK))


class Health:
    """Gathers it. Everything is read at the moment of asking, but `machine`, which is put in."""

    def __init__(
        self,
        *,
        version: str,
        station: Station,
        journal: Journal,
        telemetry: Telemetry,
        frame_log: FrameLog,
        gateway: ChargerGateway,
        bus: EventBus[AnyReport],
        link: Callable[[], Link | None],
        lines: Callable[[], Sequence[LineState]],
    ) -> None:
        self._version = version
        self._station = station
        self._journal = journal
        self._telemetry = telemetry
        self._frame_log = frame_log
        self._gateway = gateway
        self._bus = bus
        self._link = link
        self._lines = lines
        self._complaints = Complaints(bus)
        self._started_ms = station.now().wall_ms
        self.machine = Machine()

    def state(self) -> dict[str, Any]:
        """Return link, disk, gateway and Modbus lines, for `vw edge state`."""
        link = self._link()
        state = link.state if link is not None else None
        return {
            "hq": {
                "configured": state is not None,
                "connected": bool(state and state.connected),
                "last_error": state.last_error if state else "",
                "backlog_records": self._telemetry.records,
                "unacknowledged": dict(self._journal.unacknowledged),
            },
            "charge_points": list(self._gateway.connected()),
            "lines": to_builtins(self._lines()),
            "journal_failed": self._journal.failed,
            "handler_failures": self._bus.failures(),
            "counters": self._counters(),
        }

    def system(self) -> SystemView:
        """Return the same for the screen, in short."""
        link, station, held = self._link(), self._station, self._station.protection.held
        state = link.state if link is not None else None
        return SystemView(
            version=self._version,
            started_ms=self._started_ms,
            hq_configured=state is not None,
            hq_connected=bool(state and state.connected),
            hq_last_error=state.last_error if state else "",
            unacknowledged=sum(self._journal.unacknowledged.values()),
            backlog_records=self._telemetry.records,
            journal_failed=self._journal.failed or "",
            disk_free_bytes=self.machine.disk_free_bytes,
            clock_offset_ms=state.hq_offset_ms if state else None,
            protection=held.source,
            protection_sha256=held.sha256,
            last_drill_ms=station.screen.sources.last_drill_ms(),
            pins_set=bool(station.pins.people()),
            rss_bytes=self.machine.rss_bytes,
            listens_on=self._listens_on(),
            handler_failures=sum(self._bus.failures().values()),
        )

    def _listens_on(self) -> tuple[str, ...]:
        if self._gateway.address is None:
            return ()
        host, port = self._gateway.address
        hosts = self.machine.addresses if host in _EVERY_ADDRESS else (host,)
        return tuple(f"{each}:{port}" for each in hosts)

    def _counters(self) -> dict[str, dict[str, int]]:
        """Return everything that was counted since the start, by who counted it."""
        link = self._link()
        state = link.state if link is not None else None
        stats, telemetry, journal = self._gateway.stats, self._telemetry, self._journal
        return {
            "link": {name: getattr(state, name) for name in _LINK_COUNTERS} if state else {},
            "complaints": dict(self._complaints.by_code),
            "gateway": {name: getattr(stats, name) for name in GatewayStats.__slots__},
            "frame_log": to_builtins(self._frame_log.stats),
            "journal": {"refused": journal.refused, "lost": journal.lost, "parked": journal.parked},
            "telemetry": {"rejected": telemetry.rejected, "dropped": telemetry.dropped},
        }
