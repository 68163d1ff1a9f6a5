"""The TCP server for charge points: knows sockets, no protocol.

Bytes go to the link's `Connection`; what comes of them is published on the bus before anything
else is done (safety subscribes first), then written, then given to the frame log. A handler may
wish something of the same link while it is called: that frame is on the wire before it returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol, cast

from edge.bus import EventBus
from edge.devices.chargers.links import Links, Probe, Verdict
from edge.devices.chargers.protocol import Connection, Logged, Received
from edge.devices.chargers.reports import AnyReport, Complained, LinkLost, Moment
from edge.devices.chargers.timing import NORMAL, Timing
from edge.devices.chargers.wishes import AnyWish, DecideLogin, ReadNow
from shared.clock import Clock

logger = logging.getLogger(__name__)

READ_SLICE = 16 * 1024
READ_QUOTA = 64 * 1024
STRANGER_QUOTA = 4 * 1024
"""Bytes from a link on which nobody has logged in: a login needs some forty."""
STRANGERS_LOGGED_S = 60.0
WRITE_BUFFER_MAX = 64 * 1024
CONNECTIONS_MAX = 1000

NewConnection = Callable[[int, str], Connection]
Arguments = ParamSpec("Arguments")


class FrameSink(Protocol):
    """Where raw frames go. Must return at once and never raise."""

    def append(self, frames: Sequence[tuple[str, str, bytes]], at_us: int) -> None:
        """Take (charge point number or "", direction, raw bytes), all of one moment (UTC)."""
        ...


class GatewayStats:
    """What the gateway has counted since it was made."""

    __slots__ = (
        "accepted",
        "crashed",
        "crowded_out",
        "not_reading",
        "refused_full",
        "strangers",
        "throttled",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.refused_full = 0
        self.crowded_out = 0
        self.strangers = 0
        self.throttled = 0
        self.not_reading = 0
        self.crashed = 0


class _Link(asyncio.Protocol):
    """One TCP connection. Everything happens in `ChargerGateway`; this only holds and forwards."""

    __slots__ = (
        "address",
        "connection",
        "gateway",
        "link_id",
        "open",
        "paused",
        "pending",
        "quota_left",
        "received_s",
        "transport",
    )

    transport: asyncio.Transport
    connection: Connection

    def __init__(self, gateway: ChargerGateway) -> None:
        self.gateway = gateway
        self.link_id = 0
        self.address = ""
        self.open = False
        self.paused = False
        self.pending = b""
        self.quota_left = gateway.stranger_quota
        self.received_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.gateway.opened(self)

    def data_received(self, data: bytes) -> None:
        if not self.open:
            return
        size = len(data)
        if size > READ_SLICE or self.quota_left < size:
            self.gateway.too_much(self, data)
            return
        self.quota_left -= size
        self.gateway.received(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.gateway.ended(self, "reset" if exc else "closed")

    def pause_writing(self) -> None:
        self.gateway.not_reading(self)


class ChargerGateway:
    """Serves one TCP port for one protocol. Lives on one event loop; nothing here waits."""

    def __init__(
        self,
        *,
        new_connection: NewConnection,
        bus: EventBus[AnyReport],
        frame_log: FrameSink,
        clock: Clock,
        timing: Timing = NORMAL,
        connections_max: int = CONNECTIONS_MAX,
        read_quota: int = READ_QUOTA,
    ) -> None:
        """Make a gateway; `read_quota` is bytes from one link for each `timing.tick_s`."""
        self.read_quota = read_quota
        self.stranger_quota = min(read_quota, STRANGER_QUOTA)
        self._strangers_told = 0
        self._strangers_due_s = 0.0
        self.stats = GatewayStats()
        self._new_connection = new_connection
        self._bus = bus
        self._frame_log = frame_log
        self._clock = clock
        self._timing = timing
        self._connections_max = connections_max
        self._registry = Links()
        self._links: dict[int, _Link] = {}
        self._last_link_id = 0
        self._server: asyncio.Server | None = None
        self.address: tuple[str, int] | None = None
        """Where it listens, None before it does."""
        self._ticking: asyncio.TimerHandle | None = None

    # -- for the station -------------------------------------------------------------------

    async def serve(self, host: str, port: int) -> tuple[str, int]:
        """Listen; port 0 takes a free one. Returns the address that is listened on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Link(self), host, port, backlog=1024)
        self._ticking = loop.call_later(self._timing.tick_s, self._tick)
        bound = self._server.sockets[0].getsockname()
        self.address = (bound[0], bound[1])
        logger.info("charge points may connect host=%s port=%d", bound[0], bound[1])
        return bound[0], bound[1]

    async def close(self) -> None:
        """Stop listening and end all links."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if self._server is not None:
            self._server.close()
        for link in list(self._links.values()):
            self._end(link, "stopped")
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def send(self, wish: AnyWish) -> bool:
        """Carry out a wish; its frames are with the kernel or its buffer on return.

        Returns False when the number is not logged in.
        """
        link = self._holder(wish.charge_point_no)
        if link is None:
            return False
        self._carry_out(link, self._converse(link, link.connection.wish, wish, self._moment()))
        return link.open

    def decide_login(self, wish: DecideLogin) -> bool:
        """Let a number in on the link that asked, or not. Returns False when that link is gone.

        Someone who holds the number already is evicted, or asked first: see `Links.judge`.
        """
        link = self._links.get(wish.link_id)
        if link is None:
            return False
        if not wish.accepted:
            self._decide(link, wish)
            return True
        number = wish.charge_point_no
        holder = self._holder(number)
        same_address = holder is not None and holder.address == link.address
        verdict = self._registry.judge(number, link.link_id, same_address=same_address)
        if verdict is Verdict.PROBE:
            self._probe(link, wish)
            return True
        if verdict is Verdict.EVICT and holder is not None:
            self._end(holder, "evicted")
        self._decide(link, wish)
        return True

    def confirm(self, charge_point_no: str, token: int) -> bool:
        """Tell a charge point that its record is durable (`RecordReceived.token`).

        Returns False when the number is not logged in; it will send the record again.
        """
        link = self._holder(charge_point_no)
        if link is None:
            return False
        received = self._converse(link, link.connection.committed, token, self._moment())
        self._carry_out(link, received)
        return bool(received.writes)

    def connected(self) -> tuple[str, ...]:
        """Return the numbers that are logged in."""
        return self._registry.numbers()

    def link_count(self) -> int:
        """Return how many TCP connections are open, logged in or not."""
        return len(self._links)

    # -- for the links ---------------------------------------------------------------------

    def opened(self, link: _Link) -> None:
        """Take in a new TCP connection, unless there are too many."""
        peername = link.transport.get_extra_info("peername")
        link.address = peername[0] if peername else ""
        if len(self._links) >= self._connections_max and not self._make_room(link.address):
            self.stats.refused_full += 1
            if self.stats.refused_full == 1:
                logger.warning("too many connections, refused address=%s", link.address)
            link.transport.abort()
            return
        self.stats.accepted += 1
        self._last_link_id += 1
        link.link_id = self._last_link_id
        link.transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX)
        link.connection = self._new_connection(link.link_id, link.address)
        link.open = True
        self._links[link.link_id] = link
        # The time without a login counts from here.
        self._carry_out(link, self._converse(link, link.connection.tick, self._moment()))

    def _make_room(self, address: str) -> bool:
        """End the oldest link without a login of the address that has most of them.

        So nobody keeps the others out by holding connections; an address with many of its own
        gets no more.
        """
        strangers = [
            each for each in self._links.values() if not each.connection.charge_point_nos()
        ]
        held = Counter(each.address for each in strangers)
        crowd = max(held, key=lambda each: held[each], default=address)
        if crowd == address or held[crowd] <= held[address] + 1:
            return False
        self.stats.crowded_out += 1
        self._end(next(each for each in strangers if each.address == crowd), "crowded_out")
        return True

    def received(self, link: _Link, data: bytes) -> None:
        """Hand bytes to the conversation and act on what comes of them."""
        # One time for the decision and the frame log, so that a replay decides the same.
        at_us = self._clock.now_us()
        now = Moment(at_us // 1000, self._clock.monotonic_s())
        link.received_s = now.mono_s
        try:
            received = link.connection.receive(data, now)
        except Exception as error:  # noqa: BLE001 - as in `_converse`, spared a call for each frame
            received = self._crashed(link, error)
        if not received.writes:
            # The hot path: most frames have no answer.
            if received.frames:
                self._frame_log.append(received.frames, at_us)
            for report in received.reports:
                self._bus.publish(report)
        else:
            self._react(link, received, at_us)
        if received.close_reason and link.open:
            self._end(link, received.close_reason)

    def too_much(self, link: _Link, data: bytes) -> None:
        """Hold back a link that sends more than its share, so that the others are not delayed."""
        # Nothing waits yet: who is held back is not read from until all of it is worked off.
        link.pending = data
        link.paused = True
        link.transport.pause_reading()
        self._take_pending(link)

    def not_reading(self, link: _Link) -> None:
        """Give up a peer that takes nothing of what is written to it."""
        self.stats.not_reading += 1
        asyncio.get_running_loop().call_soon(self._give_up, link)

    def ended(self, link: _Link, reason: str) -> None:
        """Take note that a TCP connection is gone."""
        if link.open:
            self._end(link, reason)

    # -- inside ----------------------------------------------------------------------------

    def _moment(self) -> Moment:
        return Moment(self._clock.now_ms(), self._clock.monotonic_s())

    def _holder(self, charge_point_no: str) -> _Link | None:
        link_id = self._registry.holder(charge_point_no)
        return None if link_id is None else self._links.get(link_id)

    def _converse(
        self,
        link: _Link,
        method: Callable[Arguments, Received],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Received:
        """Call a conversation; one that raises has a bug, which ends its own link only."""
        try:
            return method(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - logged there, with its traceback
            return self._crashed(link, error)

    def _crashed(self, link: _Link, error: Exception) -> Received:
        self.stats.crashed += 1
        logger.error("conversation failed address=%s", link.address, exc_info=error)
        received = Received()
        received.close_reason = "failed"
        return received

    def _react(self, link: _Link, received: Received, at_us: int) -> None:
        """After input: publish first, since safety may have to stop something, then answer."""
        frames = received.frames
        self._frame_log.append([each for each in frames if each[1] != Logged.OUT], at_us)
        for report in received.reports:
            self._bus.publish(report)
        if link.open:
            link.transport.write(b"".join(received.writes))
            self._frame_log.append([each for each in frames if each[1] == Logged.OUT], at_us)

    def _carry_out(self, link: _Link, received: Received) -> None:
        """After a wish or a tick: write first, then tell."""
        if received.writes and link.open:
            link.transport.write(b"".join(received.writes))
        if received.frames:
            self._frame_log.append(received.frames, self._clock.now_us())
        for report in received.reports:
            self._bus.publish(report)
        if received.close_reason and link.open:
            self._end(link, received.close_reason)

    def _end(self, link: _Link, reason: str) -> None:
        """End a link from our side or take note of its end; its numbers are lost at once."""
        link.open = False
        link.pending = b""
        del self._links[link.link_id]
        received = self._converse(link, link.connection.lost, reason, self._moment())
        for report in received.reports:
            self._registry.release(report.charge_point_no, link.link_id)
        if link.transport.is_closing():
            link.transport.abort()
        else:
            link.transport.close()
            loop = asyncio.get_running_loop()
            loop.call_later(self._timing.linger_s, link.transport.abort)
        self._carry_out(link, received)
        level = logging.INFO
        if not received.reports:
            # Nobody had logged in: one line a minute for all of them.
            level = logging.DEBUG
            self.stats.strangers += 1
        where = (link.address, link.link_id, reason)
        logger.log(level, "link ended address=%s link=%d reason=%s", *where)

    def _tell_strangers(self, now: Moment) -> None:
        if now.mono_s < self._strangers_due_s or self.stats.strangers == self._strangers_told:
            return
        count = self.stats.strangers - self._strangers_told
        logger.info("links ended without a login count=%d", count)
        self._strangers_told = self.stats.strangers
        self._strangers_due_s = now.mono_s + STRANGERS_LOGGED_S

    def _give_up(self, link: _Link) -> None:
        if link.open:
            self._end(link, "not_reading")
        link.transport.abort()

    def _take_pending(self, link: _Link) -> None:
        """Work off what a held-back link sent, one slice a loop turn, within its quota."""
        if not link.open:
            return
        size = min(READ_SLICE, link.quota_left)
        if size <= 0:
            self.stats.throttled += 1
            return  # the next tick goes on
        data, link.pending = link.pending[:size], link.pending[size:]
        link.quota_left -= len(data)
        if data:
            self.received(link, data)
        if not link.open:
            return
        if link.pending:
            asyncio.get_running_loop().call_soon(self._take_pending, link)
        else:
            link.paused = False
            link.transport.resume_reading()

    def _tick(self) -> None:
        """Give every conversation its look at the clock, and every link its new quota."""
        self._ticking = asyncio.get_running_loop().call_later(self._timing.tick_s, self._tick)
        now = self._moment()
        self._tell_strangers(now)
        for link in list(self._links.values()):
            if not link.open:
                continue
            stalled = link.paused and link.quota_left <= 0
            is_known = bool(link.connection.charge_point_nos())
            link.quota_left = self.read_quota if is_known else self.stranger_quota
            received = self._converse(link, link.connection.tick, now)
            for report in received.reports:
                if isinstance(report, LinkLost):
                    self._registry.release(report.charge_point_no, link.link_id)
            self._carry_out(link, received)
            if stalled:
                self._take_pending(link)

    # -- logins ----------------------------------------------------------------------------

    def _decide(self, link: _Link, wish: DecideLogin) -> None:
        received = self._converse(link, link.connection.wish, wish, self._moment())
        number = wish.charge_point_no
        if wish.accepted and number in link.connection.charge_point_nos():
            self._registry.claim(number, link.link_id)
        self._carry_out(link, received)

    def _probe(self, challenger: _Link, wish: DecideLogin) -> None:
        """Ask the present holder for a sign of life and decide when its time is up."""
        now = self._moment()
        probe = self._registry.begin_probe(wish.charge_point_no, challenger.link_id, now.mono_s)
        if probe is None:
            self._refuse_duplicate(challenger, wish)
            return
        self.send(ReadNow(charge_point_no=wish.charge_point_no, connector_no=1))
        loop = asyncio.get_running_loop()
        loop.call_later(self._timing.probe_s, self._probed, probe, wish)

    def _probed(self, probe: Probe, wish: DecideLogin) -> None:
        self._registry.end_probe(probe)
        challenger = self._links.get(probe.challenger_id)
        holder = self._links.get(probe.holder_id)
        still_holds = self._registry.holder(probe.charge_point_no) == probe.holder_id
        if challenger is None:
            return
        if holder is not None and still_holds and holder.received_s > probe.since_s:
            self._refuse_duplicate(challenger, wish)
            return
        if holder is not None and still_holds:
            self._end(holder, "evicted")
        if self._holder(probe.charge_point_no) is None:
            self._decide(challenger, wish)
        else:
            self.decide_login(wish)

    def _refuse_duplicate(self, challenger: _Link, wish: DecideLogin) -> None:
        number = wish.charge_point_no
        complaint = Complained(
            self._moment(), number, challenger.link_id, "duplicate", challenger.address
        )
        self._bus.publish(complaint)
        refusal = DecideLogin(
            charge_point_no=number,
            wish_no=wish.wish_no,
            link_id=challenger.link_id,
            accepted=False,
        )
        self._decide(challenger, refusal)
