"""The MQTT client of both tiers: notices a silent broker in time and waits for no timer of TCP.

It reaches into what is private in aiomqtt and paho-mqtt where they offer nothing; both are pinned.
"""

# ruff: noqa: SLF001 - see above

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import Awaitable
from functools import lru_cache
from types import TracebackType
from typing import Any, Self, TypeVar

from aiomqtt import Client, Message, MqttError, Topic
from paho.mqtt.client import MQTT_ERR_SUCCESS
from paho.mqtt.enums import MQTTErrorCode

T = TypeVar("T")

_LOOK_EVERY_S = 0.5
_READ_SIZE = 64 * 1024
_TOPICS_MAX = 16 * 1024
"""Topics that need not be checked anew with each message."""


class BrokerClient(Client):
    """aiomqtt's client, with a deadline for the broker's answers.

    Left alone it pings after one keep-alive of silence and gives up after a second one. Here a
    ping has half a keep-alive to be answered, so that a half-open connection is noticed within
    1.5 keep-alives (from 6 s upwards), without a byte more on the wire.
    """

    def __init__(
        self,
        hostname: str,
        port: int,
        *,
        keepalive: int,
        confirm_at_once: bool,
        read_at_once: bool = False,
        **options: Any,
    ) -> None:
        """Prepare; nothing is sent. Must be made while the event loop runs.

        Args:
            hostname: The broker's.
            port: The broker's.
            keepalive: Seconds of silence after which the broker is asked for a sign of life.
            confirm_at_once: Send TCP's acknowledgements without delay. A broker that leaves
                Nagle's algorithm on holds each second small message back until then: 44 ms.
                Costs 40 bytes a message; for paths on which bytes are free.
            read_at_once: Read all that has come and answer it together, at a sixth of paho's work
                for a message. For who gets many messages, with MQTT 5; others would only find
                more of them between two of their own.
            options: As aiomqtt's client.
        """
        super().__init__(
            hostname,
            port,
            keepalive=keepalive,
            socket_options=_socket_options(keepalive),
            **options,
        )
        # Both ways: paho's own 5 s are short for TLS over a slow path.
        self._client.connect_timeout = self.timeout
        self._patience_s = max(keepalive / 2 - 3 * _LOOK_EVERY_S, keepalive / 4)
        self._has_come = b""
        self._used = 0
        self._may_ask = True
        self._confirm_at_once = confirm_at_once and hasattr(socket, "TCP_QUICKACK")
        paho = self._client
        self._read, paho.loop_read = paho.loop_read, self._read_and_confirm  # type: ignore[method-assign]
        self._ask_socket, self._write = paho._sock_recv, paho.loop_write
        self._handle_any_publish = paho._handle_publish
        if read_at_once:
            paho._sock_recv = self._take  # type: ignore[method-assign]
            paho.loop_write = self._write_all  # type: ignore[method-assign]
            paho._handle_publish = self._handle_publish  # type: ignore[method-assign]

    async def __aenter__(self) -> Self:
        """Connect. Raises MqttError, and leaves nothing open then."""
        try:
            await super().__aenter__()
        except BaseException:  # also when cancelled
            self._drop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Disconnect; the will is not sent then. Raises MqttError if the broker is not in reach."""
        try:
            await super().__aexit__(exc_type, exc, tb)
        finally:
            self._drop()

    def _drop(self) -> None:
        # aiomqtt leaves a socket open, and read, when a log-in was not answered or an error ended
        # it; and the reason of a loss is for whoever was listening, which may be nobody.
        self._client._sock_close()
        self._has_come, self._used = b"", 0
        for outcome in (self._connected, self._disconnected):
            if outcome.done() and not outcome.cancelled():
                outcome.exception()

    def _on_disconnect(self, *arguments: Any) -> None:
        # aiomqtt takes no notice before the log-in is answered, and waits for its time-out.
        if self._connected.done():
            super()._on_disconnect(*arguments)
        else:
            self._connected.set_exception(MqttError("the connection ended during the log-in"))

    # aiomqtt's signature:
    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109
        # In place of aiomqtt's own: its asyncio.wait_for may forget that it was cancelled.
        limit_s = self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if limit_s == math.inf else limit_s):
                return await fut
        except TimeoutError:
            raise MqttError("the broker does not answer in time") from None

    async def _misc_loop(self) -> None:
        # In place of aiomqtt's own, which looks once a second and trusts paho's two keep-alives.
        while self._client.loop_misc() == MQTT_ERR_SUCCESS:
            if self._unanswered_s() > self._patience_s and not self._disconnected.done():
                self._disconnected.set_exception(MqttError("the broker does not answer"))
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    def _unanswered_s(self) -> float:
        """Return how long a ping has been out without a byte from the broker."""
        paho = self._client
        # paho sets both when it pings; bytes of any kind that come later are a sign of life.
        if not paho._ping_t or paho._last_bytes_received > paho._ping_t:
            return 0.0
        return time.monotonic() - paho._ping_t

    def _read_and_confirm(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle a packet; with `read_at_once` every packet that one call to the kernel gives.

        paho makes three calls a packet and stops after each, so that each answer goes out alone.
        """
        self._may_ask = True
        code = self._read(max_packets)
        while code == MQTT_ERR_SUCCESS and self._used < len(self._has_come):
            code = self._read(max_packets)
        sock = self._client._sock
        if self._confirm_at_once and isinstance(sock, socket.socket):
            # Holds until the kernel changes its mind, which is soon: hence after each read.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return code

    def _take(self, bufsize: int) -> bytes:
        """Return bytes that have come, in place of paho's reading from the socket.

        Raises:
            BlockingIOError: No more for now; as the socket's own, like its other errors.
        """
        if self._used >= len(self._has_come):
            # Once a turn: a broker that sends faster than we read must not stop all else.
            if not self._may_ask:
                raise BlockingIOError
            self._may_ask = False
            self._has_come, self._used = b"", 0
            self._has_come = self._ask_socket(max(bufsize, _READ_SIZE))
        start = self._used
        self._used = min(start + bufsize, len(self._has_come))
        return self._has_come[start : self._used]

    def _handle_publish(self) -> MQTTErrorCode:
        """Take a message without properties; paho makes a table of all that exist for each."""
        paho = self._client
        head, packet = paho._in_packet["command"], paho._in_packet["packet"]
        qos = head >> 1 & 3
        topic_end = 2 + int.from_bytes(packet[:2], "big")
        head_end = topic_end + (2 if qos else 0)
        if qos > 1 or packet[head_end : head_end + 1] != b"\x00":
            return self._handle_any_publish()
        try:
            topic = _topic(bytes(packet[2:topic_end]))
        except ValueError:
            return self._handle_any_publish()
        mid = int.from_bytes(packet[topic_end:head_end], "big")
        payload = bytes(packet[head_end + 1 :])
        self._queue.put_nowait(Message(topic, payload, qos, bool(head & 1), mid, None))
        return paho._send_puback(mid) if qos else MQTT_ERR_SUCCESS

    def _write_all(self) -> MQTTErrorCode:
        """Let what waits leave together: paho makes a call to the kernel for each packet."""
        sock = self._client._sock
        if len(self._client._out_packet) < 2 or not isinstance(sock, socket.socket):
            return self._write()
        _cork(sock, on=True)
        try:
            return self._write()
        finally:
            _cork(sock, on=False)


@lru_cache(_TOPICS_MAX)
def _topic(raw: bytes) -> Topic:
    """Return a topic, checked. Raises ValueError."""
    return Topic(raw.decode())


def _cork(sock: socket.socket, *, on: bool) -> None:
    if hasattr(socket, "TCP_CORK"):
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(on))


def _socket_options(keepalive_s: int) -> list[tuple[int, int, int]]:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # What was sent and never confirmed ends the connection, however long it would be retried.
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, keepalive_s * 1000))
    return options
