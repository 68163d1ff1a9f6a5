"""Composition root of the agent: settings → objects → tasks. Nothing else builds services."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random

from edge.bus import EventBus
from edge.devices.chargers import timing as charger_timing
from edge.devices.chargers.gateway import ChargerGateway
from edge.devices.chargers.protocol import Connection
from edge.devices.chargers.registry import PROTOCOLS
from edge.devices.chargers.reports import AnyReport, Moment, RecordReceived
from edge.devices.sensors.check import check_devices
from edge.devices.sensors.field import FieldBus
from edge.devices.sensors.profile import load_profiles
from edge.devices.sensors.reports import AnySensorReport
from edge.frame_log import FrameLog
from edge.health import Health, read_machine
from edge.journal import Journal
from edge.local_api import LocalApi
from edge.local_requests import handlers
from edge.safety.ladder import Rungs
from edge.settings import HqSection, Settings
from edge.sound.player import CommandPlayer
from edge.station import pins, recovery
from edge.station import timing as station_timing
from edge.station.access import Caps
from edge.station.core import Station
from edge.station.tariffs import load_file
from edge.station.titles import point_titles
from edge.station.view_feed import ViewFeed
from edge.telemetry import Telemetry, TelemetrySettings
from edge.uplink.link import Link, LinkSettings
from edge.uplink.mqtt import Broker
from shared.clock import Clock, from_ms, to_ms
from shared.contracts.commands import ChargePointConfig
from shared.contracts.events import (
    TransactionEnded,
    TransactionEvent,
    TransactionFramesLogged,
)
from shared.contracts.protection import Protection
from shared.errors import ConfigError
from shared.protection import load_file as load_protection

logger = logging.getLogger(__name__)

PROTOCOL = "ykc"
_FEN_PER_YUAN = 100
_LADDER_TICK_S = 0.1
_SECOND_S = 1.0
_MACHINE_S = 5.0
_FRAMES_BEFORE = timedelta(seconds=60)
"""What was said before energy flowed: the request, the start, the vehicle's limits."""
_FRAMES_AGE_MAX = timedelta(days=3)
"""A record of long ago, or of 1970, is no reason to read a year of files."""
_HOUR_S = 3600.0
_GC_THRESHOLD = 50_000
_SWITCH_INTERVAL_S = 0.0005


class Agent:
    """One running agent. Make it on the event loop; `run` serves until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        """Open the stores and build everything; nothing listens yet.

        Raises:
            ConfigError: The data folder or the secret cannot be used.
        """
        self.settings = settings
        clock = settings.make_clock()
        fast = settings.timing.profile == "fast"
        data_dir = _data_dir(settings.station.data_dir)
        self._lock = _lock(data_dir)
        self.journal, self.telemetry = _open_stores(data_dir, clock, settings)
        protocol = PROTOCOLS[PROTOCOL]
        self.frame_log = FrameLog(
            data_dir / "frames",
            zone=settings.station.zone_info,
            redact=protocol.redact,
            is_record=protocol.is_record,
            is_plain=protocol.is_plain,
            retention_days=settings.frame_log.retention_days,
            size_max_bytes=int(settings.frame_log.size_max_gb * 1e9),
        )
        self.link: Link | None = None
        self._ended: asyncio.Queue[TransactionEnded] = asyncio.Queue()
        self.station = _station(
            settings, clock, self.journal, self.telemetry, self._fetch_frames, self._hq_reachable
        )
        self.bus: EventBus[AnyReport | AnySensorReport] = EventBus(clock)
        wire_timing = charger_timing.PROFILES["fast" if fast else "normal"]

        def new_connection(link_id: int, address: str) -> Connection:
            return protocol.new_connection(link_id, address, self.station.zone, wire_timing)

        self.gateway = ChargerGateway(
            new_connection=new_connection,
            bus=self.bus,
            frame_log=self.frame_log,
            clock=clock,
            timing=wire_timing,
            connections_max=settings.gateway.connections_max,
        )
        self.station.connect(self.gateway, self.bus)
        if settings.hq is not None:
            self.link = self._make_link(settings.hq, clock, fast=fast)
            self.station.watch_lease = self.link.watch
            link = self.link
            self.station.clocks.hq_offset_ms = lambda: link.state.hq_offset_ms
        self.station.sync_evidence = self._sync_frames
        self.station.on_ended = self._ended.put_nowait
        self.station.on_new_journal = self._recover_records
        self._recovering: asyncio.Task[None] | None = None
        self._unsynced: list[Callable[[], None]] = []
        self._syncing: asyncio.Task[None] | None = None
        self.journal.on_trouble(self.station.stores.on_journal_trouble)
        self.telemetry.on_dropped(self.station.stores.on_telemetry_dropped)
        self.field = FieldBus(
            settings.lines(), clock, self.bus.publish, profiles=self.station.profiles
        )
        self.player = CommandPlayer(settings.sound.player)
        self._protect(settings)
        self.health, self.local_api = self._show(data_dir)

    def _show(self, data_dir: Path) -> tuple[Health, LocalApi]:
        """Return what people on site are shown, and may ask for."""
        health = Health(
            version=version("voltwarden"),
            station=self.station,
            journal=self.journal,
            telemetry=self.telemetry,
            frame_log=self.frame_log,
            gateway=self.gateway,
            bus=self.bus,
            link=lambda: self.link,
            lines=self.field.states,
        )
        self.station.screen.sources.system = health.system
        self.station.pins.use_file(data_dir / pins.FILE)
        views = ViewFeed(self.station.screen)
        api = LocalApi(data_dir / "agent.sock", handlers(self.station, health.state), views)
        return health, api

    def _protect(self, settings: Settings) -> None:
        """Tell the station what its lines and models are, and its own document."""
        station, lines, profiles = self.station, settings.lines(), self.station.profiles
        station.configure_lines = self._configure_lines
        station.safety.hands.write = self.field.write
        station.safety.speaker.connect(self.player)
        station.screen.sources.point_titles = partial(point_titles, profiles)
        if settings.protection is not None:
            station.protection.use_own(load_protection(settings.protection.file))
        station.protection.connect(lambda document: check_devices(document, lines, profiles))

    def _configure_lines(self, document: Protection) -> None:
        # It was good when it came; lines may have changed since. What is left of them goes on
        # protecting, and an alarm of the document says what does not.
        self.field.configure(document, strict=False)

    def _make_link(self, hq: HqSection, clock: Clock, *, fast: bool) -> Link:
        return Link(
            LinkSettings(
                broker=_broker(hq, self.settings.station.number, timeout_s=2.0 if fast else 10.0),
                backoff_first_s=0.2 if fast else 1.0,
                backoff_max_s=min(hq.backoff_max_s, 1.0) if fast else hq.backoff_max_s,
                resend_after_s=2.0 if fast else 5.0,
                reachable_s=max(90.0, 1.5 * self.settings.telemetry.window_s),
            ),
            station_no=self.settings.station.number,
            journal=self.journal,
            telemetry=self.telemetry,
            clock=clock,
            random=Random(secrets.randbits(64)),  # noqa: S311 - spreads retries, hides nothing
            on_command=self.station.on_command,
            live_update=self.station.live_update,
            on_connected=self.station.on_hq_connected,
        )

    async def run(self, stop: asyncio.Event, on_listening: Callable[[str, int], None]) -> None:
        """Serve until `stop` is set; then close everything in good order.

        Raises:
            ConfigError: The port or the socket cannot be listened on.
        """
        try:
            self.station.start()
            on_listening(*await self._listen())
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._climb(), name="stop ladder"),
                    tasks.create_task(self._keep_running("lines", self.field.run)),
                    tasks.create_task(self._keep_running("loudspeaker", self.player.run)),
                    tasks.create_task(self._every_second(), name="tick"),
                    tasks.create_task(self._keep_frames(), name="frame log"),
                    tasks.create_task(self._look_at_machine(), name="machine"),
                    tasks.create_task(self._every_hour(), name="hourly"),
                    tasks.create_task(self._find_frames(), name="frames of transactions"),
                ]
                if self.link is not None:
                    running.append(tasks.create_task(self.link.run(), name="link"))
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            await self._close()

    async def _listen(self) -> tuple[str, int]:
        gateway, folder = self.settings.gateway, self.settings.station.data_dir
        try:
            address = await self.gateway.serve(gateway.host, gateway.port)
        except OSError as error:
            raise ConfigError(
                f"gateway: cannot listen on {gateway.host}:{gateway.port}: {error.strerror}; "
                "another program may use the port, or the host is not an address of this machine"
            ) from error
        try:
            await self.local_api.start()
        except OSError as error:
            raise ConfigError(
                f"station.data_dir: no local socket in {folder}: {error}; "
                "its path may be too long, or the file system has no sockets"
            ) from error
        return address

    async def _close(self) -> None:
        await self.local_api.close()
        await self.gateway.close()
        self.station.perform(self.station.book.flush())
        if self._recovering is not None:
            await self._recovering
        await self.telemetry.flushed()
        await self.telemetry.close()
        if self._syncing is not None:
            await self._syncing
        await asyncio.to_thread(self.frame_log.close)
        await self.journal.close()
        os.close(self._lock)

    async def _climb(self) -> None:
        while True:
            await asyncio.sleep(_LADDER_TICK_S)
            with _survived("stop ladder"):
                self.station.safety.tick(self.station.now())

    async def _keep_running(self, what: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            with _survived(what):
                await run()
            await asyncio.sleep(_SECOND_S)

    async def _every_second(self) -> None:
        while True:
            await asyncio.sleep(_SECOND_S)
            with _survived("watch over screens"):
                if self.local_api.watchers:
                    self.station.safety.watch.on_screen(self.station.now())
            with _survived("tick"):
                self.station.tick()
            with _survived("telemetry"):
                self.telemetry.flush()

    async def _look_at_machine(self) -> None:
        """Apart from the rest as well: asking a sick disk may take long."""
        while True:
            with _survived("machine"):
                folder = self.settings.station.data_dir
                self.health.machine = await asyncio.to_thread(read_machine, folder)
            await asyncio.sleep(_MACHINE_S)

    async def _keep_frames(self) -> None:
        """Apart from the rest: a slow disk delays nothing but this."""
        while True:
            await asyncio.sleep(_SECOND_S)
            with _survived("frame log"):
                await asyncio.to_thread(self.frame_log.flush)

    def _sync_frames(self, done: Callable[[], None]) -> None:
        """Call back when the frames so far are written; whoever comes meanwhile shares a flush.

        A confirmed record is never sent again, so its second copy must be there before.
        """
        self._unsynced.append(done)
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._flush_frames(), name="evidence")

    async def _flush_frames(self) -> None:
        while self._unsynced:
            waiting, self._unsynced = self._unsynced, []
            with _survived("frame log"):
                await asyncio.to_thread(self.frame_log.flush)
            for done in waiting:
                with _survived("confirmation"):
                    done()
        self._syncing = None

    def _recover_records(self) -> None:
        self._recovering = asyncio.create_task(self._read_records(), name="recovery")

    async def _read_records(self) -> None:
        with _survived("recovery"):
            reports = await asyncio.to_thread(self._records_of_late)
            await recovery.recover_records(self.station, reports)

    def _records_of_late(self) -> list[RecordReceived]:
        read, zone = PROTOCOLS[PROTOCOL].read_record, self.station.zone
        since = from_ms(self.station.now().wall_ms) - timedelta(days=recovery.DAYS)
        lines = self.frame_log.records_since(since)
        found = [read(raw, zone, Moment(to_ms(at), 0.0)) for at, raw in lines]
        return [report for report in found if report is not None]

    async def _find_frames(self) -> None:
        """Tell HQ where the frames of what has ended stand, one after the other."""
        while True:
            ended = await self._ended.get()
            with _survived("frames of a transaction"):
                # The log knows microseconds: a millisecond cut off would cut the record itself.
                until = from_ms(self.station.now().wall_ms + 1)
                since = max(ended.started_at - _FRAMES_BEFORE, until - _FRAMES_AGE_MAX)
                frames = await asyncio.to_thread(
                    self.frame_log.reference, ended.charge_point_no, since, until
                )
                names = {name: getattr(ended, name) for name in TransactionEvent.__struct_fields__}
                if frames:
                    self.station.tell(TransactionFramesLogged(**names, frames=frames))

    async def _every_hour(self) -> None:
        while True:
            with _survived("hourly"):
                self.station.tick_hourly()
                now = from_ms(self.station.now().wall_ms)
                await asyncio.to_thread(self.frame_log.maintain, now)
            await asyncio.sleep(_HOUR_S)

    def _hq_reachable(self) -> bool:
        return self.link is not None and self.link.hq_reachable

    def _fetch_frames(self, file: str, first_line: int, last_line: int) -> bytes:
        return self.frame_log.read_lines(file, first_line, last_line)


async def serve(settings: Settings, on_listening: Callable[[str, int], None]) -> None:
    """Run an agent until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    agent = Agent(settings)
    _keep_the_loop_quick()
    await agent.run(stop, on_listening)


def _keep_the_loop_quick() -> None:
    """Let neither the collector nor the threads that write files hold up a stop frame.

    Samples are many small objects that soon go, which the collector else goes through again and
    again: a tenth of the path from frame to disk. A thread that packs or formats keeps the
    interpreter for the switch interval, 5 ms unless told.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)


def _station(
    settings: Settings,
    clock: Clock,
    journal: Journal,
    telemetry: Telemetry,
    fetch_frames: Callable[[str, int, int], bytes],
    hq_reachable: Callable[[], bool],
) -> Station:
    scale = settings.clock.scale if settings.clock else 1.0
    fast = settings.timing.profile == "fast"
    return Station(
        station_no=settings.station.number,
        version=version("voltwarden"),
        clock=clock,
        zone_name=settings.station.zone,
        journal=journal,
        add_sample=telemetry.add,
        timing=station_timing.fast(scale) if fast else station_timing.NORMAL,
        rungs=Rungs(),
        caps=Caps(
            token_fen=settings.offline.token_cap_yuan * _FEN_PER_YUAN,
            station_fen=settings.offline.station_cap_yuan * _FEN_PER_YUAN,
        ),
        local_charge_points=local_charge_points(settings),
        local_tariff=load_file(settings.tariff.file) if settings.tariff else None,
        hq_reachable=hq_reachable,
        fetch_frames=fetch_frames,
        profiles=load_profiles(settings.sensors.profile_dir),
    )


@contextlib.contextmanager
def _survived(what: str) -> Iterator[None]:
    """Log what goes wrong in a loop and let the loop go on: safety must outlive any bug."""
    try:
        yield
    except Exception:
        logger.exception("%s failed", what)


def local_charge_points(settings: Settings) -> tuple[ChargePointConfig, ...]:
    return tuple(
        ChargePointConfig(
            charge_point_no=section.number,
            connector_count=section.connectors,
            dialect=section.dialect,
            silence_limit_s=section.silence_limit_s,
            rated_w=int(section.rated_kw * 1000),
            rounds_to_fen=section.rounds_to_fen,
        )
        for section in settings.charge_point
    )


def _open_stores(data_dir: Path, clock: Clock, settings: Settings) -> tuple[Journal, Telemetry]:
    try:
        journal = Journal.open(data_dir / "station.db", clock)
        telemetry = Telemetry.open(
            data_dir / "telemetry.db", clock, settings=_telemetry_settings(settings)
        )
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            f"station.data_dir: the stores in {data_dir} cannot be opened: {error}; "
            "it must be a folder on a local disk that belongs to the agent's user"
        ) from error
    return journal, telemetry


def _telemetry_settings(settings: Settings) -> TelemetrySettings:
    return TelemetrySettings(
        window_s=settings.telemetry.window_s,
        bytes_max=settings.telemetry.size_max_mb * 1024 * 1024,
    )


def _broker(hq: HqSection, station_no: str, *, timeout_s: float) -> Broker:
    user, password = hq.user or station_no, hq.read_secret()
    return Broker(hq.host, hq.port, user, password, hq.tls_context(), timeout_s=timeout_s)


def _lock(data_dir: Path) -> int:
    """Take the folder for this process; the kernel gives it back however the process ends."""
    descriptor = os.open(data_dir / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ConfigError(
            f"station.data_dir: another agent runs on {data_dir}; "
            "stop it, or give this one a folder of its own"
        ) from error
    return descriptor


def _data_dir(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
        with contextlib.suppress(FileNotFoundError):
            (path / ".writable").unlink()
        (path / ".writable").touch()
    except OSError as error:
        raise ConfigError(
            f"station.data_dir: {path} cannot be written: {error.strerror}; "
            "name a folder that belongs to the agent's user"
        ) from error
    return path
