"""One Modbus line: who is asked when, and what is told of the answers.

A round asks every safety point once, each `period_ms`; then others have a turn while time
remains, up to the first that does not answer. A write goes out right after the transaction that
is on the wire. A device that was silent three times running is asked no more in its round, only
now and then after it, so that it costs the others nothing; its points are told as unanswered all
the while. No request is repeated: the next round is soon enough, and an old answer is worth
nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

from msgspec import Struct

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.lines import TIMEOUT_MIN_S, LineConfig, Transport
from edge.devices.sensors.plan import Coil, LinePlan, PlannedDevice, Read
from edge.devices.sensors.profile import decode
from edge.devices.sensors.reports import (
    AnySensorReport,
    DeviceAnswering,
    OutputRead,
    PointSampled,
)
from edge.devices.sensors.wire import AbandonedError, NoAnswerError, Wire
from shared.backoff import delays
from shared.clock import Clock
from shared.contracts.protection import Quality
from shared.errors import DeviceRefusedError

logger = logging.getLogger(__name__)

Done = Callable[[bool, Moment], None]
"""Told once whether a write was answered, and when."""

MISSES_MAX = 3
_PROBE_FIRST_S, _PROBE_MAX_S = 1.0, 30.0
_TELL_EVERY_S = 1.0
_LATE_S = 0.3
"""How long an answer may still be on its way that could be taken for another's."""
_SLOT_AT_LEAST_EVERY = 10
"""A line whose safety points fill its period still asks something else so many rounds apart."""
_MARGIN_S = 0.003
"""A silent device's turn ends so much before the next round."""
_STALE_PERIODS = 3
_RECONNECT_FIRST_S, _RECONNECT_MAX_S = 0.25, 5.0
_ALL_SILENT_S = 10.0
_ROUNDS_KEPT = 600


class DeviceState(Struct, frozen=True, kw_only=True):
    """A device, for diagnostics; `answering` None: not yet known."""

    name: str
    unit_id: int
    answering: bool | None
    polls: int
    errors: int
    last_error: str


class LineState(Struct, frozen=True, kw_only=True):
    """A line, for diagnostics; `round_p99_ms` is of the last minute, `overruns` of all time."""

    name: str
    where: str
    connected: bool
    last_error: str
    rounds: int
    overruns: int
    round_p99_ms: float | None
    discarded: int
    devices: tuple[DeviceState, ...]


@dataclass(slots=True)
class _Device:
    planned: PlannedDevice
    answering: bool | None = None
    misses: int = 0
    polls: int = 0
    errors: int = 0
    last_error: str = ""
    probe_at_s: float = 0.0
    probe_every_s: float = _PROBE_FIRST_S
    told_s: float = 0.0
    not_before_s: float = 0.0
    due_s: dict[Read, float] = field(default_factory=dict)
    reported_s: dict[Read, float] = field(default_factory=dict)

    @property
    def is_dead(self) -> bool:
        return self.misses >= MISSES_MAX


@dataclass(frozen=True, slots=True)
class _Write:
    coil: Coil
    on: bool
    done: Done


class Line:
    """Owns the connection to one line. Used on the event loop only."""

    def __init__(
        self, config: LineConfig, clock: Clock, publish: Callable[[AnySensorReport], None]
    ) -> None:
        self.config = config
        self._clock = clock
        self._publish = publish
        self._random = Random(config.name)  # noqa: S311 - spreads retries, hides nothing
        self._plan = LinePlan()
        self._devices: dict[str, _Device] = {}
        self._wire: Wire | None = None
        self._writes: deque[_Write] = deque()
        self._wake = asyncio.Event()
        self._in_slot = False
        self._without_slot = 0
        self._connected_s = 0.0
        self._round_s: deque[float] = deque(maxlen=_ROUNDS_KEPT)
        self._rounds = self._overruns = self._discarded = 0
        self._last_error = ""

    def set_plan(self, plan: LinePlan) -> None:
        """Ask this from the next transaction on; what is known of unchanged devices is kept."""
        now_s = self._clock.monotonic_s()
        known = self._devices
        self._plan = plan
        self._devices = {}
        for planned in plan.devices:
            old = known.get(planned.device.name)
            device = _Device(planned)
            if old is not None and old.planned.device == planned.device:
                device.answering, device.misses = old.answering, old.misses
                device.polls, device.errors = old.polls, old.errors
                device.probe_at_s, device.probe_every_s = old.probe_at_s, old.probe_every_s
            device.due_s = {read: now_s for read in planned.reads if not read.is_safety}
            device.reported_s = dict.fromkeys(planned.reads, now_s)
            self._devices[planned.device.name] = device
        self._wake.set()

    def write(self, coil: Coil, on: bool, done: Done) -> None:
        """Switch a coil as soon as the wire is free; `done` is called on the loop, once."""
        if self._wire is None:
            asyncio.get_running_loop().call_soon(self._call, done, False)
            return
        self._writes.append(_Write(coil, on, done))
        self._wake.set()
        if self._in_slot:
            self._wire.abandon()

    def state(self) -> LineState:
        """Return what is known of the line and its devices."""
        spent_s = sorted(self._round_s)
        return LineState(
            name=self.config.name,
            where=self.config.where,
            connected=self._wire is not None,
            last_error=self._last_error,
            rounds=self._rounds,
            overruns=self._overruns,
            round_p99_ms=1000 * spent_s[len(spent_s) * 99 // 100] if spent_s else None,
            discarded=self._discarded + (self._wire.discarded if self._wire else 0),
            devices=tuple(
                DeviceState(
                    name=name,
                    unit_id=device.planned.device.unit_id,
                    answering=device.answering,
                    polls=device.polls,
                    errors=device.errors,
                    last_error=device.last_error,
                )
                for name, device in self._devices.items()
            ),
        )

    async def run(self) -> None:
        """Connect, poll, and connect again, until cancelled."""
        waits = delays(self._random, first_s=_RECONNECT_FIRST_S, max_s=_RECONNECT_MAX_S)
        while True:
            wire = Wire(self.config, self._on_lost)
            try:
                await self._while_down(wire.open())
            except OSError as error:
                wire.close()
                self._down(str(error) or type(error).__name__)
                await self._while_down(asyncio.sleep(next(waits)))
                continue
            try:
                await self._serve(wire)
            finally:
                wire.close()
                self._wire = None
                self._discarded += wire.discarded
                self._fail_writes()
            if any(device.answering for device in self._devices.values()):
                waits = delays(self._random, first_s=_RECONNECT_FIRST_S, max_s=_RECONNECT_MAX_S)
            self._down(self._last_error)
            await self._while_down(asyncio.sleep(next(waits)))

    async def _serve(self, wire: Wire) -> None:
        self._wire = wire
        self._connected_s = next_s = self._clock.monotonic_s()
        for device in self._devices.values():
            device.probe_at_s = min(device.probe_at_s, next_s)
        logger.info("line connected line=%s where=%s", self.config.name, self.config.where)
        while self._wire is not None:
            started_s = self._clock.monotonic_s()
            await self._round(started_s + self.config.period_s)
            now_s = self._clock.monotonic_s()
            self._rounds += 1
            self._round_s.append(now_s - started_s)
            self._tell_silent(now_s)
            next_s += self.config.period_s
            if next_s < now_s:
                self._overruns += 1
                next_s = max(next_s, now_s - self.config.period_s)  # one late round is caught up
            await self._rest(next_s)

    def _on_lost(self, reason: str) -> None:
        logger.warning("line lost line=%s reason=%s", self.config.name, reason)
        self._wire = None
        self._last_error = reason
        self._wake.set()

    async def _round(self, deadline_s: float) -> None:
        plan = self._plan
        silent: set[str] = set()
        reads = plan.safety_reads
        for index, read in enumerate(reads):
            await self._write_waiting()
            if self._plan is not plan or self._wire is None:
                return
            device = self._devices[read.device]
            now_s = self._clock.monotonic_s()
            if device.is_dead or now_s < device.not_before_s:
                continue
            if read.device in silent:
                self._tell(device, read, Quality.NO_ANSWER)
                continue
            share_s = (deadline_s - now_s) / (len(reads) - index)
            if not await self._ask(device, read, share_s):
                silent.add(read.device)
        await self._write_waiting()
        self._without_slot += 1
        while await self._slot(deadline_s):
            await self._write_waiting()
        await self._write_waiting()

    async def _slot(self, deadline_s: float) -> bool:
        """Give one other request, or one silent device, its turn.

        Returns whether the next may follow: not after a device that let us wait.
        """
        now_s = self._clock.monotonic_s()
        remaining_s = deadline_s - now_s - _MARGIN_S
        if remaining_s < TIMEOUT_MIN_S and self._without_slot < _SLOT_AT_LEAST_EVERY:
            return False
        due = min(self._turns(), key=lambda turn: turn[0], default=None)
        if due is None or due[0] > now_s or self._wire is None:
            return False
        self._without_slot = 0
        _, device, read = due
        self._in_slot = True
        try:
            return await self._ask(device, read, remaining_s)
        finally:
            self._in_slot = False

    def _turns(self) -> list[tuple[float, _Device, Read]]:
        turns = []
        for device in self._devices.values():
            if device.is_dead:
                turns.append((device.probe_at_s, device, device.planned.reads[0]))
            else:
                turns += [
                    (max(due_s, device.not_before_s), device, read)
                    for read, due_s in device.due_s.items()
                ]
        return turns

    async def _rest(self, until_s: float) -> None:
        """Wait for the next round; a write does not."""
        while self._wire is not None:
            self._wake.clear()
            await self._write_waiting()
            wait_s = until_s - self._clock.monotonic_s()
            if wait_s <= 0:
                return
            if self._writes:
                continue
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                return

    async def _ask(self, device: _Device, read: Read, remaining_s: float) -> bool:
        """Ask once and tell what came of it; return whether the device said anything."""
        wire = self._wire
        if wire is None:
            return False
        device.polls += 1
        timeout_s = self.config.timeout_s(read.answer_bytes, remaining_s)
        try:
            raw = await wire.read(read.unit_id, read.table, read.address, read.count, timeout_s)
        except AbandonedError:
            return True
        except NoAnswerError as error:
            self._missed(device, read, error)
            return False
        except DeviceRefusedError as error:
            device.errors += 1
            device.last_error = str(error)
            self._answered(device, read)
            self._tell(device, read, Quality.REFUSED)
        else:
            self._answered(device, read)
            self._tell_values(device, read, raw)
        return True

    def _answered(self, device: _Device, read: Read) -> None:
        if device.is_dead:  # the rest of it is read at once
            device.due_s = dict.fromkeys(device.due_s, self._clock.monotonic_s())
        device.misses = 0
        device.probe_every_s = _PROBE_FIRST_S
        if read in device.due_s:
            device.due_s[read] = self._clock.monotonic_s() + read.period_s
        if device.answering is not True and self._is_current(device):
            device.answering = True
            self._publish(DeviceAnswering(self._moment(), device.planned.device.name, True))

    def _missed(self, device: _Device, read: Read, error: NoAnswerError) -> None:
        now_s = self._clock.monotonic_s()
        device.errors += 1
        device.last_error = str(error)
        if read in device.due_s:
            device.due_s[read] = now_s + read.period_s
        if device.is_dead:
            device.probe_every_s = min(2 * device.probe_every_s, _PROBE_MAX_S)
            device.probe_at_s = now_s + device.probe_every_s
            self._reconnect_if_all_silent(now_s)
            return
        device.misses += 1
        if not device.is_dead:
            if device.planned.is_ambiguous and not self.config.has_numbers and not error.heard:
                device.not_before_s = now_s + _LATE_S
            self._tell(device, read, Quality.NO_ANSWER)
            return
        device.probe_every_s = _PROBE_FIRST_S
        device.probe_at_s = now_s + _PROBE_FIRST_S
        self._tell_all(device, now_s)
        self._stopped_answering(device, str(error))

    def _stopped_answering(self, device: _Device, reason: str) -> None:
        if device.answering is not False and self._is_current(device):
            device.answering = False
            name = device.planned.device.name
            self._publish(DeviceAnswering(self._moment(), name, False, reason))

    def _reconnect_if_all_silent(self, now_s: float) -> None:
        """A cable that was pulled behind a switch closes nothing: begin anew now and then."""
        if self.config.transport is Transport.SERIAL or self._wire is None:
            return
        if now_s - self._connected_s < _ALL_SILENT_S:
            return
        if all(device.is_dead for device in self._devices.values()):
            self._last_error = "every device is silent"
            self._wire.close()
            self._wire = None

    async def _write_waiting(self) -> None:
        """Write until nothing waits, or until one was not answered: reading must go on."""
        while self._writes:
            if self._wire is None:
                self._fail_writes()
                return
            write = self._writes.popleft()
            coil, device = write.coil, self._devices.get(write.coil.device)
            is_dead = device is not None and device.is_dead
            timeout_s = self.config.timeout_s(0, 0.0 if is_dead else self.config.period_s)
            try:
                await self._wire.write_coil(coil.unit_id, coil.address, write.on, timeout_s)
            except (NoAnswerError, DeviceRefusedError) as error:
                if device is not None:
                    device.errors += 1
                    device.last_error = f"write: {error}"
                self._call(write.done, False)
                if is_dead:
                    self._fail_writes(coil.device)
                return
            if device is not None and is_dead:
                self._answered(device, device.planned.reads[0])
            self._call(write.done, True)

    def _fail_writes(self, device: str = "") -> None:
        """Give up what waits for a device, or all: what is dead would only hold up the others."""
        waiting, self._writes = self._writes, deque()
        for write in waiting:
            if device and write.coil.device != device:
                self._writes.append(write)
            else:
                self._call(write.done, False)

    def _call(self, done: Done, good: bool) -> None:
        try:
            done(good, self._moment())
        except Exception:
            # Whoever ordered a write must not be able to stop the line that smoke is read on.
            logger.exception("write callback failed line=%s", self.config.name)

    async def _while_down(self, doing: Awaitable[None]) -> None:
        """Wait for something and tell every second that no device answers meanwhile."""
        task = asyncio.ensure_future(doing)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_TELL_EVERY_S)
                if not task.done():
                    self._tell_down()
        finally:
            task.cancel()
        await task

    def _down(self, reason: str) -> None:
        if reason != self._last_error:
            logger.warning("line down line=%s reason=%s", self.config.name, reason)
        self._last_error = reason
        for device in self._devices.values():
            device.last_error = reason
            device.told_s = 0.0
            self._stopped_answering(device, reason)
        self._tell_down()

    def _tell_down(self) -> None:
        now_s = self._clock.monotonic_s()
        for device in list(self._devices.values()):
            if now_s - device.told_s >= _TELL_EVERY_S / 2:
                self._tell_all(device, now_s)

    def _tell_silent(self, now_s: float) -> None:
        """Tell once a second what silent devices do not say, and what has become too old."""
        for device in list(self._devices.values()):
            if device.is_dead:
                if now_s - device.told_s >= _TELL_EVERY_S:
                    self._tell_all(device, now_s)
                continue
            for read, reported_s in device.reported_s.items():
                limit_s = max(_STALE_PERIODS * read.period_s, _TELL_EVERY_S)
                if now_s - reported_s > limit_s:
                    self._tell(device, read, Quality.STALE)

    def _tell_all(self, device: _Device, now_s: float) -> None:
        device.told_s = now_s
        for read in device.planned.reads:
            self._tell(device, read, Quality.NO_ANSWER)

    def _tell(self, device: _Device, read: Read, quality: Quality) -> None:
        if not self._is_current(device):
            return
        at = self._moment()
        device.reported_s[read] = at.mono_s
        for each in read.points:
            point = each.point
            self._publish(PointSampled(at, read.device, point.name, point.quantity, None, quality))
            for output in each.proves:
                self._publish(OutputRead(at, output, None))

    def _tell_values(self, device: _Device, read: Read, raw: list[int]) -> None:
        if not self._is_current(device):
            return
        at = self._moment()
        device.reported_s[read] = at.mono_s
        for each in read.points:
            point = each.point
            value, quality = decode(point, raw[point.address - read.address :])
            self._publish(PointSampled(at, read.device, point.name, point.quantity, value, quality))
            for output in each.proves:
                self._publish(OutputRead(at, output, None if value is None else value >= 0.5))

    def _is_current(self, device: _Device) -> bool:
        """Whether the plan still knows it; an answer may come after its question was dropped."""
        return self._devices.get(device.planned.device.name) is device

    def _moment(self) -> Moment:
        return Moment(self._clock.now_ms(), self._clock.monotonic_s())
