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
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from random import Random

from msgspec import Struct

from edge.devices.chargers.reports import Moment
from edge.devices.sensors.lines import TIMEOUT_MIN_S, LineConfig, Transport
from edge.devices.sensors.plan import Coil, LinePlan, Read
from edge.devices.sensors.polled import DeviceState, Polled
from edge.devices.sensors.reports import AnySensorReport
from edge.devices.sensors.telling import EVERY_S, Teller
from edge.devices.sensors.wire import AbandonedError, NoAnswerError, Wire
from shared.backoff import delays
from shared.clock import Clock
from shared.contracts.protection import Quality
from shared.errors import DeviceRefusedError

logger = logging.getLogger(__name__)

Done = Callable[[bool, Moment], None]
"""Told once whether a write was answered, and when."""

_SLOT_AT_LEAST_EVERY = 10
"""A line whose safety points fill its period still asks something else so many rounds apart."""
_MARGIN_S = 0.003
"""A silent device's turn ends so much before the next round."""
_RECONNECT_FIRST_S, _RECONNECT_MAX_S = 0.25, 5.0
_ALL_SILENT_S = 10.0
_ROUNDS_KEPT = 600


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
        self._tell = Teller(clock, publish)
        self._random = Random(config.name)  # noqa: S311 - spreads retries, hides nothing
        self._plan = LinePlan()
        self._devices: dict[str, Polled] = {}
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
        self._devices = {
            planned.device.name: Polled.begin(planned, known.get(planned.device.name), now_s)
            for planned in plan.devices
        }
        self._tell.only(self._devices.values())
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
            devices=tuple(device.state() for device in self._devices.values()),
        )

    async def run(self) -> None:
        """Connect, poll, and connect again, until cancelled."""
        waits = self._waits()
        while True:
            wire = Wire(self.config, self._on_lost)
            try:
                await self._while_down(wire.open())
                await self._serve(wire)
            except OSError as error:
                self._last_error = str(error) or type(error).__name__
                logger.debug("line not open line=%s reason=%s", self.config.name, self._last_error)
            finally:
                wire.close()
                self._wire = None
                self._discarded += wire.discarded
                self._fail_writes()
            if any(device.answering for device in self._devices.values()):
                waits = self._waits()
            self._down()
            await self._while_down(asyncio.sleep(next(waits)))

    def _waits(self) -> Iterator[float]:
        return delays(self._random, first_s=_RECONNECT_FIRST_S, max_s=_RECONNECT_MAX_S)

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
                self._tell.nothing(device, (read,), Quality.NO_ANSWER)
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
        turns = chain.from_iterable(device.turns() for device in self._devices.values())
        due = min(turns, key=lambda turn: turn[0], default=None)
        if due is None or due[0] > now_s or self._wire is None:
            return False
        self._without_slot = 0
        _, device, read = due
        self._in_slot = True
        try:
            return await self._ask(device, read, remaining_s)
        finally:
            self._in_slot = False

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

    async def _ask(self, device: Polled, read: Read, remaining_s: float) -> bool:
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
            device.failed(str(error))
            self._answered(device, read)
            self._tell.nothing(device, (read,), Quality.REFUSED)
        else:
            self._answered(device, read)
            self._tell.values(device, read, raw)
        return True

    def _answered(self, device: Polled, read: Read) -> None:
        device.answered(read, self._clock.monotonic_s())
        self._tell.answering(device, True)

    def _missed(self, device: Polled, read: Read, error: NoAnswerError) -> None:
        was_dead = device.is_dead
        now_s = self._clock.monotonic_s()
        device.last_error = str(error)
        device.missed(read, now_s, may_be_late=not (self.config.has_numbers or error.heard))
        if was_dead:
            self._reconnect_if_all_silent(now_s)
        elif device.is_dead:
            self._tell.all_silent(device)
            self._tell.answering(device, False, str(error))
        else:
            self._tell.nothing(device, (read,), Quality.NO_ANSWER)

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
                    device.failed(f"write: {error}")
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
            done(good, self._tell.moment())
        except Exception:
            # Whoever ordered a write must not be able to stop the line that smoke is read on.
            logger.exception("write callback failed line=%s", self.config.name)

    async def _while_down(self, doing: Awaitable[None]) -> None:
        """Wait for something and tell every second that no device answers meanwhile."""
        task = asyncio.ensure_future(doing)
        try:
            while not task.done():
                ended, _ = await asyncio.wait({task}, timeout=EVERY_S)
                for device in () if ended else tuple(self._devices.values()):
                    self._tell.all_silent(device, at_least_s=EVERY_S / 2)
        finally:
            task.cancel()
        await task

    def _down(self) -> None:
        for device in list(self._devices.values()):
            device.last_error = self._last_error
            self._tell.answering(device, False, self._last_error)
            self._tell.all_silent(device)

    def _tell_silent(self, now_s: float) -> None:
        """Tell once a second what silent devices do not say, and what has become too old."""
        for device in list(self._devices.values()):
            if device.is_dead:
                self._tell.all_silent(device, at_least_s=EVERY_S)
            elif stale := device.stale(now_s):
                self._tell.nothing(device, stale, Quality.STALE)
