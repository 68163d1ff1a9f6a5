"""The MQTT client against brokers that go away at the worst moment."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiomqtt import MqttError, ProtocolVersion

from shared.mqtt import BrokerClient


@pytest.mark.parametrize("rudely", [True, False])
async def test_a_connection_that_ends_during_the_login_is_noticed_at_once(*, rudely: bool) -> None:
    """As when the broker dies, or a proxy in front of one that is down."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if rudely:
            writer.transport.abort()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        client = BrokerClient(
            "127.0.0.1",
            server.sockets[0].getsockname()[1],
            keepalive=60,
            confirm_at_once=False,
            identifier="S-0001",
            protocol=ProtocolVersion.V5,
            clean_start=True,
            timeout=10,
        )
        started_s = time.monotonic()
        with pytest.raises(MqttError, match="log-in"):
            await client.__aenter__()
        assert time.monotonic() - started_s < 3
