"""A simulated charge point on a real TCP connection, and what people do at it.

`ChargePoint` joins the machine to an event loop: it connects, reconnects with a growing pause,
runs the timers, and lets a test or a demo plug cars in and wait for what happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from random import Random
from typing import Any, cast

from ops.sim.book import Book
from ops.sim.car import Car
from ops.sim.connector import EMERGENCY_STOP, STOPPED_BY_HAND, UNPLUGGED, Limits
from ops.sim.events import SimEvent
from ops.sim.faults import GARBAGE
from ops.sim.machine import ChargePointSpec, Machine
from ops.sim.outage import Outage
from ops.sim.starting import BY_ACCOUNT, BY_CARD, BY_VIN
from ops.sim.timing import NORMAL, TimingProfile
from shared.backoff import delays
from shared.clock import Clock, SystemClock

logger = logging.getLogger(__name__)

_BREAKER_TRIPPED = 0x6C


class _Link(asyncio.Protocol):
    """One TCP connection of a machine; `secondary` ones only send a login."""

    def __init__(self, owner: ChargePoint) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._trickled = b""
        self._trickle: asyncio.TimerHandle | None = None
        self._reason = "closed by the platform"
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._owner.machine.link_up(self)

    def data_received(self, data: bytes) -> None:
        self._owner.machine.receive(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._trickle is not None:
            self._trickle.cancel()
        if self._owner.machine.wire is self:
            self._owner.machine.link_down(self._reason)
        if not self.gone.done():
            self.gone.set_result(self._reason)

    def write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._owner.machine.faults.trickle_s or self._trickled:
            self._trickled += data
            if self._trickle is None:
                self._send_next_byte()
            return
        self._transport.write(data)

    def _send_next_byte(self) -> None:
        self._trickle = None
        if not self._trickled or self._transport is None:
            return
        self._transport.write(self._trickled[:1])
        self._trickled = self._trickled[1:]
        pause_s = self._owner.machine.faults.trickle_s
        self._trickle = asyncio.get_running_loop().call_later(pause_s, self._send_next_byte)

    def close(self, reason: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._reason = reason
            # The link is unusable from now on, whenever the loop reports its end.
            if self._owner.machine.wire is self:
                self._owner.machine.link_down(reason)
            self._transport.close()


class ChargePoint:
    """One simulated charge point.

    Args:
        spec: What it is.
        book: Where it writes what really happened; shared by the charge points of a site.
        host: The station.
        port: The station's port for charge points.
        clock: Wall time, over which energy flows; may be scaled.
        timing: Real-time periods; `FAST` with a scaled clock.
        seed: Decides meters and jitter.
        outage: Told when it cannot connect.
    """

    def __init__(
        self,
        spec: ChargePointSpec,
        *,
        book: Book,
        host: str,
        port: int,
        clock: Clock | None = None,
        timing: TimingProfile = NORMAL,
        seed: int = 0,
        outage: Outage | None = None,
    ) -> None:
        self.machine = Machine(
            spec, book=book, clock=clock or SystemClock(), timing=timing, seed=seed
        )
        self.no = spec.charge_point_no
        self.host = host
        self.port = port
        self._outage = outage
        self._random = Random(f"link/{seed}/{self.no}")  # noqa: S311 - a simulation
        self._task: asyncio.Task[None] | None = None
        self._link: _Link | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_due_s = 0.0
        self._link_allowed = asyncio.Event()
        self._link_allowed.set()
        self._second: asyncio.Transport | None = None

    # Life

    def start(self) -> None:
        """Begin to connect, and go on until `stop`."""
        self.machine.timers.on_change = self._arm
        self._task = asyncio.create_task(self._keep_connected(), name=f"sim-{self.no}")
        self._arm()

    async def stop(self) -> None:
        """End connection and timers; what runs stays open in the book."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        self.machine.timers.on_change = None
        if self._alarm is not None:
            self._alarm.cancel()
        if self._second is not None:
            self._second.close()
        if self._link is not None:
            self._link.close("stopped")

    async def __aenter__(self) -> ChargePoint:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _keep_connected(self) -> None:
        timing, loop = self.machine.timing, asyncio.get_running_loop()
        pauses_s = self._pauses(timing)
        while True:
            await self._link_allowed.wait()
            link = _Link(self)
            try:
                await loop.create_connection(lambda: link, self.host, self.port)  # noqa: B023
            except OSError as error:
                self.machine.emit("connect_failed", reason=str(error))
                if self._outage is not None:
                    self._outage.failed(self.no, error)
            else:
                self._link = link
                if self._outage is not None:
                    self._outage.connected(self.no)
                since_s = loop.time()
                await link.gone
                if loop.time() - since_s > timing.reconnect_max_s:
                    pauses_s = self._pauses(timing)
            down_for_s, self.machine.device.down_for_s = self.machine.device.down_for_s, 0.0
            await asyncio.sleep(down_for_s + next(pauses_s))

    def _pauses(self, timing: TimingProfile) -> Any:
        return delays(self._random, first_s=timing.reconnect_first_s, max_s=timing.reconnect_max_s)

    def _arm(self) -> None:
        due_s = self.machine.timers.next_due_s()
        if self._alarm is not None and due_s is not None and due_s >= self._alarm_due_s:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due_s is not None:
            self._alarm_due_s = due_s
            wait_s = max(0.0, due_s - self.machine.clock.monotonic_s())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.machine.timers.run_due()
        self._arm()

    # What people do

    def plug_in(self, connector_no: int, car: Car) -> None:
        """Put the plug into a car. Raises ValueError if one is plugged in already."""
        connector = self.machine.connectors[connector_no]
        if connector.car is not None:
            raise ValueError(f"connector {connector_no} of {self.no} is plugged in already")
        connector.car = car
        connector.bay_occupied = True
        self.machine.emit("plugged_in", connector_no=connector_no, vin=car.vin)
        self.machine.session.report(connector_no)
        self.machine.device.report_bay_lock(connector_no)
        self.machine.starts.plugged_in(connector_no)

    def unplug(self, connector_no: int) -> None:
        """Pull the plug; a running charge ends with its record at once."""
        connector = self.machine.connectors[connector_no]
        self.machine.charges.stop(connector_no, UNPLUGGED, at_once=True)
        connector.car = None
        connector.bay_occupied = False
        self.machine.emit("unplugged", connector_no=connector_no)
        self.machine.session.report(connector_no)
        self.machine.device.report_bay_lock(connector_no)

    def swipe_card(
        self, connector_no: int, card: str, *, password: str = "", limits: Limits | None = None
    ) -> None:
        """Hold a card (16 digits) to the reader: starts, or stops what it started."""
        self.machine.starts.request(connector_no, BY_CARD, card, password, limits)

    def use_account(self, connector_no: int, account: str, *, password: str = "") -> None:
        """Start with an account number (16 digits) typed at the charge point."""
        self.machine.starts.request(connector_no, BY_ACCOUNT, account, password)

    def present_vin(self, connector_no: int, *, limits: Limits | None = None) -> None:
        """Let the plugged-in car identify itself (plug and charge)."""
        self.machine.starts.request(connector_no, BY_VIN, "", "", limits)

    def swipe_card_parallel(self, connector_nos: list[int], card: str) -> None:
        """Start one charge over several connectors; the first is the main one."""
        self.machine.starts.request_parallel(connector_nos, card)

    def press_stop(self, connector_no: int) -> None:
        """Press the stop button."""
        self.machine.charges.stop(connector_no, STOPPED_BY_HAND)

    def press_emergency_stop(self) -> None:
        """Press the red button: current ends at once on all connectors, fault bit 1 is set."""
        self.machine.faults.fault_bits |= 1 << 1
        for number in self.machine.connectors:
            self.machine.charges.stop(number, EMERGENCY_STOP, at_once=True)
            self.machine.session.report(number)

    def cut_power(self, connector_no: int) -> None:
        """Open the contactor above a connector, as the station's relay does."""
        self.machine.charges.stop(connector_no, _BREAKER_TRIPPED, at_once=True)

    def switch_contactor(self, connector_no: int, *, is_open: bool) -> None:
        """Open or close the contactor that feeds a connector; nothing charges while it is open."""
        connector = self.machine.connectors[connector_no]
        if connector.isolated == is_open:
            return
        connector.isolated = is_open
        self.machine.emit("isolated" if is_open else "fed", connector_no=connector_no)
        if is_open:
            self.cut_power(connector_no)
        self.machine.session.report(connector_no)

    def reboot(self) -> None:
        """Switch the charge point off and on again."""
        self.machine.device.reboot()

    # What goes wrong

    def set_fault(self, name: str, value: Any = True) -> None:
        """Set one fault of `Faults`; it holds from now on.

        Raises:
            ValueError: No such fault, or a wrong kind of value.
        """
        self.machine.faults.set(name, value)
        if name == "link_down":
            if value:
                self._link_allowed.clear()
                self.machine.close("link down")
            else:
                self._link_allowed.set()
        elif name == "flood_per_s":
            self.machine.session.flood()
        elif name == "fault_bits":
            for number in self.machine.connectors:
                self.machine.session.report(number)

    def drop_link(self) -> None:
        """Break the connection once; it is made again after the usual pause."""
        self.machine.close("dropped")

    def send_garbage(self, data: bytes = GARBAGE) -> None:
        """Send bytes that are no frame."""
        if self.machine.wire is not None:
            self.machine.wire.write(data)

    def resend_record(self, transaction_no: str, *, add_energy_dwh: int = 0) -> None:
        """Send a record once more, with a total that lies by so much.

        Raises:
            KeyError: No such finished transaction.
        """
        self.machine.records.resend(transaction_no, add_energy_dwh)

    async def second_login(self, from_host: str = "") -> bytes:
        """Log in with the same number on a second connection; returns the first answer bytes.

        The second connection stays open until `stop`; empty bytes mean that it was closed.
        `from_host` is the local address that it comes from, for example 127.0.0.2.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        class Second(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                if not answer.done():
                    answer.set_result(data)

            def connection_lost(self, _exc: Exception | None) -> None:
                if not answer.done():
                    answer.set_result(b"")

        loop = asyncio.get_running_loop()
        local = (from_host, 0) if from_host else None
        self._second, _ = await loop.create_connection(
            Second, self.host, self.port, local_addr=local
        )
        self._second.write(self.machine.session.login_frame())
        return await answer

    # What happened

    def mark(self) -> int:
        """Return the index of the latest event, for `since`."""
        return self.machine.log.count

    async def wait_for(
        self,
        name: str | tuple[str, ...],
        *,
        connector_no: int | None = None,
        transaction_no: str | None = None,
        since: int = 0,
        timeout_s: float = 10.0,
    ) -> SimEvent:
        """Return the first event of that name after `since`, past or future.

        Raises:
            TimeoutError: It did not come in time.
        """
        return await self.machine.log.wait_for(
            name,
            connector_no=connector_no,
            transaction_no=transaction_no,
            since=since,
            timeout_s=timeout_s,
        )
