"""The MQTT client against brokers that go away at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
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
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

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


async def test_who_is_told_to_end_during_the_login_ends() -> None:
    """A service that is stopped in the moment in which the broker lets it in must stop."""

    gone = asyncio.Event()

    async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        writer.write(_CONNACK)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(let_in, "127.0.0.1", 0)
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
        entering = asyncio.create_task(client.__aenter__())
        client._connected.add_done_callback(lambda _: entering.cancel())
        await asyncio.wait({entering}, timeout=5)
        assert entering.cancelled()
        async with asyncio.timeout(20):
            await gone.wait()  # the connection is closed, too


_CONNACK = bytes.fromhex("2003000000")
_EXPIRES = bytes.fromhex("020000003c")


def _publish(head: int, topic: str, mid: int, properties: bytes, payload: bytes) -> bytes:
    name = topic.encode()
    rest = len(name).to_bytes(2, "big") + name
    if head & 0x06:
        rest += mid.to_bytes(2, "big")
    rest += bytes((len(properties),)) + properties + payload
    low, high = len(rest) & 127, len(rest) >> 7
    size = bytes((low | 0x80, high)) if high else bytes((low,))
    return bytes((0x30 | head,)) + size + rest


_SENT = (
    _publish(0x00, "vw/1/S-1/up/live", 0, b"", b"live"),
    _publish(0x02, "vw/1/S-1/up/bill", 7, b"", b"b" * 300),
    _publish(0x02, "vw/1/S-1/up/bill", 8, _EXPIRES, b"with a property"),
    _publish(0x00, "vw/1/S-1/up/live", 0, _EXPIRES, b""),
    _publish(0x0B, "vw/1/S-2/status", 65_535, b"", b""),
    _publish(0x02, "vw/1/场站/up/state", 9, b"", b"\x00"),
    _publish(0x04, "vw/1/S-1/up/state", 10, b"", b"qos 2"),
)


async def _what_comes(*, read_at_once: bool) -> tuple[list[tuple[object, ...]], bytes]:
    """Return what a client makes of `_SENT`, and what it answers."""
    answers = b""
    gone = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        await reader.read(1024)
        writer.write(_CONNACK)
        # In pieces that end in the midst of packets.
        stream = b"".join(_SENT)
        for start in range(0, len(stream), 100):
            writer.write(stream[start : start + 100])
            await writer.drain()
        while data := await reader.read(1024):
            answers += data
        writer.close()
        await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        client = BrokerClient(
            "127.0.0.1",
            server.sockets[0].getsockname()[1],
            keepalive=60,
            confirm_at_once=False,
            read_at_once=read_at_once,
            identifier="hq",
            protocol=ProtocolVersion.V5,
            clean_start=True,
            timeout=10,
        )
        came: list[tuple[object, ...]] = []
        async with client:
            async for message in client.messages:
                came.append(
                    (str(message.topic), message.payload, message.qos, message.retain, message.mid)
                )
                # That of QoS 2 never comes: nobody releases it.
                if len(came) == len(_SENT) - 1:
                    break
        async with asyncio.timeout(20):
            await gone.wait()  # what was answered has all come, and nothing is left open
    return came, answers


async def test_a_client_that_reads_at_once_gets_and_answers_the_same() -> None:
    came, answers = await _what_comes(read_at_once=True)
    assert (came, answers) == await _what_comes(read_at_once=False)
    assert came[1] == ("vw/1/S-1/up/bill", b"b" * 300, 1, False, 7)
    assert came[4] == ("vw/1/S-2/status", b"", 1, True, 65_535)
    assert came[5][0] == "vw/1/场站/up/state"
    assert answers.startswith(bytes.fromhex("40020007 40020008 4002ffff 40020009"))
