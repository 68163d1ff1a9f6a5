"""One MQTT 5 connection, made once and thrown away when it ends.

A new client for each connection has no memory of what the last one sent: the journal is the
only queue. What is private in aiomqtt and paho-mqtt is used here and in `shared.mqtt` only.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiomqtt import Message, MqttError, ProtocolVersion, Will
from paho.mqtt.client import MQTT_ERR_SUCCESS, MQTTMessageInfo

from shared.mqtt import BrokerClient

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
        self._client = BrokerClient(
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
            # Without TLS this is loopback; over a network each byte counts, and HQ's broker
            # does not hold messages back.
            confirm_at_once=broker.tls is None,
        )
        self._client.pending_calls_threshold = _IN_FLIGHT_MAX

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            await self._client.__aenter__()
        except (MqttError, OSError, ValueError) as error:
            raise LinkLostError(str(error)) from error
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

    async def subscribe(self, topic: str, *, qos: int) -> None:
        """Subscribe, and wait until the broker has agreed."""
        try:
            codes = await self._client.subscribe(topic, qos=qos)
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
