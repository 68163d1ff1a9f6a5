"""One MQTT 5 connection, made once and thrown away when it ends.

A new client for each connection has no memory of what the last one sent: the journal is the
only queue. All that is private in aiomqtt and paho-mqtt is used here and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiomqtt import Client, Message, MqttError, ProtocolVersion, Will
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessageInfo

_INCOMING_MAX = 1000
"""Messages that wait to be read; more are discarded, and HQ sends them again."""
_IN_FLIGHT_MAX = 100
"""Above what the link ever has in flight, so that nothing waits for another's PUBACK."""


class LinkLostError(Exception):
    """The connection could not be made, or is gone."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in. `tls` None means plain TCP: loopback only."""

    host: str
    port: int
    username: str
    password: str
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 60
    timeout_s: float = 10.0


class Connection:
    """Use as an async context manager; every call may raise LinkLostError."""

    def __init__(self, broker: Broker, *, identifier: str, will_topic: str, will: bytes) -> None:
        """Prepare; nothing is sent. Must be made while the event loop runs."""
        self._client = Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=identifier,
            protocol=ProtocolVersion.V5,
            clean_start=True,
            will=Will(will_topic, will, qos=1, retain=True),
            keepalive=broker.keepalive_s,
            timeout=broker.timeout_s,
            tls_context=broker.tls,
            max_queued_incoming_messages=_INCOMING_MAX,
            max_inflight_messages=_IN_FLIGHT_MAX,
            socket_options=_socket_options(broker.keepalive_s),
        )
        self._client.pending_calls_threshold = _IN_FLIGHT_MAX

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._client.__aenter__()
        except (MqttError, OSError, ValueError) as error:
            self._drop()
            raise LinkLostError(str(error)) from error
        except asyncio.CancelledError:
            self._drop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; the will is not sent then."""
        # What is wrong with the connection has been raised where it was used.
        with contextlib.suppress(MqttError, OSError):
            await self._client.__aexit__(None, None, None)
        self._drop()

    def _drop(self) -> None:
        # aiomqtt leaves the socket of a log-in that was not answered open, and read; and the
        # reason of a loss is for whoever was listening, which may be nobody.
        self._client._client._sock_close()  # noqa: SLF001 - see the module's purpose
        lost = self._client._disconnected  # noqa: SLF001 - see the module's purpose
        if lost.done() and not lost.cancelled():
            lost.exception()

    async def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1."""
        try:
            codes = await self._client.subscribe(topic, qos=1)
        except (MqttError, ValueError) as error:
            raise LinkLostError(str(error)) from error
        for code in codes:
            if not isinstance(code, int) and code.is_failure:
                raise LinkLostError(f"subscription to {topic} refused: {code}")

    def send(self, topic: str, payload: bytes, *, qos: int, retain: bool = False) -> Sent:
        """Hand a message over and go on; QoS 1 is not waited for."""
        # aiomqtt's own publish waits for the PUBACK, which only says that the broker has it.
        info = self._client._client.publish(  # noqa: SLF001 - see the module's purpose
            topic, payload, qos, retain
        )
        if info.rc != MQTT_ERR_SUCCESS:
            raise LinkLostError(f"cannot send: {info.rc!r}")
        return Sent(info)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what arrives, until the connection is lost."""
        try:
            async for message in self._client.messages:
                yield message
        except MqttError as error:
            raise LinkLostError(f"connection lost: {error.__cause__ or error}") from error


class Sent:
    """A message that was handed over."""

    __slots__ = ("_info",)

    def __init__(self, info: MQTTMessageInfo) -> None:
        self._info = info

    @property
    def at_broker(self) -> bool:
        """Whether the broker has confirmed it (QoS 1), or it has left (QoS 0)."""
        return self._info.is_published()


def _socket_options(keepalive_s: int) -> list[tuple[int, int, int]]:
    """Have the kernel notice a dead path within 1.5 keep-alives; MQTT's own ping takes two."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        idle_s = max(keepalive_s // 2, 1)
        options += [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(idle_s // 3, 1)),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, keepalive_s * 1000),
        ]
    return options
